import { thrown } from "../failure.js";
import type { Signal } from "../model.js";

/**
 * Runs what can be aborted. What it throws is told as a failure of the network, and nothing that
 * it began outlives it.
 *
 * @returns aborts it.
 */
export function abortable(
  tell: (signal: Signal) => void,
  run: (signal: AbortSignal, tell: (signal: Signal) => void) => Promise<void>,
): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  const unlessAborted = (message: Signal) => {
    if (!signal.aborted) tell(message);
  };
  run(signal, unlessAborted)
    .catch((error: unknown) => {
      unlessAborted({ type: "failed", failure: thrown(error, "NETWORK") });
    })
    // A body of which nobody reads the rest would keep its connection.
    .finally(() => controller.abort());
  return () => controller.abort();
}
