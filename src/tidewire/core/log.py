"""The log: the only truth. To publish is to append; nothing else makes an event or an id.

An implementation keeps entries in the order of their offsets, knows its floor (the position of
the last entry that it trimmed) and says exactly what a cursor missed. `EventLog` is what every
log must do; what only some can do is a protocol of its own beside it.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from tidewire.core.event import Event
from tidewire.core.position import Cursor, Position, Since
from tidewire.core.target import Target

GapReason: TypeAlias = Literal["expired", "epoch", "future", "replayLimit"]

PAGE_ENTRIES: Final = 1_000
PAGE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as the log keeps it: where it stands, how to route it, what to send.

    Attributes:
        position: where it stands.
        type: the event's type.
        target: who may see it; never sent to subscribers.
        body: the event's JSON after ``id`` and ``timestamp`` (`Event.body`).
        session_id: stored with the event, never delivered.
        producer: who appended it, where a log has several who do; "" where it has one.
        number: its place among all that its producer brings; they stand in the log in this
            order.
        accepted: the place in a spool where it was accepted, for an event that came to the log
            later, and for one that still waits for that; it gave the event its id.
    """

    position: Position
    type: str
    target: Target
    body: bytes
    session_id: str | None = None
    producer: str = ""
    number: int = 0
    accepted: Position | None = None

    @property
    def in_log(self) -> bool:
        """Whether it stands in the log, and not only in a spool: there the epoch is the name of
        the producer."""
        return self.position.epoch != self.producer

    @property
    def id(self) -> str:
        """The event's identity."""
        return str(self.accepted or self.position)

    @property
    def timestamp(self) -> int:
        """When it was accepted, Unix milliseconds."""
        return (self.accepted or self.position).ms

    def seen_by(self, cursor: Cursor) -> bool:
        """Whether a reader at this cursor has had it, out of turn."""
        # Where a log has one producer nothing is numbered, and nothing comes out of turn.
        return bool(cursor.seen) and 0 < self.number <= cursor.last_seen(self.producer)

    def pass_by(self, cursor: Cursor) -> Cursor:
        """The cursor of a reader who stood there, after this entry."""
        if self.in_log:
            return cursor.passed(self.position, self.producer, self.number)
        return cursor.saw(self.producer, self.number)

    def event(self) -> Event:
        """The event, decoded, with its id, timestamp and targets. For administrators only."""
        return self._decoded(id=self.id, timestamp=self.timestamp)

    def fresh(self) -> Event:
        """The event as it was before any log accepted it."""
        return self._decoded(id=None, timestamp=None)

    def _decoded(self, *, id: str | None, timestamp: int | None) -> Event:  # noqa: A002
        content: dict[str, Any] = json.loads(b"{" + self.body)
        metadata = content.get("metadata", {})
        if self.session_id is not None:
            metadata["sessionId"] = self.session_id
        return Event(
            self.type,
            content["data"],
            priority=content["priority"],
            source=content["source"],
            metadata=metadata,
            target=self.target,
            id=id,
            timestamp=timestamp,
        )


class Gap(NamedTuple):
    """What lies in ``(from_, to]`` was missed, and why.

    Attributes:
        from_: the place that was asked for, as it was written.
        to: the place where reading goes on.
        reason: ``expired`` (trimmed), ``epoch`` (another log), ``future`` (nothing there yet),
            ``replayLimit`` (more than this server replays).
    """

    from_: str
    to: Position
    reason: GapReason


class Page(NamedTuple):
    """What one read found.

    Attributes:
        start: where the reading began, after the gap if there was one.
        entries: in order, without holes, the first directly after ``start``; or entries of a
            spool, which stand beside the log.
        head: the log's last position at the time of the read.
        gap: what was missed between the place asked for and ``start``; None if nothing.
    """

    start: Position
    entries: tuple[Entry, ...]
    head: Position
    gap: Gap | None = None

    @property
    def end(self) -> Position:
        """Everything in the log up to here was read."""
        last = self.entries[-1] if self.entries else None
        return self.start if last is None or not last.in_log else last.position

    @property
    def more(self) -> bool:
        """Whether the log held more at the time of the read."""
        return self.end.offset < self.head.offset


class IdempotencyKey(NamedTuple):
    """Makes a repeated publish harmless.

    Attributes:
        scope: who uses the key, and the key: the same in both is the same publish.
        digest: of what is published: another digest under the same scope is a mistake.
    """

    scope: str
    digest: str


class EventLog(Protocol):
    """What every log does. Offsets only grow, also over the epochs of one log."""

    @property
    def name(self) -> str:
        """Where events come from at the moment, as ``meta.eventSource`` says it: ``memory``,
        ``redis``, ``spool``."""
        ...

    async def append(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        """Appends all or nothing, in order, and returns the positions.

        With a key that was used for the same digest within ten minutes, nothing is appended
        and the first positions are returned.

        Raises:
            IdempotencyConflict: the key was used for another digest.
            LogAway: the log cannot be reached, or takes nothing.
            ValueError: no events, or an event that already has an id.
        """
        ...

    async def read(
        self,
        since: Since,
        *,
        limit: int = PAGE_ENTRIES,
        max_bytes: int = PAGE_BYTES,
        newest: int | None = None,
    ) -> Page:
        """Reads on from a place.

        A cursor is honoured only if exactly its position is held, or is the floor. Every other
        one gets a gap: ``expired`` below the floor (goes on from the floor), ``future`` above
        the head (goes on from the head), ``epoch`` otherwise (goes on from the floor).
        Milliseconds get a gap only if an entry of that time or later was trimmed.

        Args:
            since: where to start.
            limit: entries at most; 0 only finds the place.
            max_bytes: bytes of events at most, but at least one entry.
            newest: where ``since`` is not a cursor: start at most this many entries before the
                head, and tell what that leaves out as a gap ``replayLimit``.

        Raises:
            LogAway: the log cannot be reached.
        """
        ...

    def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        """Yields what comes after a position, page by page, and waits for more, for ever.

        No page is empty unless it has a gap. Ends only when the log is closed.
        """
        ...

    async def close(self) -> None:
        """Releases what the log holds; followers end."""
        ...


@runtime_checkable
class Opened(Protocol):
    """A log that has to take its place before it is followed."""

    async def open(self) -> None:
        """Takes its place; a second time does nothing.

        Raises:
            LogAway: the log cannot be reached.
        """
        ...


@runtime_checkable
class Recalling(Protocol):
    """A log of which this node has the last entries in its memory."""

    def recall(self, after: Position, *, limit: int, max_bytes: int) -> Page | None:
        """What comes after a position, at once and as far as this node knows of it; None if it
        does not remember everything since. The page's head is the last that it remembers."""
        ...


class Condition(NamedTuple):
    """How a log is.

    Attributes:
        accepts: whether an append would be accepted.
        hearing: whether what others append reaches this node, or could not at the moment.
        degraded: whether what is accepted reaches only this node for now.
        reason: why, in words for an operator; "" where nothing is wrong.
        spooled: events that were accepted and are not yet in the log.
    """

    accepts: bool = True
    hearing: bool = True
    degraded: bool = False
    reason: str = ""
    spooled: int = 0


@runtime_checkable
class Degradable(Protocol):
    """A log that keeps going on this node alone while it is away."""

    @property
    def condition(self) -> Condition: ...

    def durable(self, position: Position) -> bool:
        """Whether what was accepted at this position outlives this process."""
        ...


class LogStats(NamedTuple):
    """How full a log is. ``floor`` and ``head`` bound what can be read: ``(floor, head]``."""

    entries: int
    bytes: int
    floor: Position
    head: Position


@runtime_checkable
class Measured(Protocol):
    """A log that can say how full it is."""

    async def stats(self) -> LogStats: ...


@runtime_checkable
class Clearable(Protocol):
    """A log that can forget on demand."""

    async def clear(self) -> int:
        """Trims everything: moves the floor to the head and keeps the epoch. Returns how many."""
        ...
