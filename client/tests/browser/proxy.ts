/** A reverse proxy that passes everything on, or holds back for ever what streams bring. */
import { once } from "node:events";
import { type ClientRequest, createServer, type Server as Process, request } from "node:http";
import type { AddressInfo } from "node:net";

export class ReverseProxy {
  readonly url: string;
  /** Whether it holds back what streams bring: those that open, and those that are open. One
   *  that was held back stays so: for it nothing is healed. */
  buffering = false;
  /** How many streams it has held something of back. */
  silenced = 0;
  /** How late it passes on what streams bring first, in milliseconds. */
  lag = 0;
  readonly #process: Process;
  readonly #upstream: Set<ClientRequest>;

  private constructor(process: Process, upstream: Set<ClientRequest>) {
    this.url = `http://127.0.0.1:${(process.address() as AddressInfo).port}`;
    this.#process = process;
    this.#upstream = upstream;
  }

  static async start(target: string): Promise<ReverseProxy> {
    const upstream = new Set<ClientRequest>();
    const process = createServer((asked, answer) => {
      const { method, url, headers } = asked;
      const passed = request(target + url, { method, headers });
      upstream.add(passed);
      passed.on("close", () => upstream.delete(passed));
      passed.on("error", () => answer.destroy());
      passed.on("response", (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        answer.flushHeaders();
        const stream = response.headers["content-type"]?.startsWith("text/event-stream");
        // What cuts it cuts the answer, too.
        response.on("error", () => answer.destroy());
        if (stream && proxy.lag > 0) {
          response.pause();
          setTimeout(() => response.resume(), proxy.lag);
        }
        const held: Buffer[] = [];
        response.on("data", (chunk: Buffer) => {
          // What follows what is held must not overtake it.
          if (!stream || !(proxy.buffering || held.length > 0)) answer.write(chunk);
          else if (held.push(chunk) === 1) proxy.silenced += 1;
        });
        response.on("end", () => answer.end(Buffer.concat(held)));
      });
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
    });
    process.listen(0, "127.0.0.1");
    await once(process, "listening");
    const proxy = new ReverseProxy(process, upstream);
    return proxy;
  }

  async stop(): Promise<void> {
    const closed = once(this.#process, "close");
    this.#process.close();
    for (const request of this.#upstream) request.destroy();
    this.#process.closeAllConnections();
    await closed;
  }
}
