/** A state on its way to the next: what is written on while an action happens. */
import type { Effect, State, Timer } from "./model.js";

export type Draft = { -readonly [Key in keyof State]: State[Key] } & {
  timers: Partial<Record<Timer, number>>;
  readonly now: number;
  readonly random: number;
  readonly effects: Effect[];
};

/** No event is to come again. */
export const NOTHING: ReadonlySet<string> = new Set();

/** Nothing has failed yet. */
export const FRESH = {
  link: null,
  probe: null,
  sseFailures: 0,
  pollingFailures: 0,
  probes: 0,
  flaps: 0,
  tokenFailures: 0,
  refreshed: false,
  notBefore: 0,
  error: null,
  overlap: NOTHING,
} as const;

export function clear(draft: Draft, ...timers: Timer[]): void {
  for (const timer of timers) delete draft.timers[timer];
}

/** Has a timer ring after `delay`. */
export function after(draft: Draft, timer: Timer, delay: number): void {
  draft.timers[timer] = draft.now + delay;
}

/** Up to `limit`: a crowd comes spread out. */
export function spread(draft: Draft, limit: number): number {
  return Math.round(draft.random * limit);
}
