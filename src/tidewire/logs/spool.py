"""What was accepted while the log is away, in order, until it is brought home."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tidewire.logs.writer import Batch, gathered

SPOOL_BYTES: Final = 64 * 1024 * 1024
SPOOL_EVENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Bound:
    """What a spool holds at most."""

    events: int = SPOOL_EVENTS
    bytes: int = SPOOL_BYTES


class Spool:
    """Batches that wait, by producer: this process, and earlier ones that left theirs on disk."""

    def __init__(self, bound: Bound | None = None) -> None:
        self.bound = bound or Bound()
        self._waiting: dict[str, deque[Batch]] = {}
        self.events = 0
        self.bytes = 0

    def room(self, events: int, size: int) -> bool:
        """Whether so much more has room."""
        return self.events + events <= self.bound.events and self.bytes + size <= self.bound.bytes

    def put(self, producer: str, batches: Iterable[Batch]) -> None:
        """Takes what was accepted."""
        waiting = self._waiting.setdefault(producer, deque())
        for batch in batches:
            waiting.append(batch)
            self.events += len(batch.events)
            self.bytes += batch.size

    def first(self) -> tuple[str, list[Batch]] | None:
        """What goes home next, all of one producer; None if nothing waits."""
        for producer, waiting in self._waiting.items():
            return producer, gathered(waiting)
        return None

    def brought(self, producer: str, batches: list[Batch]) -> None:
        """Lets go of what has come home."""
        waiting = self._waiting[producer]
        for batch in batches:
            waiting.popleft()
            self.events -= len(batch.events)
            self.bytes -= batch.size
        if not waiting:
            del self._waiting[producer]
