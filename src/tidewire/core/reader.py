"""A reader: a cursor on the log, whom it reads for, and the sink that it writes to."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from tidewire.core.frame import Encoding
from tidewire.core.frames import Frames
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
        delivered_at: when an event was last written, monotonic seconds.
        catching_up: whether the hub reads on for it at this moment.
    """

    __slots__ = (
        "_topics",
        "catching_up",
        "cohort",
        "cursor",
        "delivered_at",
        "identity",
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
        self.delivered_at = 0.0
        self.catching_up = False

    @property
    def kind(self) -> tuple[frozenset[str], Encoding]:
        """Readers of one kind get the same bytes of what is for everyone."""
        return self.types, self.sink.encoding

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

    def take(self, entries: Iterable[Entry], max_bytes: int, frames: Frames) -> bytes:
        """Encodes what it sees of the entries, up to ``max_bytes`` and at most one frame
        beyond, and moves the cursor over what was looked at."""
        taken: list[bytes] = []
        size = 0
        cursor = self.cursor
        encoding = self.sink.encoding
        for entry in entries:
            if size >= max_bytes:
                break
            seen = entry.seen_by(cursor)
            cursor = entry.pass_by(cursor)
            if not seen and self.sees(entry):
                frame = frames.frame(entry, str(cursor), encoding)
                taken.append(frame)
                size += len(frame)
        self.cursor = cursor
        return b"".join(taken)
