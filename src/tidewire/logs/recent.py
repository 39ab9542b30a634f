"""The entries that a node has heard last, without a hole between them."""

from collections.abc import Sequence
from typing import Final

from tidewire.core.clock import Clock
from tidewire.core.log import Entry, Page
from tidewire.core.position import Position
from tidewire.logs.retention import Retention

RECENT_EVENTS: Final = 20_000
RECENT_BYTES: Final = 16 * 1024 * 1024

_DEAD_SHARE: Final = 8


class Recent:
    """What lies in ``(start, end]``: within the bounds of the log, and within these."""

    __slots__ = ("_bytes", "_clock", "_entries", "_first", "_retention", "_start")

    def __init__(self, start: Position, retention: Retention, clock: Clock) -> None:
        self._clock = clock
        self._retention = Retention(
            min(retention.events, RECENT_EVENTS),
            retention.seconds,
            min(retention.bytes, RECENT_BYTES),
        )
        self.restart(start)

    def restart(self, start: Position) -> None:
        """Forgets everything, and goes on from a position."""
        self._start = start
        self._entries: list[Entry] = []
        self._first = 0
        self._bytes = 0

    @property
    def end(self) -> Position:
        """The last that was heard."""
        return self._entries[-1].position if self._first < len(self._entries) else self._start

    def hear(self, entries: Sequence[Entry]) -> None:
        """Takes the next entries. Where they do not follow on what was heard, it begins anew
        with the first of them."""
        for entry in entries:
            end = self.end
            position = entry.position
            if position.epoch != end.epoch or position.offset != end.offset + 1:
                self.restart(position)
                continue
            self._entries.append(entry)
            self._bytes += len(entry.body)
        self._trim()

    def after(self, position: Position, limit: int, max_bytes: int) -> Page | None:
        """The entries after a position; None if they are not all remembered."""
        self._trim()
        end = self.end
        skipped = position.offset - self._start.offset
        if position.epoch != end.epoch or skipped < 0 or position.offset > end.offset:
            return None
        begin = stop = self._first + skipped
        if position != (self._entries[begin - 1].position if skipped else self._start):
            return None
        last = min(begin + limit, len(self._entries))
        size = 0
        while stop < last:
            size += len(self._entries[stop].body)
            if size > max_bytes and stop > begin:
                break
            stop += 1
        return Page(position, tuple(self._entries[begin:stop]), end)

    def find(self, producer: str, number: int) -> Position | None:
        """What gave an event of a producer its id; the last ones are found first."""
        for entry in reversed(self._entries[self._first :]):
            if entry.producer == producer and entry.number == number:
                return entry.accepted or entry.position
        return None

    def _trim(self) -> None:
        entries, kept = self._entries, self._retention
        oldest = self._clock.now() - kept.seconds * 1000
        while self._first < len(entries) and (
            len(entries) - self._first > kept.events
            or self._bytes > kept.bytes
            or entries[self._first].position.ms < oldest
        ):
            self._start = entries[self._first].position
            self._bytes -= len(entries[self._first].body)
            self._first += 1
        if self._first > len(entries) // _DEAD_SHARE:
            del entries[: self._first]
            self._first = 0
