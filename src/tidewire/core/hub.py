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
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from tidewire.core import notices
from tidewire.core.afloat import Afloat
from tidewire.core.catchup import CatchUp
from tidewire.core.clock import Clock
from tidewire.core.cohort import Cohort
from tidewire.core.cohorts import Cohorts
from tidewire.core.errors import LogAway
from tidewire.core.event import Event
from tidewire.core.fanout import fan_out, groups
from tidewire.core.follower import Follower
from tidewire.core.frame import Control, Encoding
from tidewire.core.frames import Frames
from tidewire.core.journal import Journal
from tidewire.core.laggards import Laggards
from tidewire.core.log import Condition, Degradable, Entry, EventLog, Gap, IdempotencyKey, Page
from tidewire.core.meter import Meter, NullMeter
from tidewire.core.pages import Pages
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.reader import HIGH_WATER, Kin, Reader, ReaderState
from tidewire.core.recorder import What
from tidewire.core.stopwatch import Stopwatch
from tidewire.core.stretches import Stretches
from tidewire.core.target import Identity

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
        # What a log can do is looked at once.
        self._degradable = log if isinstance(log, Degradable) else None
        self._clock = clock
        self._journal = journal
        self._cohorts = Cohorts()
        self._frames = Frames()
        self._stretches = Stretches(self._frames)
        self._afloat = Afloat()
        self.pages = Pages(log, self._afloat, self._cohorts.here)
        self.follower = Follower(log, here=self._cohorts.here, take=self._take, journal=journal)
        self._catch_up = CatchUp(
            self.pages,
            here=self._cohorts.here,
            settle=self._settle,
            write=self._write_page,
            journal=journal,
        )
        self._stopwatch = Stopwatch(NullMeter() if meter is None else meter, clock)
        self._laggards = Laggards(self._cohorts)
        self.published = 0
        """Events that this node has accepted."""
        self.heard = 0
        """Events that this node has heard, its own included."""
        self.written = 0
        """Writes to readers."""

    # Life

    async def start(self) -> None:
        """Takes its place at the head of the log and follows it from there."""
        self._cohorts.begin(Cursor(await self.head()))
        self._catch_up.begin()
        self.follower.begin()

    async def stop(self) -> None:
        """Stops following. Readers get nothing more."""
        await asyncio.gather(
            *self._catch_up.cancel(),
            *self.pages.cancel(),
            *self.follower.cancel(),
            return_exceptions=True,
        )
        self._cohorts.end()
        self._afloat.clear()
        self._laggards.clear()

    @property
    def cursor(self) -> Cursor:
        """How far this node has heard: where its live readers stand.

        Raises:
            Unavailable: the hub is not started.
        """
        return self._cohorts.cursor

    @property
    def position(self) -> Position:
        """How far in the log this node has heard. Raises as `cursor`."""
        return self._cohorts.here()

    @property
    def hearing(self) -> bool:
        """Whether this node hears what the log says."""
        return self.follower.hearing

    @property
    def condition(self) -> Condition:
        """How the log is."""
        return Condition() if self._degradable is None else self._degradable.condition

    def durable(self, positions: Iterable[Position]) -> bool:
        """Whether what was accepted at these places will still be there if this node dies."""
        return self._degradable is None or all(map(self._degradable.durable, positions))

    def behind(self) -> tuple[int, int]:
        """How many readers were live and are behind, and by how many events the last of them."""
        return self._laggards.behind()

    def far_behind(self, events: int) -> tuple[int, int]:
        """How many readers were live and are more than so many events behind, and how many are
        or were live."""
        return self._laggards.farther_than(events), self.live + len(self._laggards)

    @property
    def live(self) -> int:
        """How many readers have all that this node has heard."""
        return self._cohorts.live

    # Publishing and reading

    async def publish(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        """Appends events to the log, all or nothing. Raises as `EventLog.append`."""
        began = self._stopwatch.begin()
        positions = await self.log.append(events, key=key)
        self.published += len(positions)
        here = None if self._cohorts.main is None else self.position
        self._stopwatch.accepted(began, positions, here)
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
        if self.pages.recall(since.position, 0) is not None:
            return Place(since)
        page = await self.log.read(since, limit=0)
        return Place(since.moved(page.start), page.gap)

    def afloat(self, position: Position) -> Entry | None:
        """The entry of a spool that was accepted at a place, while it is not heard in the log."""
        return self._afloat.at(position)

    def has_all(self, cursor: Cursor) -> bool:
        """Whether a reader at this cursor has everything that this node has heard."""
        if cursor.position != self.position:
            return cursor.position.offset > self.position.offset
        return self._afloat.seen_by(cursor)

    # Readers

    def attach(self, reader: Reader) -> None:
        """Reads for this reader from its cursor on, live as soon as it stands at the head."""
        self._await_room(reader)
        self._catch_up.wake(reader)

    def detach(self, reader: Reader) -> None:
        """Reads no more for this reader."""
        if reader.cohort is not None:
            # Where it stood, for who asks later.
            reader.cursor = reader.cohort.cursor
            self._cohorts.leave(reader)
        reader.state = ReaderState.CLOSED
        self._laggards.discard(reader)
        reader.sink.on_room = None
        self._catch_up.forget(reader)

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

    # Live

    async def _take(self, page: Page) -> None:
        """Receives a page, and lets the publishers of this node go on as long as each step brings
        something, for as long at most as it has just taken to write: what they bring is written
        at once for all.

        One step at least: a log that always has more must not keep the loop from the others.
        """
        began = self._clock.monotonic()
        self.receive(page)
        now = self._clock.monotonic()
        end = now + (now - began)
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
        self._catch_up.go_on()

    def _dispatch(self, entries: Sequence[Entry]) -> None:
        self.heard += len(entries)
        self._afloat.take(entries, self.cursor)
        now = self._clock.monotonic()
        for cohort in self._cohorts:
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
        self._cohorts.unite()
        self._stopwatch.written(self.position)

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

    def _miss(self, gap: Gap) -> None:
        now = self._clock.now()
        for cohort in self._cohorts:
            before, cohort.cursor = cohort.cursor, cohort.cursor.moved(gap.to)
            told = notices.gap(gap, cursor=cohort.cursor, now=now)
            if cohort is self._cohorts.main:
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
        self._cohorts.leave(reader)
        reader.state = ReaderState.BEHIND
        reader.cursor = cursor
        self._await_room(reader)
        self._laggards.add(reader)
        self.on_change("behind", reader, cursor, None, None)

    def _await_room(self, reader: Reader) -> None:
        reader.sink.on_room = partial(self._catch_up.wake, reader)

    def _settle(self, reader: Reader) -> bool:
        """Lets a reader who has everything take part in what comes; False if it has not."""
        cursor = reader.cursor
        if cursor.position != self._cohorts.here() or not self._afloat.seen_by(cursor):
            return False
        reader.state = ReaderState.LIVE
        self._cohorts.join(reader)
        reader.sink.on_room = None
        if self._laggards.discard(reader):
            self.on_change("caughtUp", reader, reader.cursor, None, None)
        return True

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
        entries = page.entries
        if entries and entries[-1].in_log and entries[-1].position.offset > heard:
            entries = tuple(entry for entry in entries if entry.position.offset <= heard)
        frames = self._stretches.take(reader, entries)
        if frames:
            reader.delivered_at = self._clock.monotonic()
        data += frames
        if data:
            self._write(reader, data)
        return len(data)


def _unheeded(
    what: What, reader: Reader | None, cursor: Cursor, since: str | None, detail: str | None
) -> None:
    pass
