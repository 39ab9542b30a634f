import type { ConnectionOptions } from "./connection.js";

/** A cursor that is kept as long as the tab is: `sessionStorage` has one for each of them. */
export class KeptCursor {
  readonly #key: string;

  constructor({ endpoint, userId, types, topics, params }: ConnectionOptions) {
    this.#key = `tidewire ${JSON.stringify([endpoint, userId, types, topics, params])}`;
  }

  get(): string | null {
    try {
      return sessionStorage.getItem(this.#key);
    } catch {
      // A page may not be allowed to keep anything.
      return null;
    }
  }

  set(cursor: string): void {
    try {
      sessionStorage.setItem(this.#key, cursor);
    } catch {
      // Then it starts as if it had kept none.
    }
  }
}
