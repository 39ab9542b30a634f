/** What the client has open in a page: timers, frames and listeners; and which requests it made. */
import { vi } from "vitest";

export class Ledger {
  /** What is open by its name; of a listener, by what it is ended. */
  readonly #open = new Map<string, AbortSignal | null>();
  readonly #restore: (() => void)[] = [];
  /** The paths that were asked for, of streams and polls. */
  readonly requests: URL[] = [];
  #listeners = 0;

  /** Notes what is opened from now on. */
  constructor() {
    this.#note("setTimeout", "clearTimeout");
    this.#note("setInterval", "clearInterval");
    this.#note("requestAnimationFrame", "cancelAnimationFrame");
    for (const target of [window, document]) this.#noteListeners(target);
    const { fetch } = globalThis;
    const spy = vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
      const url = new URL(String(input));
      if (/\/(sse|polling)$/.test(url.pathname)) this.requests.push(url);
      return fetch(input, init);
    });
    this.#restore.push(() => spy.mockRestore());
  }

  /** What is open now. */
  get open(): string[] {
    return [...this.#open].flatMap(([name, signal]) => (signal?.aborted ? [] : [name]));
  }

  close(): void {
    for (const restore of this.#restore) restore();
  }

  #note(begin: string, end: string): void {
    type Begin = (act: (...rest: unknown[]) => void, ...rest: unknown[]) => unknown;
    type End = (handle: unknown) => void;
    const page = globalThis as unknown as Record<string, Begin | End>;
    const [begins, ends] = [page[begin] as Begin, page[end] as End];
    const names = new Map<unknown, string>();
    let count = 0;
    const forget = (handle: unknown) => {
      this.#open.delete(names.get(handle) ?? "");
      names.delete(handle);
    };
    page[begin] = ((act, ...rest) => {
      const handle = begins(
        (...given: unknown[]) => {
          if (begin !== "setInterval") forget(handle);
          act(...given);
        },
        ...rest,
      );
      if (!ours()) return handle;
      count += 1;
      const name = `${begin} ${count}`;
      names.set(handle, name);
      this.#open.set(name, null);
      return handle;
    }) as Begin;
    page[end] = ((handle) => {
      forget(handle);
      ends(handle);
    }) as End;
    this.#restore.push(() => Object.assign(page, { [begin]: begins, [end]: ends }));
  }

  #noteListeners(target: Window | Document): void {
    const add = target.addEventListener;
    const remove = target.removeEventListener;
    const names = new Map<unknown, string>();
    target.addEventListener = ((
      type: string,
      listener: never,
      options?: { signal?: AbortSignal },
    ) => {
      this.#listeners += 1;
      const name = `${type} ${this.#listeners}`;
      names.set(listener, name);
      if (ours()) this.#open.set(name, options?.signal ?? null);
      add.call(target, type, listener, options);
    }) as typeof add;
    target.removeEventListener = ((type: string, listener: never) => {
      this.#open.delete(names.get(listener) ?? "");
      remove.call(target, type, listener);
    }) as typeof remove;
    this.#restore.push(() =>
      Object.assign(target, { addEventListener: add, removeEventListener: remove }),
    );
  }
}

/** React has listeners for ever, and the network of Node timers of its own. */
function ours(): boolean {
  return new Error().stack?.includes("/client/src/") ?? false;
}
