"""A reader: a cursor on the log, whom it reads for, and the sink that it writes to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

from tidewire.core.frame import Encoding
from tidewire.core.log import Entry
from tidewire.core.position import Cursor
from tidewire.core.target import Identity

if TYPE_CHECKING:
    from tidewire.core.cohort import Cohort

HIGH_WATER: Final = 16 * 1024
"""Bytes that a sink holds before it has no more room."""


class Sink(Protocol):
    """Where a reader writes. It never blocks."""

    on_room: Callable[[], None] | None
    """Called when there is room again after there was none. Set while somebody waits for it."""

    @property
    def encoding(self) -> Encoding:
        """How it is written to."""
        ...

    def offer(self, data: bytes) -> bool:
        """Takes bytes if there is room; False if there is none, and nothing was taken."""
        ...

    def write(self, data: bytes) -> None:
        """Takes bytes, whether there is room or not: for the little that must be said."""
        ...

    def room(self) -> bool:
        """Whether fewer than `HIGH_WATER` bytes wait to be taken by the peer."""
        ...

    def blocked_since(self) -> float | None:
        """Since when the peer takes nothing of what waits: monotonic seconds, or None."""
        ...

    def close(self) -> None:
        """Ends the stream once what was written has left. Writes no more after that."""
        ...

    def abort(self) -> None:
        """Ends the stream now."""
        ...


Refusal: TypeAlias = tuple[int, Exception | None]
"""Which of several sinks took nothing: it had no room, or this went wrong."""


@runtime_checkable
class Bulk(Protocol):
    """A sink whose like can be offered the same bytes many at once."""

    @staticmethod
    def offer_all(sinks: Sequence[Any], data: bytes) -> list[Refusal]:
        """Offers bytes to all of these sinks, which are of this class. Returns those that took
        nothing, and raises nothing."""
        ...


def offer_each(sinks: Sequence[Sink], data: bytes) -> list[Refusal]:
    """Offers bytes to sinks one by one; as `Bulk.offer_all`."""
    refused: list[Refusal] = []
    for index, sink in enumerate(sinks):
        try:
            if not sink.offer(data):
                refused.append((index, None))
        except Exception as error:
            refused.append((index, error))
    return refused


class Kin:
    """Live readers who want the same types and are written to in the same way: what is for
    everyone is the same bytes for all of them.

    Attributes:
        types: the event types that are wanted; empty = all.
        encoding: how they are written to.
        readers: who they are, and where each writes; in the order in which they came.
        delivered_at: when something was last written to all of them, monotonic seconds.
        delivered: how many events were written to all of them.
    """

    __slots__ = ("_offer_all", "delivered", "delivered_at", "encoding", "readers", "types")

    def __init__(self, first: "Reader") -> None:
        """Makes the kin of a reader, still without it."""
        sink = first.sink
        self.types = first.types
        self.encoding = sink.encoding
        self.readers: dict[Reader, Sink] = {}
        self.delivered_at = 0.0
        self.delivered = 0
        self._offer_all: Callable[[Sequence[Any], bytes], list[Refusal]] = (
            sink.offer_all if isinstance(sink, Bulk) else offer_each
        )

    def offer(self, data: bytes) -> list[Refusal]:
        """Offers bytes to all, in order; as `Bulk.offer_all`."""
        return self._offer_all(tuple(self.readers.values()), data)


class ReaderState(Enum):
    """Live: has all that the hub has seen. Behind: reads on from its own cursor."""

    BEHIND = "behind"
    LIVE = "live"
    CLOSED = "closed"


class Reader:
    """Somebody who reads the log.

    A live reader stands where its cohort stands; ``cursor`` is its own place only while it is
    behind.

    Attributes:
        identity: who reads, as they are now, with the topics that are subscribed.
        types: the event types that are wanted; empty = all.
        sink: where it writes.
        cursor: read up to here, while the reader is behind.
        state: live, behind or closed; changed by the hub alone.
        cohort: with whom it is live; None while it is not.
        kin: those of them who get the same of what is for everyone; None while it is not live.
        catching_up: whether the hub reads on for it at this moment.
    """

    __slots__ = (
        "_delivered",
        "_delivered_at",
        "_topics",
        "catching_up",
        "cohort",
        "cursor",
        "identity",
        "kin",
        "sink",
        "state",
        "types",
    )

    def __init__(
        self,
        identity: Identity,
        sink: Sink,
        cursor: Cursor,
        *,
        types: frozenset[str] = frozenset(),
        topics: frozenset[str] = frozenset(),
    ) -> None:
        """Makes a reader that stands behind, at ``cursor``.

        Raises:
            Forbidden: a topic is not granted to the identity.
        """
        self._topics = topics
        self.identity = identity.subscribed(topics)
        self.types = types
        self.sink = sink
        self.cursor = cursor
        self.state = ReaderState.BEHIND
        self.cohort: Cohort | None = None
        self.kin: Kin | None = None
        self._delivered = 0
        self._delivered_at = 0.0
        self.catching_up = False

    @property
    def delivered_at(self) -> float:
        """When an event was last written, monotonic seconds."""
        own = self._delivered_at
        return own if self.kin is None else max(own, self.kin.delivered_at)

    @delivered_at.setter
    def delivered_at(self, now: float) -> None:
        self._delivered_at = now

    @property
    def delivered(self) -> int:
        """How many events were written to it."""
        # While it is live, less what its kin had been given before it came.
        return self._delivered + (0 if self.kin is None else self.kin.delivered)

    def was_given(self, events: int, now: float) -> None:
        """So many events were written to it alone; ``now`` in monotonic seconds."""
        self._delivered += events
        self._delivered_at = now

    def was_not_given(self, events: int) -> None:
        """It got nothing of so many events that its kin is about to be given."""
        self._delivered -= events

    def join(self, kin: Kin) -> None:
        """Is given from now on what its kin is given."""
        self.kin = kin
        self._delivered -= kin.delivered

    def part(self) -> None:
        """Is given only what is written to it alone; what its kin was given, it was given."""
        if self.kin is not None:
            self._delivered += self.kin.delivered
            self._delivered_at = max(self._delivered_at, self.kin.delivered_at)
            self.kin = None

    def behind(self) -> bool:
        """Whether it reads on from its own cursor."""
        return self.state is ReaderState.BEHIND

    def become(self, identity: Identity) -> None:
        """Reads on as this identity; topics that it does not grant are no longer subscribed."""
        topics = self._topics & identity.topics
        self.identity = identity if topics == identity.topics else replace(identity, topics=topics)

    def sees(self, entry: Entry) -> bool:
        """Whether this entry is wanted, and may be seen by the identity as it is now."""
        return (not self.types or entry.type in self.types) and entry.target.includes(self.identity)

    def went(self, cursor: Cursor, events: int) -> None:
        """Stands at a cursor now, and was given so many events on the way."""
        self.cursor = cursor
        self._delivered += events
