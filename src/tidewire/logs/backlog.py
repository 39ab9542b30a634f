"""What is accepted while the log that nodes share is away, and waits to be brought home."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from tidewire.core.clock import Clock
from tidewire.core.errors import IdempotencyConflict, SpoolFull
from tidewire.core.journal import Journal
from tidewire.core.position import Position
from tidewire.logs.keys import Keys
from tidewire.logs.spool import Bound, Spool
from tidewire.logs.spoolfile import SpoolFile, abandoned, prepare
from tidewire.logs.unheard import Unheard
from tidewire.logs.writer import Batch, Outcome

Find: TypeAlias = Callable[[str, int], Position | None]
"""Asks for the id with which a number of a producer was heard, if that is remembered."""


class Backlog:
    """A spool in memory, and beside it a file, where there is a folder for one."""

    def __init__(
        self,
        producer: str,
        keys: Keys,
        unheard: Unheard,
        find: Find,
        *,
        clock: Clock,
        journal: Journal,
        folder: Path | None = None,
        bound: Bound | None = None,
    ) -> None:
        """Makes one that is empty.

        Args:
            producer: whose appends are accepted.
            keys: under which something was accepted already.
            unheard: what is accepted is told to, so that it is yielded.
            find: asks what has become of a number.
            clock: where the time comes from.
            journal: where it is noted that a file cannot be written to.
            folder: where it is kept on disk; None = in memory.
            bound: what it holds at most.

        Raises:
            ConfigurationError: the folder cannot be used.
        """
        self._producer = producer
        self._keys = keys
        self._unheard = unheard
        self._find = find
        self._clock = clock
        self._journal = journal
        self._folder = folder
        self._spool = Spool(bound)
        self._file: SpoolFile | None = None
        self._taken_over: list[SpoolFile] = []
        if folder is not None:
            prepare(folder)

    @property
    def is_on_disk(self) -> bool:
        """Whether it outlives this process."""
        return self._folder is not None

    @property
    def events(self) -> int:
        """How many wait."""
        return self._spool.events

    async def open(self) -> bool:
        """Makes the file, and takes over what earlier processes left. Returns whether they left
        anything; does nothing if it is open."""
        if self._folder is None or self._file is not None:
            return False
        self._file = await asyncio.to_thread(SpoolFile.create, self._folder, self._producer)
        self._taken_over = await asyncio.to_thread(abandoned, self._folder)
        for file in self._taken_over:
            batches = await asyncio.to_thread(file.read)
            self._spool.put(file.producer, batches)
            for batch in batches:
                self._keys.remember(batch.key, batch.places(file.producer), self._clock.now())
        return bool(self._taken_over)

    def forget(self) -> None:
        """Closes the files and lets go of what was in them, so that it can be opened again."""
        self.close()
        self._spool = Spool(self._spool.bound)

    def close(self) -> None:
        """Closes the files. What waits in them is left to another process."""
        while self._taken_over:
            self._taken_over.pop().close(remove=False)
        if self._file is not None:
            file, self._file = self._file, None
            file.close(remove=file.is_empty)

    # Accepting

    def room(self, events: int, size: int) -> bool:
        """Whether so much more has room."""
        # What came home and is not heard is in memory all the same.
        return self._spool.room(max(events, self._unheard.afloat - self.events + events), size)

    async def accept(self, batches: list[Batch]) -> bool:
        """Takes batches in order, and tells them how it went. Returns whether it took any."""
        taken: list[Batch] = []
        twins: list[Batch] = []
        scopes: set[str] = set()
        events = size = 0
        for batch in batches:
            try:
                known = self._keys.known(batch.key, self._clock.now())
            except IdempotencyConflict as error:
                batch.fail(error)
                continue
            if known is not None:
                batch.succeed(known)
            elif batch.last <= self._unheard.heard(self._producer):
                # The answer was lost, but it was heard.
                first = self._find(self._producer, batch.first)
                batch.settle(Outcome(first))
                if first is not None:
                    self._keys.remember(batch.key, batch.ids_from(first), self._clock.now())
            elif batch.key is not None and batch.key.scope in scopes:
                twins.append(batch)
            elif not self.room(events + len(batch.events), size + batch.size):
                batch.fail(_full())
            else:
                if batch.key is not None:
                    scopes.add(batch.key.scope)
                batch.spooled = True
                events, size = events + len(batch.events), size + batch.size
                taken.append(batch)
        kept = bool(taken) and await self._keep(taken)
        if twins:
            # By now it is known what became of those that came before them.
            kept = await self.accept(twins) or kept
        return kept

    async def _keep(self, batches: list[Batch]) -> bool:
        if self._file is not None:
            try:
                await asyncio.to_thread(self._file.add, batches)
            except OSError as error:
                self._journal.note(
                    "the spool cannot be written to", error=error, code="SPOOL_FAILED"
                )
                for batch in batches:
                    batch.fail(_full())
                return False
        self._spool.put(self._producer, batches)
        for batch in batches:
            places = batch.places(self._producer)
            self._keys.remember(batch.key, places, self._clock.now())
            self._unheard.float(batch, places)
            batch.succeed(places)
        return True

    # Coming home

    def first(self) -> tuple[str, list[Batch]] | None:
        """What goes home next, all of one producer; None if nothing waits."""
        return self._spool.first()

    def brought(self, producer: str, batches: list[Batch]) -> None:
        """Lets go of what has come home."""
        self._spool.brought(producer, batches)

    async def empty(self) -> None:
        """Everything has come home: no file holds it any longer."""
        await asyncio.to_thread(self._empty_files)

    def _empty_files(self) -> None:
        while self._taken_over:
            self._taken_over.pop().close(remove=True)
        if self._file is not None:
            self._file.empty()


def _full() -> SpoolFull:
    return SpoolFull(
        "The log is away, and the spool that stands in for it is full. Publish again later.",
        retry_after=1_000,
    )
