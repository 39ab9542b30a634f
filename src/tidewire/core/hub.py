"""The hub: follows the log and wakes readers.

Theory of operation. The hub stands at one position and moves only by what `EventLog.follow`
yields. A *live* reader stands where the hub stands: what comes is written to its sink, in the
same step for all of them. A sink without room makes its reader *behind*: it keeps its cursor,
leaves the index, and costs nothing until the sink has room. Then it reads pages from the log
until it stands where the hub stands, and is live again. The move to live happens in one step
without a wait in it, so nothing can come between the last page and the first live event. A new
reader, one that comes back and one that was slow differ only in where their cursors stand.

While a log elsewhere is away, it yields what a spool of this node has accepted: entries that
stand beside the log. The hub keeps them *afloat* until it hears them in the log, and remembers
in its cursor that they were seen. Readers who come from another node may have seen what that
one's spool had: they are live as a *cohort* of their own, which moves by the same steps, until the
log has caught up with them.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from tidewire.core import notices
from tidewire.core.clock import Clock
from tidewire.core.cohort import Cohort
from tidewire.core.errors import LogAway, Unavailable
from tidewire.core.event import Event
from tidewire.core.fanout import fan_out, groups
from tidewire.core.frame import Control, Encoding
from tidewire.core.frames import Frames
from tidewire.core.journal import Journal
from tidewire.core.log import (
    PAGE_BYTES,
    PAGE_ENTRIES,
    Condition,
    Degradable,
    Entry,
    EventLog,
    Gap,
    IdempotencyKey,
    Page,
    Recalling,
)
from tidewire.core.meter import Meter, NullMeter
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.reader import HIGH_WATER, Kin, Reader, ReaderState
from tidewire.core.recorder import What
from tidewire.core.target import Identity

MAX_READS: Final = 8
"""Pages that are read for readers who catch up, at the same time."""

STEPS_AT_ONCE: Final = 4
"""Pages of what is remembered that a reader gets in one step of the event loop."""

RETRY_FIRST: Final = 0.05
RETRY_LAST: Final = 5.0
RETRY_AWAY: Final = 0.5
"""Seconds between two tries to read, at most; and where it is only asked whether the log is still
away."""


_NUMBER: Final = attrgetter("number")


Change: TypeAlias = Callable[[What, Reader | None, Cursor, str | None, str | None], None]
"""Takes what became of a reader, or of all that are live (None): what, where they stand, since
where, and why."""


class Place(NamedTuple):
    """Where a reader starts.

    Attributes:
        cursor: the start.
        gap: what was missed between the place that was asked for and the start; None if nothing.
    """

    cursor: Cursor
    gap: Gap | None = None


class Hub:
    """One node's view of the log, and the readers who share it."""

    def __init__(
        self, log: EventLog, *, clock: Clock, journal: Journal, meter: Meter | None = None
    ) -> None:
        self.log = log
        self.on_change: Change = _unheeded
        """Called when a reader falls behind or has caught up, and with every gap."""
        # Asked for each reader: what a log can do is looked at once.
        self._recalling = log if isinstance(log, Recalling) else None
        self._degradable = log if isinstance(log, Degradable) else None
        self._clock = clock
        self._journal = journal
        self._main: Cohort | None = None
        self._others: dict[tuple[tuple[str, int], ...], Cohort] = {}
        self._afloat: dict[str, list[Entry]] = {}
        self._frames = Frames()
        self._ahead: dict[Reader, None] = {}
        self._reads: dict[tuple[Position, int], asyncio.Task[Page]] = {}
        self._reading = asyncio.Semaphore(MAX_READS)
        self._catching_up: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._deaf = self._unread = False
        self._meter = meter or NullMeter()
        # Those who were live before: the others have only begun, and will be.
        self._fallen: set[Reader] = set()
        # One publish at a time is timed until it is written: its offset, and when it began.
        self._timed: tuple[int, float] | None = None
        self.failures = 0
        """How often following the log has failed."""
        self.published = 0
        """Events that this node has accepted."""
        self.heard = 0
        """Events that this node has heard, its own included."""
        self.written = 0
        """Writes to readers."""

    # Life

    async def start(self) -> None:
        """Takes its place at the head of the log and follows it from there."""
        self._main = Cohort(Cursor(await self.head()))
        self._begin_to_follow()

    def _begin_to_follow(self) -> None:
        self._follower = asyncio.create_task(self._follow(), name="tidewire-follow")

    def follow_again(self) -> bool:
        """Follows the log anew, from where this node has heard it: for a loop that has ended, or
        hangs. Returns whether it did; a hub that is not started follows nothing."""
        if self._follower is None:
            return False
        # It is not waited for here: what hangs may take its time to end.
        self._follower.cancel()
        self._catching_up.add(self._follower)
        self._follower.add_done_callback(self._catching_up.discard)
        self._begin_to_follow()
        return True

    async def stop(self) -> None:
        """Stops following. Readers get nothing more."""
        tasks: list[asyncio.Task[Any]] = [*self._catching_up, *self._reads.values()]
        if self._follower is not None:
            tasks.append(self._follower)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._follower = None
        self._main = None
        self._others.clear()
        self._afloat.clear()
        self._fallen.clear()

    @property
    def cursor(self) -> Cursor:
        """How far this node has heard: where its live readers stand.

        Raises:
            Unavailable: the hub is not started.
        """
        if self._main is None:
            raise Unavailable("This server is not started yet, or has stopped.", retry_after=1000)
        return self._main.cursor

    @property
    def position(self) -> Position:
        """How far in the log this node has heard. Raises as `cursor`."""
        return self.cursor.position

    @property
    def hearing(self) -> bool:
        """Whether the follow loop runs and its last step succeeded."""
        return self._follower is not None and not self._follower.done() and not self._deaf

    @property
    def condition(self) -> Condition:
        """How the log is."""
        return Condition() if self._degradable is None else self._degradable.condition

    def behind(self) -> tuple[int, int]:
        """How many readers were live and are behind, and by how many events the last of them."""
        here = self.position.offset if self._main is not None else 0
        far = max((here - reader.cursor.position.offset for reader in self._fallen), default=0)
        return len(self._fallen), max(0, far)

    def far_behind(self, events: int) -> tuple[int, int]:
        """How many readers were live and are more than so many events behind, and how many are
        or were live."""
        here = self.position.offset if self._main is not None else 0
        far = sum(here - reader.cursor.position.offset > events for reader in self._fallen)
        return far, self.live + len(self._fallen)

    @property
    def live(self) -> int:
        """How many readers have all that this node has heard."""
        return sum(len(cohort.index) for cohort in self._cohorts())

    # Publishing and reading

    async def publish(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        """Appends events to the log, all or nothing. Raises as `EventLog.append`."""
        began = self._clock.monotonic()
        positions = await self.log.append(events, key=key)
        self.published += len(positions)
        took = self._clock.monotonic() - began
        self._meter.published(took, len(positions))
        if self._timed is None and self._main is not None:
            last = positions[-1]
            if last.epoch != self.position.epoch:
                # In a spool, or of a key that was used before.
                return positions
            if last.offset <= self.position.offset:
                self._meter.delivered(took)
            else:
                self._timed = last.offset, began
        return positions

    async def head(self) -> Position:
        """The last position in the log, heard or not. Raises as `EventLog.read`."""
        return (await self.log.read(Edge.LATEST, limit=0)).head

    async def latest(self) -> Cursor:
        """A cursor at the head of the log, or at what this node has heard where that is all
        there is to know."""
        try:
            head = await self.head()
        except LogAway:
            return self.cursor
        return self.cursor if head.offset <= self.position.offset else self.cursor.moved(head)

    async def locate(self, since: Since, *, newest: int | None = None) -> Place:
        """Finds the place to start from. Raises as `EventLog.read`."""
        if since is Edge.LATEST:
            return Place(self.cursor)
        if not isinstance(since, Cursor):
            page = await self.log.read(since, limit=0, newest=newest)
            return Place(Cursor(page.start), page.gap)
        if self._recall(since.position, 0) is not None:
            return Place(since)
        page = await self.log.read(since, limit=0)
        return Place(since.moved(page.start), page.gap)

    async def read(self, cursor: Cursor, max_bytes: int, *, fresh: bool = False) -> Page:
        """Reads what comes after a cursor: from what this node has heard where it remembers
        that, else from the log. Raises as `EventLog.read`.

        Args:
            cursor: where to read on from.
            max_bytes: bytes of events at most, but at least one entry.
            fresh: asks the log also for what this node has not heard yet.
        """
        remembered = self._remembered(cursor, max_bytes)
        if remembered is not None and (remembered.entries or not fresh):
            return remembered
        try:
            return await self._read_log(cursor.position, max_bytes)
        except LogAway:
            if remembered is None:
                raise
            return remembered

    def _remembered(self, cursor: Cursor, max_bytes: int) -> Page | None:
        """What comes after a cursor, as far as this node has it; None if it has not all of it."""
        position = cursor.position
        if position == self.position:
            afloat = self._uncovered(cursor, max_bytes)
            if afloat:
                return Page(position, tuple(afloat), position)
        return self._recall(position, max_bytes)

    def afloat(self, position: Position) -> Entry | None:
        """The entry of a spool that was accepted at a place, while it is not heard in the log."""
        entries = self._afloat.get(position.epoch, ())
        return next((entry for entry in entries if entry.position == position), None)

    def has_all(self, cursor: Cursor) -> bool:
        """Whether a reader at this cursor has everything that this node has heard."""
        if cursor.position != self.position:
            return cursor.position.offset > self.position.offset
        return all(
            entries[-1].number <= cursor.last_seen(producer)
            for producer, entries in self._afloat.items()
        )

    def _uncovered(self, cursor: Cursor, max_bytes: int) -> list[Entry]:
        """The first of what is afloat and not seen at a cursor that stands where the hub stands
        in the log."""
        found: list[Entry] = []
        for producer, entries in self._afloat.items():
            # Their numbers grow.
            first = bisect_right(entries, cursor.last_seen(producer), key=_NUMBER)
            for entry in islice(entries, first, None):
                if max_bytes <= 0:
                    return found
                found.append(entry)
                max_bytes -= len(entry.body)
        return found

    def _recall(self, after: Position, max_bytes: int) -> Page | None:
        if self._recalling is None:
            return None
        return self._recalling.recall(after, limit=PAGE_ENTRIES, max_bytes=max_bytes)

    # Readers

    def attach(self, reader: Reader) -> None:
        """Reads for this reader from its cursor on, live as soon as it stands at the head."""
        self._await_room(reader)
        self._wake(reader)

    def detach(self, reader: Reader) -> None:
        """Reads no more for this reader."""
        if reader.cohort is not None:
            # Where it stood, for who asks later.
            reader.cursor = reader.cohort.cursor
        self._leave(reader, ReaderState.CLOSED)
        self._fallen.discard(reader)
        reader.sink.on_room = None
        self._ahead.pop(reader, None)

    def become(self, reader: Reader, identity: Identity) -> Cursor:
        """Judges by a new identity all that was not yet written. Returns from where on."""
        if reader.cohort is not None:
            reader.cohort.index.remove(reader)
            reader.become(identity)
            reader.cohort.index.add(reader)
        else:
            reader.become(identity)
        return self.reached(reader)

    def reached(self, reader: Reader) -> Cursor:
        """How far a reader has read."""
        return reader.cursor if reader.cohort is None else reader.cohort.cursor

    def tell(self, readers: Iterable[Reader], control: Callable[[Cursor], Control]) -> int:
        """Writes a control event to those readers that are live and have room. It is made of
        their cursor, and encoded once for those who stand together. Returns how many they are."""
        told = 0
        encoded: dict[tuple[Cohort, Encoding], bytes] = {}
        for reader in readers:
            if reader.cohort is None:
                continue
            key = reader.cohort, reader.sink.encoding
            if key not in encoded:
                encoded[key] = reader.sink.encoding.control(control(reader.cohort.cursor))
            told += self._offer(reader, encoded[key])
        return told

    def _cohorts(self) -> tuple[Cohort, ...]:
        return () if self._main is None else (self._main, *self._others.values())

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
                        began = self._clock.monotonic()
                        self.receive(page)
                        await self._gather(self._clock.monotonic() - began)
                return
            except Exception as error:
                self._deaf = True
                self.failures += 1
                self._journal.note(
                    "following the log failed; it is tried again",
                    error=error,
                    code="FOLLOW_FAILED",
                    next_try=round(delay * 1000),
                )
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_LAST)

    async def _gather(self, seconds: float) -> None:
        """Lets the publishers of this node go on as long as each step brings something, for as
        long at most as it has just taken to write: what they bring is written at once for all.

        One step at least: a log that always has more must not keep the loop from the others.
        """
        end = self._clock.monotonic() + seconds
        published = -1
        while published != self.published:
            published = self.published
            await asyncio.sleep(0)
            if self._clock.monotonic() >= end:
                return

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
        self.heard += len(entries)
        for entry in entries:
            self._float(entry)
        now = self._clock.monotonic()
        for cohort in self._cohorts():
            before = cohort.cursor
            fresh, cursors = cohort.pass_by(entries)
            for data, those, events in fan_out(fresh, cursors, cohort.index, self._frames):
                if isinstance(those, Kin):
                    self._offer_to_kin(those, data, before, events)
                    those.delivered_at = now
                    continue
                for reader in those:
                    if self._offer(reader, data):
                        reader.was_given(events, now)
                    else:
                        self._fall_behind(reader, before)
        self._unite()
        if self._timed is not None and self._timed[0] <= self.position.offset:
            self._meter.delivered(self._clock.monotonic() - self._timed[1])
            self._timed = None

    def _offer_to_kin(self, kin: Kin, data: bytes, before: Cursor, events: int = 0) -> None:
        """Writes so many events to all of a kin; who has no room is behind, at the cursor
        before."""
        readers = tuple(kin.readers)
        refused = kin.offer(data)
        for index, _ in refused:
            readers[index].was_not_given(events)
        kin.delivered += events
        self.written += len(readers) - len(refused)
        for index, error in refused:
            if error is None:
                self._fall_behind(readers[index], before)
            else:
                self._drop(readers[index], error)

    def _unite(self) -> None:
        """Puts together the cohorts that have come to one cursor."""
        others, self._others = self._others, {}
        for cohort in others.values():
            self._cohort_at(cohort.cursor).take_in(cohort)
        self._others = {seen: cohort for seen, cohort in self._others.items() if len(cohort.index)}

    def _cohort_at(self, cursor: Cursor) -> Cohort:
        """The cohort of those who have everything, at their cursor."""
        if self._main is None or cursor.seen == self._main.cursor.seen:
            return self._main or Cohort(cursor)
        cohort = self._others.get(cursor.seen)
        if cohort is None:
            cohort = self._others[cursor.seen] = Cohort(cursor)
        return cohort

    def _float(self, entry: Entry) -> None:
        """Keeps an entry of a spool until it is heard in the log."""
        if not entry.in_log:
            if not entry.seen_by(self.cursor):
                self._afloat.setdefault(entry.producer, []).append(entry)
            return
        afloat = self._afloat.get(entry.producer)
        if afloat is not None:
            del afloat[: bisect_right(afloat, entry.number, key=_NUMBER)]
            if not afloat:
                del self._afloat[entry.producer]

    def _miss(self, gap: Gap) -> None:
        now = self._clock.now()
        for cohort in self._cohorts():
            before, cohort.cursor = cohort.cursor, cohort.cursor.moved(gap.to)
            told = notices.gap(gap, cursor=cohort.cursor, now=now)
            if cohort is self._main:
                self.on_change("gap", None, cohort.cursor, gap.from_, gap.reason)
            for kin in cohort.index.kins():
                # Who is behind finds the same hole by its own catching up, from its own cursor.
                self._offer_to_kin(kin, kin.encoding.control(told), before)

    def _offer(self, reader: Reader, data: bytes) -> bool:
        """Writes to a reader; False if its sink has no room."""
        try:
            taken = reader.sink.offer(data)
        except Exception as error:
            self._drop(reader, error)
            return True
        self.written += taken
        return taken

    def _write(self, reader: Reader, data: bytes) -> None:
        self.written += 1
        try:
            reader.sink.write(data)
        except Exception as error:
            self._drop(reader, error)

    def _drop(self, reader: Reader, error: Exception) -> None:
        # One broken sink must not stop the others, nor have them served twice.
        self._journal.note(
            "a sink failed and was dropped",
            error=error,
            code="SINK_FAILED",
            settled=True,
            user=reader.identity.user_id,
        )
        self.detach(reader)
        reader.sink.abort()

    # Behind

    def _fall_behind(self, reader: Reader, cursor: Cursor) -> None:
        self._leave(reader, ReaderState.BEHIND)
        reader.cursor = cursor
        self._await_room(reader)
        self._fallen.add(reader)
        self.on_change("behind", reader, cursor, None, None)

    def _await_room(self, reader: Reader) -> None:
        reader.sink.on_room = partial(self._wake, reader)

    def _leave(self, reader: Reader, state: ReaderState) -> None:
        if reader.cohort is not None:
            reader.cohort.index.remove(reader)
            reader.cohort = None
        reader.state = state

    def _wake(self, reader: Reader) -> None:
        if not reader.behind() or reader.catching_up or self._main is None:
            return
        if self._catch_up_at_once(reader) or not reader.behind() or not reader.sink.room():
            return
        reader.catching_up = True
        task = asyncio.create_task(self._catch_up(reader))
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)

    def _settle(self, reader: Reader) -> bool:
        """Lets a reader who has everything take part in what comes; False if it has not."""
        if reader.cursor.position != self.position or not self.has_all(reader.cursor):
            return False
        reader.state = ReaderState.LIVE
        reader.cohort = self._cohort_at(reader.cursor)
        reader.cohort.index.add(reader)
        # Its place is its cohort's from now on, and need not be kept for each.
        reader.cursor = reader.cohort.cursor
        reader.sink.on_room = None
        if reader in self._fallen:
            self._fallen.discard(reader)
            self.on_change("caughtUp", reader, reader.cursor, None, None)
        return True

    def _catch_up_at_once(self, reader: Reader) -> bool:
        """Reads what this node remembers, as far as that can be done in this step. Returns
        whether the reader is live, or waits for the hub."""
        for _ in range(STEPS_AT_ONCE):
            if self._settle(reader):
                return True
            if not reader.sink.room() or reader.cursor.position.offset > self.position.offset:
                return False
            before = reader.cursor
            page = self._remembered(before, HIGH_WATER)
            if page is None:
                return False
            self._write_page(reader, page)
            if not reader.behind() or reader.cursor == before:
                return False
        return self._settle(reader)

    async def _catch_up(self, reader: Reader) -> None:
        """Reads on until the reader is live, or its sink has no room, or it is closed."""
        size = HIGH_WATER
        delay = RETRY_FIRST
        try:
            while reader.behind() and reader.sink.room():
                if reader.cursor.position.offset > self.position.offset:
                    # Its cursor came from a node that has heard more.
                    self._ahead[reader] = None
                    return
                try:
                    page = await self.read(reader.cursor, size)
                except Exception as error:
                    # That the log is away is known already, and not for each reader anew.
                    away = isinstance(error, LogAway)
                    if not away:
                        self._unread = True
                        self._journal.note(
                            "reading the log failed; it is tried again",
                            error=error,
                            code="READ_FAILED",
                            next_try=round(delay * 1000),
                        )
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, RETRY_AWAY if away else RETRY_LAST)
                    continue
                if self._unread:
                    self._unread = False
                    self._journal.note("the log is read again", recovered=["READ_FAILED"])
                if not reader.behind():
                    return
                before = reader.cursor
                written = self._write_page(reader, page)
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

    def _write_page(self, reader: Reader, page: Page) -> int:
        data = b""
        if page.gap is not None:
            reader.cursor = reader.cursor.moved(page.start)
            told = notices.gap(page.gap, cursor=reader.cursor, now=self._clock.now())
            self.on_change("gap", reader, reader.cursor, page.gap.from_, page.gap.reason)
            data = reader.sink.encoding.control(told)
        # What the hub has not heard yet comes live. Reading beyond would only mean to wait for
        # the hub, again and again while much is published.
        heard = self.position.offset
        frames = reader.take(
            (e for e in page.entries if not e.in_log or e.position.offset <= heard),
            HIGH_WATER,
            self._frames,
        )
        if frames:
            reader.delivered_at = self._clock.monotonic()
        data += frames
        if data:
            self._write(reader, data)
        return len(data)

    async def _read_log(self, after: Position, max_bytes: int) -> Page:
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


def _unheeded(
    what: What, reader: Reader | None, cursor: Cursor, since: str | None, detail: str | None
) -> None:
    pass
