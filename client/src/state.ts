/**
 * The whole life of a connection, as a function: `reduce(state, action, moment)`.
 *
 * The rules, from the top:
 *
 * - There is one cursor. It moves with what was handed to the handlers, and every link is opened
 *   from it; so whichever way events are read, each is handed over once, in the order of the log.
 * - A stream that fails is tried again. One that is mute, or was refused for its number, or failed
 *   too often, is replaced by polls that may be held; those, when they fail, by polls that are not.
 * - While it polls, streams are tried beside it, and polls go on until one has said `connected`.
 *   The more such a stream has disappointed, the later the next.
 * - Nothing but `disconnect`, a problem that trying again does not mend, or the server's word ends
 *   it; and then it says so.
 */
import { backoff } from "./backoff.js";
import { type Failure, failure } from "./failure.js";
import type {
  Action,
  Effect,
  Link,
  Method,
  Moment,
  Settings,
  Signal,
  State,
  Step,
  Timer,
} from "./model.js";
import type { Control, Envelope, PollAnswer } from "./types.js";

/** Polls begin at least so long after one another, unless the log holds more. */
export const POLL_SPACING = 550;
/** A server that names no time is polled so often. */
export const SHORT_REST = 1_000;
/** So many failures of polls in a row, and they are not held any more. */
export const HELD_FAILURES = 2;
/** Held polls are tried again after so long. */
export const CLIMB_AFTER = 300_000;
/** The first probe comes after at most so long, the later ones after up to so long. */
export const PROBE: { first: number; last: number } = { first: 10_000, last: 40_000 };
/** After a stream that a probe won did not last: the first time, and from then on. */
export const FLAP_REST = [60_000, 600_000] as const;
/** A probe is given up when polls brought so many events meanwhile. */
export const MAX_OVERLAP = 5_000;
/** What happens to a crowd at once is answered within so long: a proxy begins to buffer, a network
 *  comes back. */
export const SPREAD = 1_000;
/** A browser that believes to be offline may be wrong. */
export const OFFLINE_RETRY = 30_000;
/** Tokens are not renewed more often than that, whatever the clocks say. */
export const TOKEN_REST = 60_000;
/** A timer that is later than that has slept. Hidden pages are woken once a minute. */
export const SLEPT = 90_000;

const NOTHING: ReadonlySet<string> = new Set();

/** Nothing has failed yet. */
const FRESH = {
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

/** A connection that nobody has asked for. */
export function initial(settings: Settings, cursor: string | null = null): State {
  return {
    settings,
    ...FRESH,
    phase: "idle",
    method: "sse",
    pinned: false,
    cursor,
    timers: {},
    token: "none",
    fetching: null,
    tokenDue: null,
    hidden: false,
    reason: null,
    runs: 0,
  };
}

/** What follows when `action` happens in `state`. */
export function reduce(state: State, action: Action, moment: Moment): Step {
  const draft: Draft = {
    ...state,
    timers: { ...state.timers },
    now: moment.now,
    random: moment.random,
    effects: [],
  };
  act(draft, action);
  const { now, random: _, effects, ...next } = draft;
  if (state.phase === "open" && next.phase !== "open") {
    const due = next.timers.next;
    const data = {
      reason: next.reason ?? "closed",
      willReconnect: next.phase !== "idle" && next.phase !== "stopped",
      nextIn: due === undefined ? null : Math.max(0, due - now),
    };
    effects.push({ type: "control", control: { type: "disconnected", data } });
  }
  return { state: next, effects };
}

/** How long a stream may be silent. A busy server pings a little late. */
export function patience(pingInterval: number): number {
  return pingInterval + slack(pingInterval);
}

function slack(pingInterval: number): number {
  return Math.max(2_000, pingInterval / 10);
}

type Draft = { -readonly [Key in keyof State]: State[Key] } & {
  timers: Partial<Record<Timer, number>>;
  readonly now: number;
  readonly random: number;
  readonly effects: Effect[];
};

function act(draft: Draft, action: Action): void {
  switch (action.type) {
    case "connect":
      if (draft.phase === "idle" || draft.phase === "stopped") {
        begin(draft, draft.pinned ? "longPolling" : "sse", action.type);
      }
      return;
    case "reconnect":
    case "forceSSE":
      draft.pinned = false;
      begin(draft, "sse", action.type);
      return;
    case "forcePolling":
      draft.pinned = true;
      begin(draft, "longPolling", action.type);
      return;
    case "disconnect":
      rest(draft, "idle", "disconnect");
      return;
    case "signal":
      if (action.run === draft.link?.run) hear(draft, draft.link, action.signal);
      else if (action.run === draft.probe?.run) hearProbe(draft, draft.probe, action.signal);
      return;
    case "timer":
      ring(draft, action.timer);
      return;
    case "token":
      if (action.run === draft.fetching) arrive(draft, action.refreshAfter);
      return;
    case "tokenFailed":
      if (action.run === draft.fetching) missToken(draft, action.failure);
      return;
    case "hidden":
      draft.hidden = true;
      return;
    case "visible":
      show(draft);
      return;
    case "offline":
      if (active(draft) && draft.phase !== "frozen") {
        rest(draft, "offline", "offline");
        after(draft, "next", OFFLINE_RETRY);
      }
      return;
    case "online":
      // A whole office comes back at once.
      if (draft.phase === "offline" || draft.phase === "waiting") hurry(draft, SPREAD);
      return;
    case "freeze":
      if (active(draft)) rest(draft, "frozen", "freeze");
      return;
    case "resume":
      if (draft.phase === "frozen") open(draft);
      return;
  }
}

function clear(draft: Draft, ...timers: Timer[]): void {
  for (const timer of timers) delete draft.timers[timer];
}

/** Has a timer ring after `delay`. */
function after(draft: Draft, timer: Timer, delay: number): void {
  draft.timers[timer] = draft.now + delay;
}

function active(draft: Draft): boolean {
  return draft.phase !== "idle" && draft.phase !== "stopped";
}

/** Starts anew by the given way, as if nothing had failed. The cursor stays. */
function begin(draft: Draft, method: Method, reason: string): void {
  forget(draft);
  Object.assign(draft, FRESH);
  draft.phase = "opening";
  draft.reason = reason;
  draft.method = method;
  clear(draft, "probe", "probeOpen", "climb");
  open(draft);
}

/** Lets go of everything: no link and no timer is left. */
function rest(
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
function open(draft: Draft): void {
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

function link(draft: Draft, method: Method, held: boolean): Link {
  draft.runs += 1;
  return {
    run: draft.runs,
    method,
    cursor: draft.cursor,
    openedAt: draft.now,
    held,
    stream: null,
    heard: false,
    behind: false,
  };
}

/** Lets the current link go. */
function forget(draft: Draft): void {
  // The next link starts from a cursor that has all of what was polled; unless an event came out
  // of turn, then the rest of the overlap is still to come.
  if (draft.link?.behind && draft.overlap.size > 0) draft.overlap = NOTHING;
  draft.link = null;
  clear(draft, "next", "open", "mute", "stable");
}

function hear(draft: Draft, link: Link, signal: Signal): void {
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
    // The cursor is further already.
    return;
  }
  if (cursor !== null) draft.cursor = cursor;
  if (draft.link?.behind) draft.link = { ...draft.link, behind: false };
  draft.effects.push({ type: "event", event });
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
      if (cursor !== null && !(link.behind && draft.overlap.size > 0)) draft.cursor = cursor;
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

/** The server closes the stream, and says when to come back. */
function leave(draft: Draft, reason: string, reconnectAfter: number | null): void {
  if (reconnectAfter === null) stop(draft, failure("SENT_AWAY", reason, "none"), reason);
  else if (!draft.settings.autoReconnect) stop(draft, failure("CLOSED", reason), reason);
  else wait(draft, reason, reconnectAfter, reconnectAfter);
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
function climb(draft: Draft): void {
  draft.method = "longPolling";
  draft.pollingFailures = HELD_FAILURES - 1;
  clear(draft, "climb");
}

/** The current link did not open, or ended. */
function fail(draft: Draft, reason: Failure): void {
  if (reason.recovery === "none") {
    stop(draft, reason);
    return;
  }
  // What ran out while the stream was open, a cookie for instance, may be as good as new by now.
  const renewed = !draft.settings.refreshable && draft.link?.stream != null;
  if (reason.recovery === "refresh_token" && !renewed) {
    refresh(draft, reason);
    return;
  }
  if (!draft.settings.autoReconnect) {
    stop(draft, reason);
    return;
  }
  report(draft, reason);
  const streamed = draft.method === "sse";
  const attempt = streamed ? draft.sseFailures++ : draft.pollingFailures++;
  const down = reason.recovery === "fallback_polling";
  if (streamed && (down || draft.sseFailures >= draft.settings.maxReconnectAttempts)) {
    fallBack(draft, reason);
    return;
  }
  if (draft.method === "longPolling" && (down || draft.pollingFailures >= HELD_FAILURES)) {
    draft.method = "shortPolling";
  }
  wait(
    draft,
    reason.code,
    backoff(attempt, draft.random, draft.settings.backoff),
    reason.retryAfter ?? 0,
  );
}

/** From streams to polls. */
function fallBack(draft: Draft, reason: Failure): void {
  if (draft.probes > 0) draft.flaps += 1;
  draft.method = "longPolling";
  after(draft, "probe", Math.max(untilProbe(draft), reason.retryAfter ?? 0));
  // A wait that was asked of streams only is over with them.
  const least = reason.recovery === "fallback_polling" ? 0 : (reason.retryAfter ?? 0);
  wait(draft, reason.code, spread(draft, SPREAD), least);
}

/** Tries again after `delay`, and not before `least` whatever happens. */
function wait(draft: Draft, reason: string, delay: number, least = 0): void {
  forget(draft);
  draft.phase = "waiting";
  draft.reason = reason;
  draft.notBefore = Math.max(draft.notBefore, draft.now + least);
  draft.timers.next = Math.max(draft.notBefore, draft.now + delay);
}

/** Tries again within `limit`, where the server has no other wish. */
function hurry(draft: Draft, limit: number): void {
  draft.phase = "waiting";
  draft.timers.next = Math.max(draft.notBefore, draft.now + spread(draft, limit));
}

function spread(draft: Draft, limit: number): number {
  return Math.round(draft.random * limit);
}

function report(draft: Draft, reason: Failure, fatal = false): void {
  draft.error = reason;
  draft.effects.push({ type: "error", failure: reason, fatal });
}

/** It does not go on by itself. */
function stop(draft: Draft, reason: Failure, why = reason.code): void {
  report(draft, reason, true);
  rest(draft, "stopped", why);
}

/** Nobody knows us: a new token, once. */
function refresh(draft: Draft, reason: Failure): void {
  if (!draft.settings.refreshable || draft.refreshed) {
    stop(draft, reason);
    return;
  }
  report(draft, reason);
  draft.refreshed = true;
  draft.reason = reason.code;
  draft.token = "none";
  draft.tokenDue = null;
  open(draft);
}

function fetchToken(draft: Draft): void {
  if (!draft.settings.refreshable || draft.fetching !== null) return;
  draft.runs += 1;
  draft.fetching = draft.runs;
  clear(draft, "token");
  draft.effects.push({ type: "fetchToken", run: draft.runs });
}

function arrive(draft: Draft, refreshAfter: number | null): void {
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

function missToken(draft: Draft, reason: Failure): void {
  draft.fetching = null;
  if (draft.token === "none") {
    if (
      reason.category === "authentication" ||
      reason.recovery === "none" ||
      !draft.settings.autoReconnect
    ) {
      stop(draft, reason);
      return;
    }
    report(draft, reason);
    const delay = backoff(draft.tokenFailures++, draft.random, draft.settings.backoff);
    wait(draft, reason.code, delay, reason.retryAfter ?? 0);
    return;
  }
  // What is open goes on as long as it may.
  report(draft, reason);
  draft.tokenDue = draft.now + TOKEN_REST;
  draft.timers.token = draft.tokenDue;
}

function show(draft: Draft): void {
  draft.hidden = false;
  const { link } = draft;
  if (draft.phase === "waiting") hurry(draft, 0);
  // Nothing was heard when something should have been: the network may have changed in a sleep.
  else if (link?.stream && draft.now > (draft.timers.mute ?? 0) - slack(link.stream.pingInterval))
    reopen(draft);
}

/** The same again: what happened is nobody's failure. */
function reopen(draft: Draft): void {
  draft.reason = "slept";
  open(draft);
}

function ring(draft: Draft, timer: Timer): void {
  const due = draft.timers[timer];
  if (due === undefined || due > draft.now) return;
  delete draft.timers[timer];
  const slept = draft.now - due > SLEPT;
  switch (timer) {
    case "next":
      open(draft);
      return;
    case "open":
      if (slept) reopen(draft);
      else if (draft.phase === "authorizing")
        missToken(draft, failure("TOKEN_TIMEOUT", "No token came.", "retry"));
      else fail(draft, failure("OPEN_TIMEOUT", "Nothing came.", down(draft)));
      return;
    case "mute":
      if (slept) reopen(draft);
      // Whoever has heard nothing at all sits behind something that holds it back. A stream that
      // falls silent has lost its connection.
      else
        fail(
          draft,
          failure(
            "MUTE",
            "The stream is silent.",
            draft.link?.heard ? "retry" : "fallback_polling",
          ),
        );
      return;
    case "stable":
      draft.sseFailures = 0;
      draft.refreshed = false;
      draft.probes = 0;
      draft.flaps = 0;
      return;
    case "probe":
      if (draft.hidden || draft.phase === "authorizing") after(draft, "probe", untilProbe(draft));
      else {
        draft.probe = link(draft, "sse", false);
        after(draft, "probeOpen", draft.settings.openTimeout);
      }
      return;
    case "probeOpen":
      dropProbe(draft);
      return;
    case "climb":
      if (draft.method === "shortPolling") climb(draft);
      return;
    case "token":
      fetchToken(draft);
      return;
  }
}

function down(draft: Draft): "fallback_polling" | "retry" {
  return draft.method === "sse" ? "fallback_polling" : "retry";
}

/** A stream that is tried beside the polls says something. */
function hearProbe(draft: Draft, probe: Link, signal: Signal): void {
  if (signal.type === "retry") return;
  // One that starts with a gap would announce what the polls will find themselves, or did not miss.
  if (signal.type !== "control" || signal.control.type !== "connected" || signal.cursor === null) {
    dropProbe(draft, signal.type === "failed" ? signal.failure.retryAfter : null);
    return;
  }
  const { cursor } = draft;
  forget(draft);
  draft.method = "sse";
  draft.link = { ...probe, behind: draft.overlap.size > 0 };
  draft.probe = null;
  draft.probes += 1;
  clear(draft, "probe", "probeOpen");
  obey(draft, draft.link, signal.control, null);
  draft.cursor = cursor ?? signal.cursor;
}

function dropProbe(draft: Draft, retryAfter: number | null = null): void {
  draft.probe = null;
  draft.probes += 1;
  draft.overlap = NOTHING;
  clear(draft, "probeOpen");
  after(draft, "probe", Math.max(untilProbe(draft), retryAfter ?? 0));
}

function untilProbe(draft: Draft): number {
  if (draft.flaps > 0) return FLAP_REST[draft.flaps > 1 ? 1 : 0];
  // Not sooner than half of it: this one waits for a cure, not for its turn.
  const limit = Math.min(PROBE.last, PROBE.first * 2 ** Math.min(draft.probes, 30));
  return Math.round(limit * (0.5 + draft.random / 2));
}
