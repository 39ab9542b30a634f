/** A real redis-server, on a free port, which keeps nothing. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { freePort } from "./port.js";

export class Redis {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#process = child;
  }

  static async start(): Promise<Redis> {
    const port = await freePort();
    const words = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly"];
    const child = spawn("redis-server", [...words, "no"], { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.includes("Ready to accept connections")) continue;
      child.stdout.resume();
      return new Redis(`redis://127.0.0.1:${port}`, child);
    }
    throw new Error("redis-server did not start");
  }

  async stop(): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}
