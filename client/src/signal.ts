/** What the links tell, and what follows from it. */
import { after, clear, type Draft } from "./draft.js";
import { fetchToken, forget, open } from "./link.js";
import type { Link, Signal } from "./model.js";
import { dropProbe } from "./probe.js";
import { fail, HELD_FAILURES, leave } from "./recovery.js";
import type { Control, Envelope, PollAnswer } from "./types.js";

/** Polls begin at least so long after one another, unless the log holds more. */
export const POLL_SPACING = 550;
/** A server that names no time is polled so often. */
export const SHORT_REST = 1_000;
/** A probe is given up when polls brought so many events meanwhile. */
export const MAX_OVERLAP = 5_000;

/** How long a stream may be silent. A busy server pings a little late. */
export function patience(pingInterval: number): number {
  return pingInterval + slack(pingInterval);
}

/** How much longer than it says it may be. */
export function slack(pingInterval: number): number {
  return Math.max(2_000, pingInterval / 10);
}

/** What the current link tells. */
export function hear(draft: Draft, link: Link, signal: Signal): void {
  switch (signal.type) {
    case "event":
      listen(draft, link);
      take(draft, signal.event, signal.cursor);
      return;
    case "control":
      listen(draft, link);
      obey(draft, link, signal.control, signal.cursor);
      return;
    case "answer":
      answered(draft, link, signal.answer);
      return;
    case "retry":
      draft.notBefore = draft.now + signal.after;
      return;
    case "failed":
      fail(draft, signal.failure);
      return;
  }
}

/** A stream said something. */
function listen(draft: Draft, link: Link): void {
  if (link.stream === null) return;
  draft.link = { ...link, heard: true };
  after(draft, "mute", patience(link.stream.pingInterval));
}

/** Hands an event over, unless that was done. */
function take(draft: Draft, event: Envelope, cursor: string | null): void {
  if (draft.overlap.has(event.id)) {
    const left = new Set(draft.overlap);
    left.delete(event.id);
    draft.overlap = left;
    // Unless something came out of turn, the cursor is further already.
    if (draft.link?.behind) return;
  } else {
    if (draft.link?.behind) draft.link = { ...draft.link, behind: false };
    draft.effects.push({ type: "event", event });
  }
  if (cursor !== null) draft.cursor = cursor;
}

/** Does what the current stream says. */
function obey(draft: Draft, link: Link, control: Control, cursor: string | null): void {
  draft.effects.push({ type: "control", control });
  switch (control.type) {
    case "connected":
      if (cursor !== null) draft.cursor = cursor;
      draft.link = {
        ...link,
        stream: {
          clientId: control.data.clientId,
          pingInterval: control.data.serverInfo.pingInterval,
        },
      };
      proved(draft);
      return;
    case "ping":
      // Within what was polled already it would lead back.
      if (cursor !== null && !(link.behind && draft.overlap.size)) draft.cursor = cursor;
      return;
    case "gap":
      draft.cursor = cursor ?? control.data.to;
      return;
    case "authExpiring":
      fetchToken(draft);
      return;
    case "error":
      fail(draft, control.data);
      return;
    case "disconnecting":
      leave(draft, control.data.reason, control.data.reconnectAfter);
      return;
  }
}

/** What is tried works. */
function work(draft: Draft): void {
  draft.phase = "open";
  draft.error = null;
  clear(draft, "open");
}

/** The current link is a stream that is open. */
function proved(draft: Draft): void {
  work(draft);
  draft.pollingFailures = 0;
  clear(draft, "open", "next", "climb");
  after(draft, "stable", draft.settings.stableAfter);
  if (draft.link?.stream) after(draft, "mute", patience(draft.link.stream.pingInterval));
}

function answered(draft: Draft, link: Link, answer: PollAnswer): void {
  // A stream that was begun from elsewhere does not go on from here.
  if (draft.probe !== null && (draft.probe.cursor === null || answer.gap !== null))
    dropProbe(draft);
  if (answer.gap !== null) {
    draft.effects.push({ type: "control", control: { type: "gap", data: answer.gap } });
  }
  for (const event of answer.events) take(draft, event, null);
  draft.cursor = answer.cursor;
  if (draft.probe !== null) {
    draft.overlap = new Set([...draft.overlap, ...answer.events.map((event) => event.id)]);
    if (draft.overlap.size > MAX_OVERLAP) dropProbe(draft);
  }
  work(draft);
  draft.refreshed = false;
  draft.link = null;
  if (draft.method === "shortPolling") {
    // It failed for a while even without being held: it was not the holding.
    if (draft.pollingFailures > HELD_FAILURES) climb(draft);
    else draft.pollingFailures = 0;
  } else if (link.held) draft.pollingFailures = 0;
  if (answer.hasMore) open(draft);
  else if (draft.method === "longPolling")
    draft.timers.next = Math.max(draft.now, link.openedAt + POLL_SPACING);
  else after(draft, "next", Math.max(SHORT_REST, answer.meta.nextPollIn));
}

/** Tries held polls again. One failure is enough to be back. */
export function climb(draft: Draft): void {
  draft.method = "longPolling";
  draft.pollingFailures = HELD_FAILURES - 1;
  clear(draft, "climb");
}

/** A stream that is tried beside the polls says something. */
export function hearProbe(draft: Draft, probe: Link, signal: Signal): void {
  if (signal.type === "retry") return;
  // One that starts with a gap would announce what the polls will find themselves, or did not miss.
  if (signal.type !== "control" || signal.control.type !== "connected" || signal.cursor === null) {
    dropProbe(draft, signal.type === "failed" ? signal.failure.retryAfter : null);
    return;
  }
  forget(draft);
  draft.method = "sse";
  draft.link = probe;
  draft.probe = null;
  draft.probes++;
  clear(draft, "probe", "probeOpen");
  obey(draft, probe, signal.control, null);
  draft.cursor ??= signal.cursor;
}
