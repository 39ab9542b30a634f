"""What links tell, and what comes of it: deliveries, and a cursor that moves with them."""

from dataclasses import replace
from typing import Final

from tidewire.client.draft import Draft
from tidewire.client.failure import Failure, problem_failure
from tidewire.client.links import fetch_token, listen_for, open_link, win
from tidewire.client.messages import Control, Envelope, PollAnswer, gap_of
from tidewire.client.model import Answered, Failed, Link, Message, Opened, Retry, Signal
from tidewire.client.probes import drop_probe
from tidewire.client.recovery import HELD_FAILURES, fail, leave

POLL_SPACING: Final = 550
"""Polls begin at least so long after one another, unless the log holds more. All in ms."""
SHORT_REST: Final = 1_000
"""A server that names no time is polled so often."""
MAX_OVERLAP: Final = 5_000
"""A probe is given up when polls brought so many events meanwhile."""


def hear(draft: Draft, link: Link, signal: Signal) -> None:
    """The current link tells something."""
    match signal:
        case Message(content, cursor):
            _listen(draft, link)
            if isinstance(content, Envelope):
                _take(draft, content, cursor)
            else:
                _obey(draft, link, content, cursor)
        case Answered(answer):
            _answered(draft, link, answer)
        case Retry(after):
            draft.state.not_before = draft.now + after
        case Failed(failure):
            fail(draft, failure)


def hear_probe(draft: Draft, probe: Link, signal: Signal) -> None:
    """A stream that is tried beside the polls says something."""
    state = draft.state
    if isinstance(signal, Retry):
        return
    # One that starts with a gap would announce what the polls will find themselves, or did not
    # miss.
    if (
        not isinstance(signal, Message)
        or signal.content.type != "connected"
        or isinstance(signal.content, Envelope)
        or signal.cursor is None
    ):
        drop_probe(draft, signal.failure.retry_after if isinstance(signal, Failed) else None)
        return
    cursor = state.cursor
    win(draft, probe)
    _obey(draft, probe, signal.content, None)
    state.cursor = signal.cursor if cursor is None else cursor


def climb(draft: Draft) -> None:
    """Tries held polls again. One failure is enough to be back."""
    draft.state.method = "longPolling"
    draft.state.polling_failures = HELD_FAILURES - 1
    draft.clear("climb")


def _listen(draft: Draft, link: Link) -> None:
    """A stream said something."""
    if link.stream is not None:
        if not link.heard:
            draft.state.link = replace(link, heard=True)
        listen_for(draft, link.stream)


def _take(draft: Draft, event: Envelope, cursor: str | None) -> None:
    """Delivers an event, unless that was done."""
    state = draft.state
    behind = state.link is not None and state.link.behind
    if event.id in state.overlap:
        state.overlap -= {event.id}
        # Unless something came out of turn, the cursor is further already.
        if behind:
            return
    else:
        if state.link is not None and behind:
            state.link = replace(state.link, behind=False)
        draft.deliver(event)
    if cursor is not None:
        state.cursor = cursor


def _obey(draft: Draft, link: Link, control: Control, cursor: str | None) -> None:
    """Does what the current stream says."""
    state, data = draft.state, control.data
    draft.deliver(gap_of(data, control.raw) if control.type == "gap" else control)
    match control.type:
        case "connected":
            if cursor is not None:
                state.cursor = cursor
            opened = Opened(data["clientId"], data["serverInfo"]["pingInterval"])
            state.link = replace(link, stream=opened)
            _proved(draft, opened)
        case "ping":
            # Within what was polled already it would lead back.
            if cursor is not None and not (link.behind and state.overlap):
                state.cursor = cursor
        case "gap":
            state.cursor = data["to"] if cursor is None else cursor
        case "authExpiring":
            fetch_token(draft)
        case "error":
            failure = problem_failure(data)
            fail(draft, failure or Failure(data["code"], str(data.get("detail", data["code"]))))
        case "disconnecting":
            leave(draft, data["reason"], data["reconnectAfter"])


def _work(draft: Draft) -> None:
    """What is tried works."""
    draft.state.phase = "open"
    draft.state.error = None
    draft.clear("open")


def _proved(draft: Draft, stream: Opened) -> None:
    """The current link is a stream that is open."""
    _work(draft)
    draft.state.polling_failures = 0
    draft.clear("next", "climb")
    draft.after("stable", draft.state.settings.stable_after)
    listen_for(draft, stream)


def _answered(draft: Draft, link: Link, answer: PollAnswer) -> None:
    state = draft.state
    # A stream that was begun from elsewhere does not go on from here.
    if state.probe is not None and (state.probe.cursor is None or answer.gap is not None):
        drop_probe(draft)
    if answer.gap is not None:
        draft.deliver(answer.gap)
    for event in answer.events:
        _take(draft, event, None)
    state.cursor = answer.cursor
    if state.probe is not None:
        state.overlap |= {event.id for event in answer.events}
        if len(state.overlap) > MAX_OVERLAP:
            drop_probe(draft)
    _work(draft)
    state.refreshed = False
    state.link = None
    if state.method == "shortPolling":
        # It failed for a while even without being held: it was not the holding.
        if state.polling_failures > HELD_FAILURES:
            climb(draft)
        else:
            state.polling_failures = 0
    elif link.held:
        state.polling_failures = 0
    if state.paused:
        return
    if answer.has_more:
        open_link(draft)
    elif state.method == "longPolling":
        state.timers["next"] = max(draft.now, link.opened_at + POLL_SPACING)
    else:
        draft.after("next", max(SHORT_REST, answer.next_poll_in))
