"""The embedded log: entries in the memory of one process.

Offsets have no holes, so an entry's place in the list is its offset less the floor's, and a
cursor is found in one step; a time is found by bisection. Trimming moves a start index; the
list is cut when a sixteenth of it is dead, which costs an append sixteen moved pointers.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from tidewire.core.clock import Clock
from tidewire.core.event import Event
from tidewire.core.log import (
    PAGE_BYTES,
    PAGE_ENTRIES,
    Entry,
    Gap,
    IdempotencyKey,
    LogStats,
    Page,
)
from tidewire.core.position import Cursor, Edge, Position, Since, new_epoch
from tidewire.logs.keys import Keys
from tidewire.logs.retention import Retention

_DEAD_SHARE: Final = 16


class MemoryLog:
    """An `EventLog` that lives as long as its process."""

    name = "memory"

    def __init__(self, retention: Retention, *, clock: Clock) -> None:
        self._retention = retention
        self._clock = clock
        self._floor = self._head = Position(clock.now(), 0, new_epoch())
        self._entries: list[Entry] = []
        self._sizes: list[int] = []
        self._first = 0
        self._bytes = 0
        self._keys = Keys()
        self._grown = asyncio.Event()
        self._closed = False

    # Writing

    async def append(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        if not events or any(event.id is not None for event in events):
            raise ValueError("append takes one or more events that are not yet in a log")
        # The log's clock never goes backwards, whatever the machine's does.
        ms = max(self._head.ms, self._clock.now())
        known = self._keys.known(key, ms)
        if known is not None:
            return known
        positions = []
        for event in events:
            position = Position(ms, self._head.offset + 1, self._head.epoch)
            self._entries.append(
                Entry(position, event.type, event.target, event.body, event.session_id)
            )
            size = event.size
            self._sizes.append(size)
            self._bytes += size
            self._head = position
            positions.append(position)
        self._keys.remember(key, positions, ms)
        self._trim()
        self._grown.set()
        return positions

    def _trim(self) -> None:
        oldest = self._clock.now() - self._retention.seconds * 1000
        while self._first < len(self._entries) and (
            len(self._entries) - self._first > self._retention.events
            or self._bytes > self._retention.bytes
            or self._entries[self._first].position.ms < oldest
        ):
            self._floor = self._entries[self._first].position
            self._bytes -= self._sizes[self._first]
            self._first += 1
        if self._first > len(self._entries) // _DEAD_SHARE:
            del self._entries[: self._first]
            del self._sizes[: self._first]
            self._first = 0

    async def clear(self) -> int:
        """Trims everything: moves the floor to the head and keeps the epoch. Returns how many."""
        cleared = len(self._entries) - self._first
        self._floor = self._head
        self._entries.clear()
        self._sizes.clear()
        self._first = self._bytes = 0
        return cleared

    # Reading

    async def read(
        self,
        since: Since,
        *,
        limit: int = PAGE_ENTRIES,
        max_bytes: int = PAGE_BYTES,
        newest: int | None = None,
    ) -> Page:
        self._trim()
        start, gap = self._start(since)
        if newest is not None and not isinstance(since, Cursor):
            skip_to = self._head.offset - newest
            if skip_to > start.offset:
                start = self._at(skip_to)
                gap = Gap(str(since), start, "replayLimit")
        return Page(start, self._after(start, limit, max_bytes), self._head, gap)

    def recall(self, after: Position, *, limit: int, max_bytes: int) -> Page | None:
        """The entries after a position; None if exactly that position is not in the log."""
        self._trim()
        start, gap = self._honour(Cursor(after))
        return Page(start, self._after(start, limit, max_bytes), self._head) if not gap else None

    def _start(self, since: Since) -> tuple[Position, Gap | None]:
        if since is Edge.LATEST:
            return self._head, None
        if since is Edge.EARLIEST:
            return self._floor, None
        if isinstance(since, Cursor):
            return self._honour(since)
        if self._floor.offset and self._floor.ms >= since:
            return self._floor, Gap(str(since), self._floor, "expired")
        index = bisect_left(
            self._entries, since, lo=self._first, key=lambda entry: entry.position.ms
        )
        return self._at(self._floor.offset + index - self._first), None

    def _honour(self, cursor: Cursor) -> tuple[Position, Gap | None]:
        asked = cursor.position
        if asked.epoch != self._head.epoch:
            return self._floor, Gap(str(cursor), self._floor, "epoch")
        if asked.offset < self._floor.offset:
            return self._floor, Gap(str(cursor), self._floor, "expired")
        if asked.offset > self._head.offset:
            return self._head, Gap(str(cursor), self._head, "future")
        if asked != self._at(asked.offset):
            # The same epoch and offset at another time: no position of this log.
            return self._floor, Gap(str(cursor), self._floor, "epoch")
        return asked, None

    def _at(self, offset: int) -> Position:
        """The position with an offset between the floor's and the head's."""
        if offset == self._floor.offset:
            return self._floor
        return self._entries[self._first + offset - self._floor.offset - 1].position

    def _after(self, start: Position, limit: int, max_bytes: int) -> tuple[Entry, ...]:
        begin = end = self._first + start.offset - self._floor.offset
        last = min(begin + limit, len(self._entries))
        size = 0
        while end < last:
            size += self._sizes[end]
            if size > max_bytes and end > begin:
                break
            end += 1
        return tuple(self._entries[begin:end])

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        while not self._closed:
            if after == self._head:
                self._grown.clear()
                await self._grown.wait()
                continue
            page = await self.read(Cursor(after))
            after = page.end
            yield page

    async def stats(self) -> LogStats:
        """How full it is now."""
        self._trim()
        return LogStats(len(self._entries) - self._first, self._bytes, self._floor, self._head)

    async def close(self) -> None:
        self._closed = True
        self._grown.set()
