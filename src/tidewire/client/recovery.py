"""What follows a failure: another attempt, another way to read, another token, or the end."""

from typing import Final

from tidewire.client.draft import Draft
from tidewire.client.failure import Failure
from tidewire.client.links import TOKEN_REST, forget, open_link, rest
from tidewire.client.probes import until_probe

HELD_FAILURES: Final = 2
"""So many failures of polls in a row, and they are not held any more."""
SPREAD: Final = 1_000
"""What happens to a crowd at once is answered within so long, in ms: a proxy begins to buffer."""


def fail(draft: Draft, failure: Failure) -> None:
    """The current link did not open, or ended."""
    state, settings = draft.state, draft.state.settings
    if failure.recovery == "none":
        _stop(draft, failure)
        return
    # What ran out while the stream was open, a cookie for instance, may be as good as new by now.
    streamed = state.link is not None and state.link.stream is not None
    renewed = not settings.refreshable and streamed
    if failure.recovery == "refresh_token" and not renewed:
        _refresh(draft, failure)
        return
    if not settings.auto_reconnect:
        _stop(draft, failure)
        return
    draft.report(failure)
    down = failure.recovery == "fallback_polling"
    if state.method == "sse":
        attempt = state.sse_failures
        state.sse_failures += 1
        if down or state.sse_failures >= settings.max_reconnect_attempts:
            _fall_back(draft, failure)
            return
    else:
        attempt = state.polling_failures
        state.polling_failures += 1
        if state.method == "longPolling" and (down or state.polling_failures >= HELD_FAILURES):
            state.method = "shortPolling"
    delay = settings.backoff.delay(attempt, draft.random)
    _wait(draft, failure.code, delay, failure.retry_after or 0)


def leave(draft: Draft, reason: str, reconnect_after: float | None) -> None:
    """The server closes the stream, and says when to come back."""
    if reason == "replaced":
        # By another stream of this client, that it has given up: a node has read its request late.
        fail(draft, Failure("CLOSED", reason))
    elif reconnect_after is None:
        _stop(draft, Failure("SENT_AWAY", reason, recovery="none"), reason)
    elif not draft.state.settings.auto_reconnect:
        _stop(draft, Failure("CLOSED", reason), reason)
    else:
        _wait(draft, reason, reconnect_after, reconnect_after)


def miss_token(draft: Draft, failure: Failure) -> None:
    """No token has come."""
    state, settings = draft.state, draft.state.settings
    state.fetching = None
    if state.token == "held":
        # What is open goes on as long as it may.
        draft.report(failure)
        state.token_due = state.timers["token"] = draft.now + TOKEN_REST
        return
    refused = failure.category == "authentication" or failure.recovery == "none"
    if refused or not settings.auto_reconnect:
        _stop(draft, failure)
        return
    draft.report(failure)
    delay = settings.backoff.delay(state.token_failures, draft.random)
    state.token_failures += 1
    _wait(draft, failure.code, delay, failure.retry_after or 0)


def _wait(draft: Draft, reason: str, delay: float, least: float = 0) -> None:
    """Tries again after ``delay``, and not before ``least`` whatever happens."""
    state = draft.state
    forget(draft)
    state.phase = "waiting"
    state.reason = reason
    state.not_before = max(state.not_before, draft.now + least)
    state.timers["next"] = max(state.not_before, draft.now + delay)


def _stop(draft: Draft, failure: Failure, reason: str | None = None) -> None:
    """It does not go on by itself."""
    draft.report(failure, fatal=True)
    rest(draft, "stopped", failure.code if reason is None else reason)


def _fall_back(draft: Draft, failure: Failure) -> None:
    """From streams to polls."""
    state = draft.state
    if state.probes > 0:
        state.flaps += 1
    state.method = "longPolling"
    after = failure.retry_after or 0
    draft.after("probe", max(until_probe(draft), after))
    # A wait that was asked of streams only is over with them.
    least = 0 if failure.recovery == "fallback_polling" else after
    _wait(draft, failure.code, round(draft.random * SPREAD), least)


def _refresh(draft: Draft, failure: Failure) -> None:
    """Nobody knows us: a new token, once."""
    state = draft.state
    if not state.settings.refreshable or state.refreshed:
        _stop(draft, failure)
        return
    draft.report(failure)
    state.refreshed = True
    state.reason = failure.code
    state.token = "none"
    state.token_due = None
    open_link(draft)
