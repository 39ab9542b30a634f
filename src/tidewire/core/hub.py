"""The hub: follows the log and wakes readers.

Theory of operation. The hub stands at one position and moves only by what `EventLog.follow`
yields. A *live* reader stands where the hub stands: what comes is written to its sink, in the
same step for all of them. A sink without room makes its reader *behind*: it keeps its cursor,
leaves the index, and costs nothing until the sink has room. Then it reads pages from the log
until it stands where the hub stands, and is live again. The move to live happens in one step
without a wait in it, so nothing can come between the last page and the first live event. A new
reader, one that comes back and one that was slow differ only in where their cursors stand.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from tidewire.core import notices
from tidewire.core.clock import Clock
from tidewire.core.errors import Unavailable
from tidewire.core.event import Event
from tidewire.core.fanout import fan_out, groups
from tidewire.core.frame import Control, Encoding
from tidewire.core.index import Index
from tidewire.core.journal import Journal
from tidewire.core.log import PAGE_BYTES, PAGE_ENTRIES, Entry, EventLog, Gap, IdempotencyKey, Page
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.reader import HIGH_WATER, Reader, ReaderState
from tidewire.core.target import Identity

MAX_READS: Final = 8
"""Pages that are read for readers who catch up, at the same time."""

RETRY_FIRST: Final = 0.05
RETRY_LAST: Final = 5.0


class Hub:
    """One node's view of the log, and the readers who share it."""

    def __init__(self, log: EventLog, *, clock: Clock, journal: Journal) -> None:
        self.log = log
        self._clock = clock
        self._journal = journal
        self._position: Position | None = None
        self._index = Index()
        self._ahead: dict[Reader, None] = {}
        self._reads: dict[tuple[Position, int], asyncio.Task[Page]] = {}
        self._reading = asyncio.Semaphore(MAX_READS)
        self._catching_up: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._deaf = False

    # Life

    async def start(self) -> None:
        """Takes its place at the head of the log and follows it from there."""
        self._position = await self.head()
        self._follower = asyncio.create_task(self._follow(), name="tidewire-follow")

    async def stop(self) -> None:
        """Stops following. Readers get nothing more."""
        tasks: list[asyncio.Task[Any]] = [*self._catching_up, *self._reads.values()]
        if self._follower is not None:
            tasks.append(self._follower)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._follower = None
        self._position = None

    @property
    def position(self) -> Position:
        """How far this node has heard.

        Raises:
            Unavailable: the hub is not started.
        """
        if self._position is None:
            raise Unavailable("This server is not started yet, or has stopped.", retry_after=1000)
        return self._position

    @property
    def hearing(self) -> bool:
        """Whether the follow loop runs and its last step succeeded."""
        return self._follower is not None and not self._follower.done() and not self._deaf

    @property
    def live(self) -> int:
        """How many readers are live."""
        return len(self._index)

    # Publishing and reading

    async def publish(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        """Appends events to the log, all or nothing. Raises as `EventLog.append`."""
        return await self.log.append(events, key=key)

    async def head(self) -> Position:
        """The last position in the log, heard or not."""
        return (await self.log.read(Edge.LATEST, limit=0)).head

    async def locate(self, since: Since, *, newest: int | None = None) -> Page:
        """Finds the place to start from; the page has no entries. Raises as `EventLog.read`."""
        if since is Edge.LATEST:
            return Page(self.position, (), self.position)
        return await self.log.read(since, limit=0, newest=newest)

    # Readers

    def attach(self, reader: Reader) -> None:
        """Reads for this reader from its cursor on, live as soon as it stands at the head."""
        reader.sink.on_room = lambda: self._wake(reader)
        self._wake(reader)

    def detach(self, reader: Reader) -> None:
        """Reads no more for this reader."""
        if reader.state is ReaderState.LIVE:
            self._index.remove(reader)
        reader.state = ReaderState.CLOSED
        reader.sink.on_room = None
        self._ahead.pop(reader, None)

    def become(self, reader: Reader, identity: Identity) -> Position:
        """Judges by a new identity all that was not yet written. Returns from where on."""
        if reader.state is ReaderState.LIVE:
            self._index.remove(reader)
            reader.become(identity)
            self._index.add(reader)
            return self.position
        reader.become(identity)
        return reader.cursor

    def reached(self, reader: Reader) -> Position:
        """How far a reader has read."""
        return self.position if reader.state is ReaderState.LIVE else reader.cursor

    def broadcast(self, control: Control) -> None:
        """Writes one control event to every live reader that has room, encoded once."""
        encoded: dict[Encoding, bytes] = {}
        for reader in tuple(self._index):
            if reader.sink.room():
                encoding = reader.sink.encoding
                if encoding not in encoded:
                    encoded[encoding] = encoding.control(control)
                self._write(reader, encoded[encoding])

    # Live

    async def _follow(self) -> None:
        delay = RETRY_FIRST
        while True:
            try:
                if self._deaf:
                    # A log that answers is heard again, also while it has nothing new to say.
                    await self.head()
                    self._deaf = False
                async with contextlib.aclosing(self.log.follow(self.position)) as pages:
                    async for page in pages:
                        delay = RETRY_FIRST
                        self.receive(page)
                        # A log that always has more must not keep the loop from the others.
                        await asyncio.sleep(0)
                return
            except Exception as error:
                self._deaf = True
                self._journal.note("following the log failed; it is tried again", error=error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_LAST)

    def receive(self, page: Page) -> None:
        """Takes what the log yielded: the one way in which the hub moves."""
        if page.gap is not None:
            self._miss(page.gap)
        for group in groups(page.entries, HIGH_WATER):
            self._dispatch(group)
        waiting, self._ahead = self._ahead, {}
        for reader in waiting:
            self._wake(reader)

    def _dispatch(self, entries: Sequence[Entry]) -> None:
        before = self.position
        now = self._clock.monotonic()
        for reader, data in fan_out(entries, self._index):
            if reader.sink.room():
                self._write(reader, data)
                reader.delivered_at = now
            else:
                self._fall_behind(reader, before)
        self._position = entries[-1].position

    def _miss(self, gap: Gap) -> None:
        before = self.position
        now = self._clock.now()
        for reader in tuple(self._index):
            if reader.sink.room():
                self._write(reader, reader.sink.encoding.control(notices.gap(gap, now=now)))
            else:
                # Its own catching up will find the same hole, from its own cursor.
                self._fall_behind(reader, before)
        self._position = gap.to

    def _write(self, reader: Reader, data: bytes) -> None:
        try:
            reader.sink.write(data)
        except Exception as error:
            # One broken sink must not stop the others, nor have them served twice.
            self._journal.note("a sink failed and was dropped", error=error)
            self.detach(reader)
            reader.sink.abort()

    # Behind

    def _fall_behind(self, reader: Reader, cursor: Position) -> None:
        self._index.remove(reader)
        reader.cursor = cursor
        reader.state = ReaderState.BEHIND

    def _wake(self, reader: Reader) -> None:
        if not reader.behind() or reader.catching_up or self._position is None:
            return
        if reader.cursor == self.position:
            self._go_live(reader)
            return
        reader.catching_up = True
        task = asyncio.create_task(self._catch_up(reader))
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)

    def _go_live(self, reader: Reader) -> None:
        reader.state = ReaderState.LIVE
        self._index.add(reader)

    async def _catch_up(self, reader: Reader) -> None:
        """Reads on until the reader is live, or its sink has no room, or it is closed."""
        size = HIGH_WATER
        delay = RETRY_FIRST
        try:
            while reader.behind() and reader.sink.room():
                if reader.cursor.offset > self.position.offset:
                    # Its cursor came from a node that has heard more.
                    self._ahead[reader] = None
                    return
                try:
                    page = await self.read(reader.cursor, size)
                except Exception as error:
                    self._journal.note("reading the log failed; it is tried again", error=error)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, RETRY_LAST)
                    continue
                if not reader.behind():
                    return
                written = self._write_page(reader, page)
                if not reader.behind():
                    return
                # A reader who wants little of what there is looks at more of it at a time.
                size = HIGH_WATER if written > size // 4 else min(size * 2, PAGE_BYTES)
                if reader.cursor == self.position:
                    self._go_live(reader)
        finally:
            reader.catching_up = False

    def _write_page(self, reader: Reader, page: Page) -> int:
        data = b""
        if page.gap is not None:
            control = notices.gap(page.gap, now=self._clock.now())
            data = reader.sink.encoding.control(control)
            reader.cursor = page.start
        # What the hub has not heard yet comes live. Reading beyond would only mean to wait for
        # the hub, again and again while much is published.
        heard = self.position.offset
        frames = reader.take((e for e in page.entries if e.position.offset <= heard), HIGH_WATER)
        if frames:
            reader.delivered_at = self._clock.monotonic()
        data += frames
        if data:
            self._write(reader, data)
        return len(data)

    async def read(self, after: Position, max_bytes: int) -> Page:
        """Reads a page; readers who ask for the same one at the same time share it."""
        key = (after, max_bytes)
        task = self._reads.get(key)
        if task is None:
            task = asyncio.create_task(self._read_limited(after, max_bytes))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    async def _read_limited(self, after: Position, max_bytes: int) -> Page:
        async with self._reading:
            return await self.log.read(Cursor(after), limit=PAGE_ENTRIES, max_bytes=max_bytes)
