/** When streams are tried beside the polls. The more they have disappointed, the later the next. */
import { after, clear, type Draft, NOTHING } from "./draft.js";

/** The first probe comes after at most so long, the later ones after up to so long. */
export const PROBE: { first: number; last: number } = { first: 10_000, last: 40_000 };
/** After a stream that a probe won did not last: the first time, and from then on. */
export const FLAP_REST = [60_000, 600_000] as const;

/** Gives up the stream that is tried, if one is. Another is tried later. */
export function dropProbe(draft: Draft, retryAfter: number | null = null): void {
  // What is left of an earlier overlap the cursor does not cover.
  if (draft.probe?.behind) draft.overlap = NOTHING;
  draft.probe = null;
  draft.probes++;
  clear(draft, "probeOpen");
  after(draft, "probe", Math.max(untilProbe(draft), retryAfter ?? 0));
}

/** How long it is until the next, in milliseconds. */
export function untilProbe(draft: Draft): number {
  if (draft.flaps > 0) return FLAP_REST[draft.flaps > 1 ? 1 : 0];
  // Not sooner than half of it: this one waits for a cure, not for its turn.
  const limit = Math.min(PROBE.last, PROBE.first * 2 ** Math.min(draft.probes, 30));
  return Math.round(limit * (0.5 + draft.random / 2));
}
