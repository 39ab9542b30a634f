/** Web Locks, as far as tabs use them, for pages that run in Node. */

interface Request {
  readonly run: () => Promise<unknown> | undefined;
  readonly reject: (error: Error) => void;
  readonly resolve: (value: unknown) => void;
}

export class Locks {
  /** Whether the browser keeps them from the page, as it does where a page may store nothing. */
  forbidden = false;
  asked = 0;
  readonly #held = new Map<string, Request>();
  readonly #waiting = new Map<string, Request[]>();

  get held(): number {
    return this.#held.size;
  }

  request(
    name: string,
    options: { steal?: boolean; signal?: AbortSignal },
    run: () => Promise<unknown> | undefined,
  ): Promise<unknown> {
    this.asked += 1;
    if (this.forbidden) return Promise.reject(new DOMException("forbidden", "SecurityError"));
    return new Promise((resolve, reject) => {
      const request = { run, resolve, reject };
      const waiting = this.#waiting.get(name) ?? [];
      this.#waiting.set(name, waiting);
      if (options.steal) {
        this.#held.get(name)?.reject(new DOMException("stolen", "AbortError"));
        this.#give(name, request);
        return;
      }
      waiting.push(request);
      options.signal?.addEventListener("abort", () => {
        const index = waiting.indexOf(request);
        if (index < 0) return;
        waiting.splice(index, 1);
        reject(new DOMException("aborted", "AbortError"));
      });
      this.#next(name);
    });
  }

  #next(name: string): void {
    const next = this.#held.has(name) ? undefined : this.#waiting.get(name)?.shift();
    if (next !== undefined) this.#give(name, next);
  }

  #give(name: string, request: Request): void {
    this.#held.set(name, request);
    queueMicrotask(async () => {
      const value = await request.run();
      if (this.#held.get(name) !== request) return;
      this.#held.delete(name);
      request.resolve(value);
      this.#next(name);
    });
  }
}
