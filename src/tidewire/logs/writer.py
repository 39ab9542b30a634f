"""Appends of many publishers, numbered and handed over in order, many to a call.

While one call is under way the next ones gather, so that under load there is no round trip for
each event. One call at a time keeps the order, and makes it clear what a lost answer leaves in
doubt.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tidewire.core.clock import Clock
from tidewire.core.errors import IdempotencyConflict, LogAway
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Position, new_name

CALL_BYTES: Final = 256 * 1024
"""Bytes of events that are gathered for one call; a batch that is larger goes alone."""


def new_producer() -> str:
    """Draws the name of a producer: eight characters, which no epoch of a log has."""
    return "s" + new_name(7)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a log says of a batch.

    Attributes:
        first: the id of its first event, or of that of an earlier publish with the same key; None
            if the log does not know it any more, or if there is none.
        appended: whether it stands in the log under its own numbers.
        conflict: whether its key was used for something else.
    """

    first: Position | None = None
    appended: bool = True
    conflict: bool = False


@dataclass(slots=True)
class Batch:
    """What one publisher appends together.

    Attributes:
        events: in order.
        first: the number of the first of them; the others follow.
        key: makes a repeat harmless.
        accepted_at: when it was taken up, Unix milliseconds: its time, should a spool accept it.
        spooled: whether one has.
        done: the positions, once it is accepted.
    """

    events: Sequence[Event]
    first: int
    accepted_at: int
    key: IdempotencyKey | None = None
    spooled: bool = False
    done: asyncio.Future[list[Position]] | None = field(default=None, repr=False)

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.first + len(self.events) - 1

    @property
    def size(self) -> int:
        """Bytes that its events count for."""
        return sum(event.size for event in self.events)

    def places(self, producer: str) -> list[Position]:
        """The places of its events in a spool."""
        return [
            Position(self.accepted_at, self.first + index, producer)
            for index in range(len(self.events))
        ]

    def ids_from(self, first: Position) -> list[Position]:
        """The ids of its events: what is accepted together has ids without holes."""
        return [
            Position(first.ms, first.offset + index, first.epoch)
            for index in range(len(self.events))
        ]

    def settle(self, outcome: Outcome) -> None:
        """Tells what came of it."""
        if outcome.first is not None:
            self.succeed(self.ids_from(outcome.first))
        elif outcome.conflict:
            self.fail(IdempotencyConflict())
        else:
            self.fail(LogAway("It is in the log; nobody knows where.", in_doubt=True))

    def succeed(self, positions: list[Position]) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(positions)

    def fail(self, error: BaseException) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)


Commit: TypeAlias = Callable[[list[Batch]], Awaitable[None]]


def gathered(waiting: Iterable[Batch]) -> list[Batch]:
    """The first of these that go into one call together; at least one, if there is any."""
    taken: list[Batch] = []
    size = 0
    for batch in waiting:
        size += batch.size
        if taken and size > CALL_BYTES:
            break
        taken.append(batch)
    return taken


class Writer:
    """The one lane by which a process appends."""

    def __init__(self, commit: Commit, clock: Clock) -> None:
        """``commit`` takes batches in order, and tells each how it went."""
        self._clock = clock
        self.producer = new_producer()
        self._commit = commit
        self._next = 1
        self._waiting: deque[Batch] = deque()
        self._task: asyncio.Task[None] | None = None

    async def append(self, events: Sequence[Event], key: IdempotencyKey | None) -> list[Position]:
        """Appends in turn. Raises what ``commit`` told the batch, and `ValueError` as
        `EventLog.append` does."""
        if not events or any(event.id is not None for event in events):
            raise ValueError("append takes one or more events that are not yet in a log")
        done: asyncio.Future[list[Position]] = asyncio.get_running_loop().create_future()
        # Also if the caller has given up by then, its failure is nobody's accident.
        done.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        batch = Batch(tuple(events), self._next, self._clock.now(), key, done=done)
        self._next = batch.last + 1
        self._waiting.append(batch)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tidewire-append")
        # Whoever gives up waiting does not take back what is under way.
        return await asyncio.shield(done)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batches = gathered(self._waiting)
                for _ in batches:
                    self._waiting.popleft()
                try:
                    await self._commit(batches)
                except BaseException as error:
                    for batch in batches:
                        batch.fail(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._task = None

    async def close(self) -> None:
        """Ends what is under way; what waits fails."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft().fail(asyncio.CancelledError())
