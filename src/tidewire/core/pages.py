"""Pages: what comes after a cursor, from what this node remembers, else from the log."""

import asyncio
from collections.abc import Callable
from typing import Final

from tidewire.core.afloat import Afloat
from tidewire.core.errors import LogAway
from tidewire.core.log import PAGE_ENTRIES, EventLog, Page, Recalling
from tidewire.core.position import Cursor, Position

MAX_READS: Final = 8
"""Pages that are read from the log for those who catch up, at the same time."""


class Pages:
    """Reads for all readers of one node; who asks for the same page at the same time shares it."""

    __slots__ = ("_afloat", "_here", "_log", "_reading", "_reads", "_recalling")

    def __init__(self, log: EventLog, afloat: Afloat, here: Callable[[], Position]) -> None:
        """``here`` says how far in the log this node has heard."""
        self._log = log
        # Asked for each reader: what a log can do is looked at once.
        self._recalling = log if isinstance(log, Recalling) else None
        self._afloat = afloat
        self._here = here
        self._reads: dict[tuple[Position, int], asyncio.Task[Page]] = {}
        self._reading = asyncio.Semaphore(MAX_READS)

    def recall(self, after: Position, max_bytes: int) -> Page | None:
        """What comes after a position in the log, as far as this node has it; None if it has not
        all of it."""
        if self._recalling is None:
            return None
        return self._recalling.recall(after, limit=PAGE_ENTRIES, max_bytes=max_bytes)

    def remembered(self, cursor: Cursor, max_bytes: int) -> Page | None:
        """As `recall`, with what is afloat."""
        position = cursor.position
        if position == self._here():
            afloat = self._afloat.after(cursor, max_bytes)
            if afloat:
                return Page(position, tuple(afloat), position)
        return self.recall(position, max_bytes)

    async def read(self, cursor: Cursor, max_bytes: int, *, fresh: bool = False) -> Page:
        """Reads what comes after a cursor: from what this node has heard where it remembers
        that, else from the log. Raises as `EventLog.read`.

        Args:
            cursor: where to read on from.
            max_bytes: bytes of events at most, but at least one entry.
            fresh: asks the log also for what this node has not heard yet.
        """
        remembered = self.remembered(cursor, max_bytes)
        if remembered is not None and (remembered.entries or not fresh):
            return remembered
        try:
            return await self._read_log(cursor.position, max_bytes)
        except LogAway:
            if remembered is None:
                raise
            return remembered

    def cancel(self) -> list[asyncio.Task[Page]]:
        """Cancels what is being read; returns the tasks."""
        tasks = list(self._reads.values())
        for task in tasks:
            task.cancel()
        return tasks

    async def _read_log(self, after: Position, max_bytes: int) -> Page:
        key = (after, max_bytes)
        task = self._reads.get(key)
        if task is None:
            task = asyncio.create_task(self._read_limited(after, max_bytes))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    async def _read_limited(self, after: Position, max_bytes: int) -> Page:
        async with self._reading:
            return await self._log.read(Cursor(after), limit=PAGE_ENTRIES, max_bytes=max_bytes)
