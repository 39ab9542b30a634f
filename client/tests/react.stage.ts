/** Where views are tested: a server, a page, and for each test a user of its own. */
import type { ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from "vitest";
import { Ledger } from "./react.ledger.js";
import { Server } from "./server.js";

const WAIT = { timeout: 10_000, interval: 10 };

export const eventually = <Result>(check: () => Result | Promise<Result>) =>
  vi.waitFor(check, WAIT);

export const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => from + n);

export class Stage {
  server!: Server;
  /** Of the test that runs. */
  ledger!: Ledger;
  user = "";
  /** What is mounted; it is unmounted after the test. */
  readonly roots: Root[] = [];
  #users = 0;

  /** Sets it up before the tests of a file. After each of them nothing is left of any view. */
  static forFile(): Stage {
    const stage = new Stage();
    beforeAll(async () => {
      stage.server = await Server.start();
    });
    afterAll(() => stage.server.stop());
    beforeEach(() => stage.#open());
    afterEach(() => stage.#close());
    return stage;
  }

  #open(): void {
    this.ledger = new Ledger();
    this.#users += 1;
    this.user = `user${this.#users}`;
  }

  async #close(): Promise<void> {
    for (const root of this.roots.splice(0)) root.unmount();
    try {
      await this.gone();
    } finally {
      this.ledger.close();
      vi.restoreAllMocks();
      document.body.replaceChildren();
    }
  }

  /** Waits until no request, timer, listener or connection is left. */
  async gone(): Promise<void> {
    await eventually(() => expect(this.ledger.open).toEqual([]));
    await eventually(async () => expect(await this.server.connections()).toBe(0));
  }

  mount(node: ReactNode): Root {
    const place = document.createElement("main");
    document.body.append(place);
    const root = createRoot(place);
    this.roots.push(root);
    root.render(node);
    return root;
  }

  /** Options that name server and user. */
  options<Options extends object>(rest: Options): Options & { endpoint: string; userId: string } {
    return { endpoint: `${this.server.url}/api/sse`, userId: this.user, ...rest };
  }

  publish(...numbers: number[]): Promise<string[]> {
    return this.server.publish(numbers, { metadata: { userIds: [this.user] } });
  }

  /**
   * Publishes the numbers up to 1,000 within a second, ten each 10 ms.
   *
   * @returns at most how often a view may be told of something up to now: once a frame.
   */
  async flood(): Promise<() => number> {
    const began = performance.now();
    for (const start of range(0, 100)) {
      await this.publish(...range(start * 10, start * 10 + 10));
      // The load is even: the rest of the 10 ms.
      const rest = began + (start + 1) * 10 - performance.now();
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
    return () => {
      const seconds = (performance.now() - began) / 1000;
      return Math.ceil(61 * Math.max(1, seconds));
    };
  }
}
