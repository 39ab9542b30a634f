"""The life of a connection as data: what is known, what can happen, and what is to be done.

Nothing here or in `tidewire.client.state`, which decides by it, does anything. The connection keeps
as many links and timers as the state says there are, and carries out the effects. The words are
those of the browser's client. What concerns a page (hidden, frozen, offline) has no place here, and
what concerns a consumer that is slower than the stream has none there.

Times are milliseconds of a clock that never jumps.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from tidewire.client.backoff import Backoff
from tidewire.client.failure import Failure
from tidewire.client.messages import Control, Envelope, Gap, PollAnswer

BACKOFF: Final = Backoff(500, 30_000)

Method: TypeAlias = Literal["sse", "longPolling", "shortPolling"]
"""How events are read: a ladder, the best way first."""

Phase: TypeAlias = Literal["idle", "authorizing", "opening", "open", "waiting", "stopped"]
"""
==============  =========================================================================
phase           means
==============  =========================================================================
``idle``        nobody asked for a connection, or it was ended by ``disconnect``
``authorizing`` a token is being fetched; nothing is open
``opening``     a link was asked for and has not proved itself
``open``        events arrive: a stream said ``connected``, or a poll was answered
``waiting``     it failed, and is tried again when the timer ``next`` is due
``stopped``     it failed in a way that trying again does not mend, or was told to stay away
==============  =========================================================================
"""

Timer: TypeAlias = Literal["next", "open", "mute", "stable", "probe", "probeOpen", "climb", "token"]
"""
=============  ==========================================================================
timer          when it is due
=============  ==========================================================================
``next``       the next link is opened: the next poll, or the next attempt
``open``       the link should have proved itself
``mute``       the stream should have said something
``stable``     the stream has lasted, and its failures are forgotten
``probe``      a stream is tried beside the polls
``probeOpen``  that stream should have proved itself
``climb``      held polls are tried again
``token``      a new token is fetched
=============  ==========================================================================
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a stream said when it opened.

    Attributes:
        client_id: by what name the server knows it.
        ping_interval: how long it is silent at most, ms.
    """

    client_id: str
    ping_interval: float


@dataclass(frozen=True, slots=True)
class Link:
    """One request to the server: a stream, or a poll.

    Attributes:
        run: its number. What comes from a link that is not the current one any more counts for
            nothing.
        method: which it is.
        cursor: where it reads from; None = from where one starts without a cursor.
        opened_at: when it was asked for.
        held: whether an empty answer to this poll may be held.
        stream: what the stream said when it opened; None before, and for polls.
        heard: whether anything came after ``connected``.
        behind: whether the cursor covers what was polled beside this link, and what it brings of
            that is behind the cursor.
    """

    run: int
    method: Method
    cursor: str | None
    opened_at: float
    held: bool = False
    stream: Opened | None = None
    heard: bool = False
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same.

    Attributes:
        auto_reconnect: whether it connects again by itself.
        max_reconnect_attempts: so many failures of streams in a row, and it polls.
        open_timeout: until when a link must have proved itself, ms.
        stable_after: how long a stream must last for its failures to be forgotten, ms.
        hold: how long a poll may be held, ms.
        backoff: how long it waits after failures.
        refreshable: whether there is a way to get another token.
    """

    auto_reconnect: bool = True
    max_reconnect_attempts: int = 5
    open_timeout: float = 10_000
    stable_after: float = 30_000
    hold: float = 25_000
    backoff: Backoff = BACKOFF
    refreshable: bool = False


@dataclass(slots=True)
class State:
    """All that is known. Nobody but `reduce` changes one, and only a copy of its own.

    Attributes:
        settings: what stays the same.
        phase: see `Phase`.
        method: the rung of the ladder.
        pinned: whether it was told to poll: then no stream is tried.
        cursor: everything up to here was delivered.
        link: what events are read by.
        probe: a stream that is tried while polls go on.
        timers: when each is due.
        sse_failures: of streams, in a row.
        polling_failures: of polls, in a row.
        probes: probes in a row that came to nothing.
        flaps: streams in a row that a probe won and that did not last.
        overlap: ids of events that were polled while a probe was on its way: its stream brings
            them again.
        token: whether there is one.
        fetching: the number of the token that is being fetched, if one is.
        token_due: when the token should be replaced, as far as that is known.
        token_failures: in a row.
        refreshed: whether a 401 was answered by a new token, and that has not proved itself since.
        not_before: before that the server does not want to be asked again.
        paused: whether the consumer has enough to do: nothing more is read, and nobody wonders
            that nothing comes.
        reason: why it is not, or was last not, connected.
        error: the failure of that.
        runs: the number of the newest link or token.
    """

    settings: Settings
    phase: Phase = "idle"
    method: Method = "sse"
    pinned: bool = False
    cursor: str | None = None
    link: Link | None = None
    probe: Link | None = None
    timers: dict[Timer, float] = field(default_factory=dict)
    sse_failures: int = 0
    polling_failures: int = 0
    probes: int = 0
    flaps: int = 0
    overlap: frozenset[str] = frozenset()
    token: Literal["none", "held"] = "none"
    fetching: int | None = None
    token_due: float | None = None
    token_failures: int = 0
    refreshed: bool = False
    not_before: float = 0
    paused: bool = False
    reason: str | None = None
    error: Failure | None = None
    runs: int = 0


# What links tell.


@dataclass(frozen=True, slots=True)
class Message:
    """A stream brought something.

    Attributes:
        content: an event of the log, or a control event.
        cursor: where to go on from after it; None if it has none.
    """

    content: Envelope | Control
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A poll was answered."""

    answer: PollAnswer


@dataclass(frozen=True, slots=True)
class Retry:
    """The stream said when to come back, should it end: after so many ms."""

    after: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The link did not open, or ended."""

    failure: Failure


Signal: TypeAlias = Message | Answered | Retry | Failed

# What can happen.

Command: TypeAlias = Literal[
    "connect", "disconnect", "reconnect", "forceSSE", "forcePolling", "pause", "resume"
]
"""What somebody wants of a connection. ``pause``: the consumer has enough to do; ``resume``: it has
room again."""


@dataclass(frozen=True, slots=True)
class Told:
    """A link told something."""

    run: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class Rang:
    """A timer rang."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class TokenCame:
    """A token is there, and should be replaced at that time; None: nobody knows."""

    run: int
    refresh_after: float | None = None


@dataclass(frozen=True, slots=True)
class TokenMissed:
    """No token came."""

    run: int
    failure: Failure


Action: TypeAlias = Command | Told | Rang | TokenCame | TokenMissed


@dataclass(frozen=True, slots=True)
class Moment:
    """What time it is, and a random number from 0 up to but not including 1."""

    now: float
    random: float


# What is to be done.


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something for the consumer."""

    item: Envelope | Gap | Control


@dataclass(frozen=True, slots=True)
class Report:
    """Something failed; ``fatal``: and it does not go on by itself."""

    failure: Failure
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class FetchToken:
    """A token is wanted, under this number."""

    run: int


@dataclass(frozen=True, slots=True)
class Extend:
    """The open stream of this name shall live as long as the new token."""

    client_id: str


Effect: TypeAlias = Delivery | Report | FetchToken | Extend


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: the next state, and what is to be done, in order."""

    state: State
    effects: tuple[Effect, ...] = ()
