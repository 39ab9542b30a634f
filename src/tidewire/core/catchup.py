"""Catching up: readers who are behind read on until they stand where the hub stands."""

import asyncio
from collections.abc import Callable
from typing import Final

from tidewire.core.backoff import Delays
from tidewire.core.errors import LogAway
from tidewire.core.journal import Journal
from tidewire.core.log import PAGE_BYTES, Page
from tidewire.core.pages import Pages
from tidewire.core.position import Position
from tidewire.core.reader import HIGH_WATER, Reader

STEPS_AT_ONCE: Final = 4
"""Pages of what is remembered that a reader gets in one step of the event loop."""

RETRY_AWAY: Final = 0.5
"""Seconds between two tries to read, at most, where it is only asked whether the log is still
away."""


class CatchUp:
    """Reads for those who are behind, each from its own cursor."""

    __slots__ = (
        "_ahead",
        "_here",
        "_journal",
        "_pages",
        "_running",
        "_settle",
        "_tasks",
        "_unread",
        "_write",
    )

    def __init__(
        self,
        pages: Pages,
        *,
        here: Callable[[], Position],
        settle: Callable[[Reader], bool],
        write: Callable[[Reader, Page], int],
        journal: Journal,
    ) -> None:
        """Makes one that has not begun.

        Args:
            pages: where to read.
            here: how far in the log this node has heard.
            settle: lets a reader who has everything be live; False if it has not.
            write: writes to a reader what it sees of a page, and moves its cursor; returns how
                many bytes.
            journal: where failures are noted.
        """
        self._pages = pages
        self._here = here
        self._settle = settle
        self._write = write
        self._journal = journal
        self._running = False
        self._unread = False
        self._ahead: dict[Reader, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Reads from now on."""
        self._running = True

    def cancel(self) -> list[asyncio.Task[None]]:
        """Reads no more; returns the tasks that end with this."""
        self._running = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def wake(self, reader: Reader) -> None:
        """Reads on for a reader, if it is behind and has room."""
        if not reader.behind() or reader.catching_up or not self._running:
            return
        if self._read_at_once(reader) or not reader.behind() or not reader.sink.room():
            return
        reader.catching_up = True
        task = asyncio.create_task(self._read_on(reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def go_on(self) -> None:
        """Wakes those who were ahead of the hub: it has moved."""
        if self._ahead:
            waiting, self._ahead = self._ahead, {}
            for reader in waiting:
                self.wake(reader)

    def forget(self, reader: Reader) -> None:
        """Does not wake this reader any more."""
        self._ahead.pop(reader, None)

    def _read_at_once(self, reader: Reader) -> bool:
        """Reads what this node remembers, as far as that can be done in this step. Returns
        whether the reader is live, or waits for the hub."""
        for _ in range(STEPS_AT_ONCE):
            if self._settle(reader):
                return True
            if not reader.sink.room() or reader.cursor.position.offset > self._here().offset:
                return False
            before = reader.cursor
            page = self._pages.remembered(before, HIGH_WATER)
            if page is None:
                return False
            self._write(reader, page)
            if not reader.behind() or reader.cursor == before:
                return False
        return self._settle(reader)

    async def _read_on(self, reader: Reader) -> None:
        """Reads until the reader is live, or its sink has no room, or it is closed."""
        size = HIGH_WATER
        delays = Delays()
        try:
            while reader.behind() and reader.sink.room():
                if reader.cursor.position.offset > self._here().offset:
                    # Its cursor came from a node that has heard more.
                    self._ahead[reader] = None
                    return
                try:
                    page = await self._pages.read(reader.cursor, size)
                except Exception as error:
                    await self._try_again(error, delays)
                    continue
                if self._unread:
                    self._unread = False
                    self._journal.note("the log is read again", recovered=["READ_FAILED"])
                if not reader.behind():
                    return
                before = reader.cursor
                written = self._write(reader, page)
                if not reader.behind() or self._settle(reader):
                    return
                if reader.cursor == before:
                    # The log says that there is nothing more, and the hub stands elsewhere: it
                    # has yet to hear what the log knows.
                    self._ahead[reader] = None
                    return
                # What is remembered is read without a wait, and the others want to go on too.
                await asyncio.sleep(0)
                # A reader who wants little of what there is looks at more of it at a time.
                size = HIGH_WATER if written > size // 4 else min(size * 2, PAGE_BYTES)
        finally:
            reader.catching_up = False

    async def _try_again(self, error: Exception, delays: Delays) -> None:
        # That the log is away is known already, and not for each reader anew.
        away = isinstance(error, LogAway)
        if not away:
            self._unread = True
            self._journal.note(
                "reading the log failed; it is tried again",
                error=error,
                code="READ_FAILED",
                next_try=round(delays.seconds * 1000),
            )
        await delays.wait(RETRY_AWAY if away else None)
