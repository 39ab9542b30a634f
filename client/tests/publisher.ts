/** Events with rising numbers, a steady stream of them. */
import { onTestFinished } from "vitest";
import type { Server } from "./server.js";

export class Publisher {
  /** The number of the last one that was accepted. */
  published: number;
  #stopped = false;
  readonly #running: Promise<void>;

  /** Publishes through `server`, one event each so many milliseconds, until it is stopped. */
  constructor(server: Server, interval: number, first = 1) {
    this.published = first - 1;
    this.#running = this.#run(server, interval);
    // It is `stop` that tells of a failure.
    this.#running.catch(() => {});
    // A test that failed does not come to that, and the next one counts from 1 again.
    onTestFinished(() => {
      this.#stopped = true;
    });
  }

  async #run(server: Server, interval: number): Promise<void> {
    const begun = performance.now() - this.published * interval;
    while (!this.#stopped) {
      await server.publish([this.published + 1]);
      this.published += 1;
      const rest = begun + this.published * interval - performance.now();
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
  }

  /** Stops, and returns the number of the last. */
  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#running;
    return this.published;
  }
}
