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
 *
 * What happens is told apart here. What follows from it stands in `link.ts`, `probe.ts`, `signal.ts`
 * and `recovery.ts`, which write on a draft of the next state.
 */
import { after, type Draft, FRESH } from "./draft.js";
import { failure } from "./failure.js";
import { arrive, begin, fetchToken, link, open, rest } from "./link.js";
import type { Action, Moment, Settings, State, Step, Timer } from "./model.js";
import { dropProbe, untilProbe } from "./probe.js";
import { down, fail, hurry, missToken, SPREAD } from "./recovery.js";
import { climb, hear, hearProbe, slack } from "./signal.js";

/** A browser that believes to be offline may be wrong. */
export const OFFLINE_RETRY = 30_000;
/** A timer that is later than that has slept. Hidden pages are woken once a minute. */
export const SLEPT = 90_000;

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

function active(draft: Draft): boolean {
  return draft.phase !== "idle" && draft.phase !== "stopped";
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
