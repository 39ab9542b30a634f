"""The links that are opened, and let go of; and the token that they are opened with."""

from typing import Final

from tidewire.client.draft import Draft
from tidewire.client.model import Extend, FetchToken, Link, Method, Opened, Phase
from tidewire.client.probes import until_probe

CLIMB_AFTER: Final = 300_000
"""Held polls are tried again after so long. All in ms."""
TOKEN_REST: Final = 60_000
"""Tokens are not renewed more often than that, whatever the clocks say."""


def begin(draft: Draft, method: Method, reason: str) -> None:
    """Starts anew by the given way, as if nothing had failed. The cursor stays."""
    state = draft.state
    forget(draft)
    state.probe = None
    state.sse_failures = state.polling_failures = state.token_failures = 0
    state.probes = state.flaps = 0
    state.refreshed = False
    state.not_before = 0
    state.error = None
    state.phase = "opening"
    state.reason = reason
    state.method = method
    draft.clear("probe", "probeOpen", "climb")
    open_link(draft)


def rest(draft: Draft, phase: Phase, reason: str) -> None:
    """Lets go of everything: no link and no timer is left."""
    state = draft.state
    forget(draft)
    state.phase = phase
    state.reason = reason
    state.probe = None
    state.timers = {}
    # Whoever connects next may be somebody else.
    state.token = "none"
    state.token_due = None
    state.fetching = None


def open_link(draft: Draft) -> None:
    """Opens a link by the way we are on, now, from the cursor."""
    state = draft.state
    forget(draft)
    if state.settings.refreshable and state.token == "none":
        state.phase = "authorizing"
        draft.after("open", state.settings.open_timeout)
        fetch_token(draft)
        return
    polls = state.method != "sse"
    # An answer at once is what proves that polling works; only then one is worth waiting for.
    held = state.method == "longPolling" and state.phase == "open"
    state.link = _link(draft, state.method, held=held)
    draft.after("open", state.settings.open_timeout + (state.settings.hold if held else 0))
    if not (polls and state.phase == "open"):
        state.phase = "opening"
    if state.token_due is not None and state.fetching is None:
        state.timers["token"] = state.token_due
    if state.method == "shortPolling":
        state.timers.setdefault("climb", draft.now + CLIMB_AFTER)
    if polls and not state.pinned and state.probe is None:
        state.timers.setdefault("probe", draft.now + until_probe(draft))


def reopen(draft: Draft) -> None:
    """The same again: what happened is nobody's failure."""
    draft.state.reason = "slept"
    open_link(draft)


def forget(draft: Draft) -> None:
    """Lets the current link go."""
    state = draft.state
    # The next link starts from a cursor that has all of what was polled; unless an event came
    # out of turn, then the rest of the overlap is still to come.
    if state.link is not None and state.link.behind:
        state.overlap = frozenset()
    state.link = None
    draft.clear("next", "open", "mute", "stable")


def patience(ping_interval: float) -> float:
    """How long a stream may be silent, in ms. A busy server pings a little late."""
    return ping_interval + max(2_000, ping_interval / 10)


def listen_for(draft: Draft, stream: Opened) -> None:
    """Expects a stream to say something in time; unless nobody reads what it says."""
    if not draft.state.paused:
        draft.after("mute", patience(stream.ping_interval))


def pause(draft: Draft) -> None:
    """The consumer has enough to do."""
    state = draft.state
    state.paused = True
    draft.clear("mute")
    if state.phase == "open" and state.method != "sse":
        # The next poll when there is room for what it brings. One that is let go of has had no
        # time to bring anything.
        forget(draft)


def resume(draft: Draft) -> None:
    """The consumer has room again."""
    state = draft.state
    if not state.paused:
        return
    state.paused = False
    if state.phase != "open":
        return
    if state.link is None:
        state.timers.setdefault("next", draft.now)
    elif state.link.stream is not None:
        # What came meanwhile is heard now.
        listen_for(draft, state.link.stream)


def try_stream(draft: Draft) -> None:
    """Opens a probe: a stream beside the polls."""
    draft.state.probe = _link(draft, "sse")
    draft.after("probeOpen", draft.state.settings.open_timeout)


def win(draft: Draft, probe: Link) -> None:
    """Makes a probe the current link."""
    state = draft.state
    forget(draft)
    state.method = "sse"
    state.link = probe
    state.probe = None
    state.probes += 1
    draft.clear("probe", "probeOpen")


def fetch_token(draft: Draft) -> None:
    """Asks for a token, unless that was done."""
    state = draft.state
    if not state.settings.refreshable or state.fetching is not None:
        return
    state.fetching = draft.next_run()
    draft.clear("token")
    draft.effects.append(FetchToken(state.fetching))


def arrive(draft: Draft, refresh_after: float | None) -> None:
    """The token has come."""
    state = draft.state
    state.fetching = None
    state.token = "held"
    state.token_failures = 0
    state.token_due = None
    if refresh_after is not None:
        # Where the clocks disagree, a new token may look old.
        state.token_due = state.timers["token"] = max(refresh_after, draft.now + TOKEN_REST)
    if state.phase == "authorizing":
        open_link(draft)
    elif state.link is not None and state.link.stream is not None:
        draft.effects.append(Extend(state.link.stream.client_id))


def _link(draft: Draft, method: Method, *, held: bool = False) -> Link:
    state = draft.state
    # What is left of an earlier overlap came out of turn: the cursor does not cover it.
    behind = not state.overlap
    return Link(draft.next_run(), method, state.cursor, draft.now, held, behind=behind)
