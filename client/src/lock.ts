/** A request for the lock: how it is taken back, or the lock let go of. */
interface Claim {
  release: () => void;
}

/** The lock of a browser (Web Locks): asked for, had, and let go of, one claim at a time. */
export class Lock {
  readonly #tell: (happened: "granted" | "robbed" | "refused") => void;
  #claim: Claim | null = null;

  /** @param tell told what becomes of the newest claim; `refused`: the browser gives no locks. */
  constructor(tell: (happened: "granted" | "robbed" | "refused") => void) {
    this.#tell = tell;
  }

  /** Asks for the lock of that name; `steal`: takes it from whoever has it. */
  request(name: string, steal: boolean): void {
    this.release(0);
    const controller = new AbortController();
    const claim: Claim = { release: () => controller.abort() };
    this.#claim = claim;
    const current = () => claim === this.#claim;
    navigator.locks
      .request(name, steal ? { steal } : { signal: controller.signal }, () => {
        if (!current()) return;
        const held = new Promise<void>((release) => {
          claim.release = release;
        });
        this.#tell("granted");
        return held;
      })
      .catch((error: unknown) => {
        // Let go of by us; or taken from us; or never to be had.
        if (!current()) return;
        this.#claim = null;
        this.#tell((error as Error).name === "AbortError" ? "robbed" : "refused");
      });
  }

  /** Lets go of it, had or not, after so many milliseconds. */
  release(after: number): void {
    const claim = this.#claim;
    this.#claim = null;
    if (claim === null) return;
    if (after > 0) setTimeout(() => claim.release(), after);
    else claim.release();
  }
}
