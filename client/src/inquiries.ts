import type { Link, Signal } from "./model.js";
import type { Source } from "./source.js";
import type { Transport } from "./transports/transport.js";
import type { PollAnswer } from "./types.js";

/** They are answered within so long, in milliseconds, if nothing else was said. */
const ANSWER = 10_000;

/** What is asked of the server beside a connection: polls that are answered once, or not at all. */
export class Inquiries {
  readonly #poll: Transport;
  readonly #patience: number;
  readonly #open = new Set<() => void>();

  constructor(poll: Transport, patience: number | undefined) {
    this.#poll = poll;
    this.#patience = patience ?? ANSWER;
  }

  /** What the log has from `cursor` on; null if no answer comes. */
  ask(source: Source, cursor: string): Promise<PollAnswer | null> {
    const link = { cursor, held: false } as Link;
    return new Promise((resolve) => {
      const done = (answer: PollAnswer | null) => {
        clearTimeout(timer);
        this.#open.delete(end);
        resolve(answer);
      };
      const tell = (signal: Signal) => done(signal.type === "answer" ? signal.answer : null);
      const close = this.#poll(source, link, tell);
      const end = () => {
        close();
        done(null);
      };
      const timer = setTimeout(end, this.#patience);
      this.#open.add(end);
    });
  }

  /** Gives up what is being asked. */
  end(): void {
    for (const end of this.#open) end();
  }
}
