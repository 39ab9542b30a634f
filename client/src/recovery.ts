/** What follows a failure: another attempt, another way, another token, or the end. */
import { backoff } from "./backoff.js";
import { after, type Draft, spread } from "./draft.js";
import { type Failure, failure } from "./failure.js";
import { forget, open, rest, TOKEN_REST } from "./link.js";
import { untilProbe } from "./probe.js";

/** So many failures of polls in a row, and they are not held any more. */
export const HELD_FAILURES = 2;
/** What happens to a crowd at once is answered within so long: a proxy begins to buffer, a network
 *  comes back. */
export const SPREAD = 1_000;

/** The current link did not open, or ended. */
export function fail(draft: Draft, reason: Failure): void {
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
  if (draft.probes > 0) draft.flaps++;
  draft.method = "longPolling";
  after(draft, "probe", Math.max(untilProbe(draft), reason.retryAfter ?? 0));
  // A wait that was asked of streams only is over with them.
  const least = reason.recovery === "fallback_polling" ? 0 : (reason.retryAfter ?? 0);
  wait(draft, reason.code, spread(draft, SPREAD), least);
}

/** What is to be done where nothing comes of opening a link. */
export function down(draft: Draft): "fallback_polling" | "retry" {
  return draft.method === "sse" ? "fallback_polling" : "retry";
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
export function hurry(draft: Draft, limit: number): void {
  draft.phase = "waiting";
  draft.timers.next = Math.max(draft.notBefore, draft.now + spread(draft, limit));
}

/** The server closes the stream, and says when to come back. */
export function leave(draft: Draft, reason: string, reconnectAfter: number | null): void {
  // By another stream of this client, that it has given up: a node has read its request late.
  if (reason === "replaced") fail(draft, failure("CLOSED", reason));
  else if (reconnectAfter === null) stop(draft, failure("SENT_AWAY", reason, "none"), reason);
  else if (!draft.settings.autoReconnect) stop(draft, failure("CLOSED", reason), reason);
  else wait(draft, reason, reconnectAfter, reconnectAfter);
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

/** No token has come. */
export function missToken(draft: Draft, reason: Failure): void {
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
