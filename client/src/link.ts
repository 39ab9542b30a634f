/** The links that are opened, and let go of; and the token that they are opened with. */
import { after, clear, type Draft, FRESH, NOTHING } from "./draft.js";
import type { Link, Method } from "./model.js";
import { untilProbe } from "./probe.js";

/** Held polls are tried again after so long. */
export const CLIMB_AFTER = 300_000;
/** Tokens are not renewed more often than that, whatever the clocks say. */
export const TOKEN_REST = 60_000;

/** Starts anew by the given way, as if nothing had failed. The cursor stays. */
export function begin(draft: Draft, method: Method, reason: string): void {
  forget(draft);
  Object.assign(draft, FRESH);
  draft.phase = "opening";
  draft.reason = reason;
  draft.method = method;
  clear(draft, "probe", "probeOpen", "climb");
  open(draft);
}

/** Lets go of everything: no link and no timer is left. */
export function rest(
  draft: Draft,
  phase: "idle" | "stopped" | "offline" | "frozen",
  reason: string,
): void {
  forget(draft);
  draft.phase = phase;
  draft.reason = reason;
  draft.probe = null;
  draft.overlap = NOTHING;
  draft.timers = {};
  if (phase === "idle" || phase === "stopped") {
    // Whoever connects next may be somebody else.
    draft.token = "none";
    draft.tokenDue = null;
    // Nobody watches the page any more.
    draft.hidden = false;
  } else if (draft.fetching !== null) draft.tokenDue = draft.now;
  draft.fetching = null;
}

/** Opens a link by the way we are on, now, from the cursor. */
export function open(draft: Draft): void {
  forget(draft);
  if (draft.settings.refreshable && draft.token === "none") {
    draft.phase = "authorizing";
    after(draft, "open", draft.settings.openTimeout);
    fetchToken(draft);
    return;
  }
  const polls = draft.method !== "sse";
  // An answer at once is what proves that polling works; only then it is worth waiting for one.
  const held = draft.method === "longPolling" && draft.phase === "open";
  draft.link = link(draft, draft.method, held);
  after(draft, "open", draft.settings.openTimeout + (held ? draft.settings.hold : 0));
  if (!(polls && draft.phase === "open")) draft.phase = "opening";
  if (draft.tokenDue !== null && draft.fetching === null) draft.timers.token = draft.tokenDue;
  if (draft.method === "shortPolling") draft.timers.climb ??= draft.now + CLIMB_AFTER;
  if (polls && !draft.pinned && draft.probe === null)
    draft.timers.probe ??= draft.now + untilProbe(draft);
}

/** Another link, by the given way: nothing has come of it yet. */
export function link(draft: Draft, method: Method, held: boolean): Link {
  draft.runs++;
  return {
    run: draft.runs,
    method,
    cursor: draft.cursor,
    openedAt: draft.now,
    held,
    stream: null,
    heard: false,
    // What is left of an earlier overlap came out of turn: the cursor does not cover it.
    behind: !draft.overlap.size,
  };
}

/** Lets the current link go. */
export function forget(draft: Draft): void {
  // The next link starts from a cursor that has all of what was polled; unless an event came out
  // of turn, then the rest of the overlap is still to come.
  if (draft.link?.behind) draft.overlap = NOTHING;
  draft.link = null;
  clear(draft, "next", "open", "mute", "stable");
}

/** Asks for a token, unless that was done. */
export function fetchToken(draft: Draft): void {
  if (!draft.settings.refreshable || draft.fetching !== null) return;
  draft.runs++;
  draft.fetching = draft.runs;
  clear(draft, "token");
  draft.effects.push({ type: "fetchToken", run: draft.runs });
}

/** The token has come. */
export function arrive(draft: Draft, refreshAfter: number | null): void {
  draft.fetching = null;
  draft.token = "held";
  draft.tokenFailures = 0;
  // Where the clocks disagree, a new token may look old.
  draft.tokenDue = refreshAfter === null ? null : Math.max(refreshAfter, draft.now + TOKEN_REST);
  if (draft.tokenDue !== null) draft.timers.token = draft.tokenDue;
  if (draft.phase === "authorizing") open(draft);
  else if (draft.link?.stream)
    draft.effects.push({ type: "extend", clientId: draft.link.stream.clientId });
}
