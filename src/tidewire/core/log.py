"""The log: the only truth. To publish is to append; nothing else makes an event or an id.

An implementation keeps entries in the order of their offsets, knows its floor (the position of
the last entry that it trimmed) and says exactly what a cursor missed. `EventLog` is what every
log must do; what only some can do is a protocol of its own beside it.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from tidewire.core.event import Event
from tidewire.core.position import Position, Since
from tidewire.core.target import Target

GapReason: TypeAlias = Literal["expired", "epoch", "future", "replayLimit"]

PAGE_ENTRIES: Final = 1_000
PAGE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as the log keeps it: where it stands, how to route it, what to send.

    Attributes:
        position: where it stands; its ``ms`` is the event's timestamp.
        type: the event's type.
        target: who may see it; never sent to subscribers.
        body: the event's JSON after ``id`` and ``timestamp`` (`Event.body`).
        session_id: stored with the event, never delivered.
    """

    position: Position
    type: str
    target: Target
    body: bytes
    session_id: str | None = None

    @property
    def id(self) -> str:
        """The event's identity."""
        return str(self.position)

    def event(self) -> Event:
        """The event, decoded, with its id, timestamp and targets. For administrators only."""
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
            id=self.id,
            timestamp=self.position.ms,
        )


@dataclass(frozen=True, slots=True)
class Gap:
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


@dataclass(frozen=True, slots=True)
class Page:
    """What one read found.

    Attributes:
        start: where the reading began, after the gap if there was one.
        entries: in order, without holes, the first directly after ``start``.
        head: the log's last position at the time of the read.
        gap: what was missed between the place asked for and ``start``; None if nothing.
    """

    start: Position
    entries: tuple[Entry, ...]
    head: Position
    gap: Gap | None = None

    @property
    def end(self) -> Position:
        """Everything up to here was read."""
        return self.entries[-1].position if self.entries else self.start

    @property
    def more(self) -> bool:
        """Whether the log held more at the time of the read."""
        return self.end.offset < self.head.offset


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Makes a repeated publish harmless.

    Attributes:
        scope: who uses the key, and the key: the same in both is the same publish.
        digest: of what is published: another digest under the same scope is a mistake.
    """

    scope: str
    digest: str


class EventLog(Protocol):
    """What every log does. Offsets only grow, also over the epochs of one log."""

    name: str
    """Where events are kept, as ``meta.eventSource`` says it: ``memory``, ``redis``."""

    async def append(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        """Appends all or nothing, in order, and returns the positions.

        With a key that was used for the same digest within ten minutes, nothing is appended
        and the first positions are returned.

        Raises:
            IdempotencyConflict: the key was used for another digest.
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


@dataclass(frozen=True, slots=True)
class LogStats:
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
