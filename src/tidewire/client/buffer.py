"""What has arrived and was not yet taken, and up to where everything was taken."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tidewire.client.messages import Envelope, Gap, Item
from tidewire.core.errors import InvalidCursor
from tidewire.core.position import Position


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits to be taken.

    Attributes:
        item: what it is.
        before: the cursor of one who has taken all before it, and not it.
    """

    item: Item
    before: str | None


def placed(items: Sequence[Item], before: str | None, after: str | None) -> list[Waiting]:
    """What came in one step, each with the cursor before it.

    Between the events of one answer to a poll there is no cursor but the place of each in the log,
    which is its id; unless a spool gave it. Where it is not known, it is one further back: whoever
    begins there gets an event twice, and misses none.

    Args:
        items: in order.
        before: the cursor before the first.
        after: the cursor after the last.
    """
    if not any(isinstance(item, Envelope | Gap) for item in items):
        # Nothing was passed by what was said.
        return [Waiting(item, after) for item in items]
    found = []
    at = before
    for item in items:
        found.append(Waiting(item, at))
        match item:
            case Gap():
                at = item.to
            case Envelope() if _is_place(item.id, at, after):
                at = item.id
            case _:
                pass
    return found


def _is_place(id_: str, before: str | None, after: str | None) -> bool:
    """Whether an id is the cursor of one who has read up to there."""
    if after is None or "~" in after or "~" in (before or ""):
        return False
    try:
        return Position.parse(id_).epoch == Position.parse(after).epoch
    except InvalidCursor:
        return False


class Buffer:
    """A bounded queue between a connection and its consumer. Whoever puts asks whether it is full,
    and waits for room."""

    def __init__(self, limit: int) -> None:
        """``limit``: so many items, and it is full."""
        self._limit = limit
        self._waiting: deque[Waiting] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def before(self) -> Waiting | None:
        """What is taken next."""
        return self._waiting[0] if self._waiting else None

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    def put(self, waiting: Sequence[Waiting]) -> None:
        """Puts in what has arrived; also if it is full."""
        self._waiting += waiting
        if len(self._waiting) >= self._limit:
            self._room.clear()
        if waiting:
            self._filled.set()

    def wake(self) -> None:
        """Lets whoever waits for an item look again."""
        self._filled.set()

    def take(self) -> bool:
        """Takes the next item out. Returns whether there is room again, and was none."""
        self._waiting.popleft()
        # Not for each place that is free: who was stopped goes on for a while.
        if self.full and len(self._waiting) <= self._limit // 2:
            self._room.set()
            return True
        return False

    async def filled(self) -> None:
        """Returns when there is an item, or when `wake` was called since the last look."""
        self._filled.clear()
        await self._filled.wait()

    async def room(self) -> None:
        """Returns when there is room."""
        await self._room.wait()
