"""The whole life of a connection, as a function: ``reduce(state, action, moment)``.

The rules, from the top:

- There is one cursor. It moves with what was delivered, and every link is opened from it; so
  whichever way events are read, each is delivered once, in the order of the log.
- A stream that fails is tried again. One that is mute, or was refused for its number, or failed too
  often, is replaced by polls that may be held; those, when they fail, by polls that are not.
- While it polls, streams are tried beside it, and polls go on until one has said ``connected``. The
  more such a stream has disappointed, the later the next.
- Who cannot follow stops reading, and not the connection.
- Nothing but ``disconnect``, a problem that trying again does not mend, or the server's word ends
  it; and then it says so.

What links tell stands in `tidewire.client.signals`, what follows a failure in
`tidewire.client.recovery`, and how links are opened and let go of in `tidewire.client.links`.
"""

from typing import Final

from tidewire.client.draft import Draft
from tidewire.client.failure import Failure
from tidewire.client.links import (
    arrive,
    begin,
    fetch_token,
    open_link,
    pause,
    reopen,
    rest,
    resume,
    try_stream,
)
from tidewire.client.messages import Control
from tidewire.client.model import (
    Action,
    Moment,
    Rang,
    Settings,
    State,
    Step,
    Timer,
    TokenCame,
    TokenMissed,
    Told,
)
from tidewire.client.probes import drop_probe, until_probe
from tidewire.client.recovery import fail, miss_token
from tidewire.client.signals import climb, hear, hear_probe
from tidewire.core.errors import Recovery

SLEPT: Final = 90_000
"""A timer that is later than that, in ms, has slept, and with it the whole process."""


def initial(settings: Settings, cursor: str | None = None) -> State:
    """A connection that nobody has asked for."""
    return State(settings, cursor=cursor)


def reduce(state: State, action: Action, moment: Moment) -> Step:
    """What follows when ``action`` happens in ``state``."""
    draft = Draft(state, moment)
    _act(draft, action)
    following = draft.state
    if state.phase == "open" and following.phase != "open":
        due = following.timers.get("next")
        data = {
            "reason": following.reason or "closed",
            "willReconnect": following.phase not in ("idle", "stopped"),
            "nextIn": None if due is None else max(0, due - moment.now),
        }
        draft.deliver(Control("disconnected", data))
    return Step(following, tuple(draft.effects))


def _act(draft: Draft, action: Action) -> None:
    state = draft.state
    match action:
        case "connect":
            if state.phase in ("idle", "stopped"):
                begin(draft, "longPolling" if state.pinned else "sse", action)
        case "reconnect" | "forceSSE":
            state.pinned = False
            begin(draft, "sse", action)
        case "forcePolling":
            state.pinned = True
            begin(draft, "longPolling", action)
        case "disconnect":
            rest(draft, "idle", action)
        case "pause":
            pause(draft)
        case "resume":
            resume(draft)
        case Told(run, signal):
            if state.link is not None and run == state.link.run:
                hear(draft, state.link, signal)
            elif state.probe is not None and run == state.probe.run:
                hear_probe(draft, state.probe, signal)
        case Rang(timer):
            _ring(draft, timer)
        case TokenCame(run, refresh_after):
            if run == state.fetching:
                arrive(draft, refresh_after)
        case TokenMissed(run, failure):
            if run == state.fetching:
                miss_token(draft, failure)


def _ring(draft: Draft, timer: Timer) -> None:
    state = draft.state
    due = state.timers.get(timer)
    if due is None or due > draft.now:
        return
    del state.timers[timer]
    slept = draft.now - due > SLEPT
    match timer:
        case "next":
            open_link(draft)
        case "open":
            if slept:
                reopen(draft)
            elif state.phase == "authorizing":
                miss_token(draft, Failure("TOKEN_TIMEOUT", "No token came."))
            else:
                down: Recovery = "fallback_polling" if state.method == "sse" else "retry"
                fail(draft, Failure("OPEN_TIMEOUT", "Nothing came.", recovery=down))
        case "mute":
            if slept:
                reopen(draft)
            else:
                # Whoever has heard nothing at all sits behind something that holds it back. A
                # stream that falls silent has lost its connection.
                heard = state.link is not None and state.link.heard
                recovery: Recovery = "retry" if heard else "fallback_polling"
                fail(draft, Failure("MUTE", "The stream is silent.", recovery=recovery))
        case "stable":
            state.sse_failures = state.probes = state.flaps = 0
            state.refreshed = False
        case "probe":
            if state.phase == "authorizing":
                draft.after("probe", until_probe(draft))
            else:
                try_stream(draft)
        case "probeOpen":
            drop_probe(draft)
        case "climb":
            if state.method == "shortPolling":
                climb(draft)
        case "token":
            fetch_token(draft)
