/** The real server, as a process of its own, and what tests do with it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, vi } from "vitest";

/** The server's command. */
export const COMMAND =
  process.env.TIDEWIRE ?? fileURLToPath(new URL("../../.venv/bin/tidewire", import.meta.url));

/** Where a proxy listens and, after a space, the port that it asks: servers are started there, and
 *  spoken to through it. Without it, directly. */
const [PROXY, BEHIND] = process.env.BEHIND_PROXY?.split(" ") ?? [];

const SECRET = "of tests which keep nothing from anybody";

export interface ServerOptions {
  /** That of one that has gone; else a free one. */
  port?: string;
  /** Where the log is; else in memory. */
  log?: string;
  /** Development mode, where `userId` says who asks. `false`: only tokens do. Default: true. */
  dev?: boolean;
  /** An application that has a server within it, in place of the command's own: the folder that its
   *  module is in, and `module:name`. */
  app?: { folder: string; name: string };
  /** How many processes serve; several need a log that they share. */
  workers?: number;
  /** Further settings, by the names of their environment variables. */
  settings?: Readonly<Record<string, string>>;
}

export class Server {
  readonly url: string;
  readonly port: string;
  readonly #process: ChildProcess;

  private constructor(listens: string, child: ChildProcess) {
    this.url = PROXY ?? listens;
    this.port = new URL(listens).port;
    this.#process = child;
  }

  /** Starts one on a free port, or on that of one that has gone. */
  static async start(given: string | ServerOptions = {}): Promise<Server> {
    const options = typeof given === "string" ? { port: given } : given;
    const {
      port = BEHIND ?? "0",
      log,
      dev = true,
      app,
      workers,
      settings,
    }: ServerOptions = options;
    const words = ["serve", "--port", port];
    if (app !== undefined) words.push(app.name);
    if (dev) words.push("--dev");
    if (log !== undefined) words.push("--log", log);
    if (workers !== undefined) words.push("--workers", String(workers));
    const child = spawn(COMMAND, words, {
      env: {
        ...process.env,
        SSE_JWT_SECRET: SECRET,
        TIDEWIRE_RATE_LIMITS: "off",
        TIDEWIRE_PING_INTERVAL: "1",
        ...(app && { PYTHONPATH: [app.folder, process.env.PYTHONPATH].join(":") }),
        ...settings,
      },
      cwd: app?.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let complaint = "";
    child.stderr.on("data", (text) => {
      // Of one that has started it is the log of accesses.
      if (complaint.length < 10_000) complaint += text;
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /http:\/\/[\d.]+:\d+/.exec(line)?.[0];
      if (url === undefined) continue;
      // Nobody reads the rest; it must not be held up by that.
      child.stdout.resume();
      const server = new Server(url, child);
      if (PROXY !== undefined) await answers(PROXY);
      return server;
    }
    throw new Error(`${COMMAND} did not start (TIDEWIRE names another):\n${complaint}`);
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill(signal);
    await gone;
  }

  /** Publishes numbered events, in one go, and returns their ids. */
  async publish(numbers: number[], rest: Record<string, unknown> = {}): Promise<string[]> {
    const events = numbers.map((n) => ({ type: "counted", data: { n }, ...rest }));
    const response = await fetch(`${this.url}/api/realtime/publish`, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${this.token("publisher", 60, ["publish"])}`,
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ events }),
    });
    if (!response.ok) throw new Error(await response.text());
    return ((await response.json()) as { ids: string[] }).ids;
  }

  /** How many streams and held polls are open. */
  async connections(): Promise<number> {
    const response = await fetch(`${this.url}/api/sse/health`);
    const health = (await response.json()) as { connections: { total: number } };
    return health.connections.total;
  }

  async cursor(): Promise<string> {
    const response = await fetch(`${this.url}/api/realtime/cursor`, {
      headers: { Authorization: `Bearer ${this.token("publisher", 60)}` },
    });
    return ((await response.json()) as { cursor: string }).cursor;
  }

  /** A token that the server takes, for so many seconds. */
  token(user: string, seconds: number, permissions: readonly string[] = []): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      sub: user,
      roles: [],
      permissions,
      topics: [],
      iat: now,
      exp: now + seconds,
      jti: randomUUID(),
      aud: "tidewire",
      typ: "sse",
    };
    const text = [{ typ: "JWT", alg: "HS256" }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
  }
}

/** Starts one for the test that runs, and stops it after that. */
export async function serverForTest(options: ServerOptions = {}): Promise<Server> {
  const server = await Server.start(options);
  onTestFinished(() => server.stop());
  return server;
}

/** Waits until a proxy has found the server behind it. */
async function answers(proxy: string): Promise<void> {
  const options = { timeout: 10_000, interval: 20 };
  await vi.waitFor(async () => expect((await fetch(`${proxy}/readyz`)).status).toBe(200), options);
}
