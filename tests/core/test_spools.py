"""What stands beside the log for a while: read once, whichever way it comes first."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock, FakeJournal, FakeSink, live_readers
from tidewire.core.control import LocalBus
from tidewire.core.errors import LogAway
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.keeper import Keeper, Phase
from tidewire.core.log import Entry, Gap, Page
from tidewire.core.notices import ping
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.reader import HIGH_WATER, Reader, ReaderState
from tidewire.core.target import EVERYONE, Identity
from tidewire.logs.memory import MemoryLog
from tidewire.logs.retention import Retention
from tidewire.transports.asgi import Message
from tidewire.transports.polling import PollAnswer, PollRequest, poll

OURS: Final = "sours000"
THEIRS: Final = "stheirs0"
EPOCH: Final = "k3f9ab"
START: Final = Position(1, 0, EPOCH)


def home(offset: int, number: int, producer: str = OURS, *, spooled: bool = True) -> Entry:
    """An entry of the log; one that came by way of a spool has the id from there."""
    event = Event("notification", {"n": number})
    accepted = Position(7, number, producer) if spooled else None
    position = Position(offset, offset, EPOCH)
    return Entry(position, event.type, EVERYONE, event.body, None, producer, number, accepted)


def afloat(number: int, producer: str = OURS, pad: int = 0) -> Entry:
    event = Event("notification", {"n": number, "pad": "x" * pad})
    place = Position(7, number, producer)
    return Entry(place, event.type, EVERYONE, event.body, None, producer, number, place)


# The rule alone

orders = st.lists(st.sampled_from("pqr"), max_size=12)
steps = st.lists(
    st.one_of(st.integers(1, 3), st.tuples(st.sampled_from("pqr"), st.integers(1, 4))),
    max_size=30,
)


@given(orders, steps)
def test_whatever_was_seen_of_spools_each_entry_is_read_once_and_in_its_producers_order(
    order: list[str], steps: list[int | tuple[str, int]]
) -> None:
    """``order`` is how the events of three producers come to stand in the log. A reader reads
    on in the log, or looks at a node that has the spool of a producer, in any order; there it is
    shown what is not in the log up to where it stands."""
    log: list[Entry] = []
    for offset, producer in enumerate(order, 1):
        number = sum(entry.producer == f"s{producer}" for entry in log) + 1
        log.append(home(offset, number, f"s{producer}"))
    cursor = Cursor(START)
    got: list[tuple[str, int]] = []

    def read(entry: Entry) -> None:
        nonlocal cursor
        seen = entry.seen_by(cursor)
        cursor = Cursor.parse(str(entry.pass_by(cursor)))
        if not seen:
            got.append((entry.producer, entry.number))

    for step in (*steps, len(log)):
        at = cursor.position.offset
        if isinstance(step, int):
            for entry in log[at : at + step]:
                read(entry)
        else:
            producer, count = f"s{step[0]}", step[1]
            waiting = [entry for entry in log[at:] if entry.producer == producer]
            for entry in [e for e in waiting if e.number > cursor.last_seen(producer)][:count]:
                read(afloat(entry.number, producer))
    assert sorted(got) == sorted((entry.producer, entry.number) for entry in log)
    for producer in {producer for producer, _ in got}:
        numbers = [number for name, number in got if name == producer]
        assert numbers == sorted(numbers)
    assert cursor == Cursor(log[-1].position if log else START)


def test_a_cursor_forgets_the_lowest_of_more_producers_than_it_can_carry() -> None:
    cursor = Cursor(START)
    for n in range(1, 12):
        cursor = cursor.saw(f"sproduc{n:x}", 10**15 + n)
    assert [number - 10**15 for _, number in cursor.seen] == [4, 5, 6, 7, 8, 9, 10, 11]
    assert Cursor.parse(str(cursor)) == cursor


# The hub


class ScriptedLog(MemoryLog):
    """Yields to the hub what the test says, and remembers the entries of the log."""

    def __init__(self) -> None:
        super().__init__(Retention(), clock=FakeClock())
        self.kept: list[Entry] = []
        self.away = False
        self._pages: asyncio.Queue[Page] = asyncio.Queue()

    async def say(self, *entries: Entry, gap: Gap | None = None) -> None:
        at = gap.to if gap else self.end
        self.kept += [entry for entry in entries if entry.in_log]
        self._pages.put_nowait(Page(at, entries, at, gap))
        while not self._pages.empty():  # noqa: ASYNC110 - the hub takes it in its own time
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    @property
    def end(self) -> Position:
        return self.kept[-1].position if self.kept else START

    async def read(
        self, since: Since, *, limit: int = 0, max_bytes: int = 0, newest: int | None = None
    ) -> Page:
        if self.away:
            raise LogAway("away")
        at = since.position if isinstance(since, Cursor) else self.end
        entries = tuple(e for e in self.kept if e.position.offset > at.offset)
        return Page(at, entries if since is not Edge.LATEST else (), self.end)

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        while True:
            yield await self._pages.get()


@pytest.fixture
def log() -> ScriptedLog:
    return ScriptedLog()


@pytest.fixture
async def hub(log: ScriptedLog) -> AsyncIterator[Hub]:
    hub = Hub(log, clock=FakeClock(), journal=FakeJournal())
    await hub.start()
    yield hub
    await hub.stop()


def attached(hub: Hub, cursor: Cursor | None = None) -> tuple[Reader, FakeSink]:
    sink = FakeSink()
    reader = Reader(Identity("ann"), sink, cursor or hub.cursor)
    hub.attach(reader)
    return reader, sink


def ids(sink: FakeSink) -> list[str]:
    """What the lines ``id:`` said."""
    return [line[4:].decode() for line in sink.taken.splitlines() if line.startswith(b"id: ")]


def numbers(sink: FakeSink) -> list[int]:
    return [int(part.split(b"}")[0].split(b",")[0]) for part in sink.taken.split(b'{"n":')[1:]]


async def live(reader: Reader) -> None:
    async with asyncio.timeout(5):
        while reader.state is not ReaderState.LIVE:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_what_a_spool_accepts_is_delivered_at_once_with_its_id_and_a_cursor_that_tells(
    hub: Hub, log: ScriptedLog
) -> None:
    _, sink = attached(hub)
    await log.say(home(1, 1, spooled=False))
    await log.say(afloat(2), afloat(3))
    assert numbers(sink) == [1, 2, 3]
    assert ids(sink) == [f"1-1-{EPOCH}", f"1-1-{EPOCH}~{OURS}.2", f"1-1-{EPOCH}~{OURS}.3"]
    assert f'"id":"7-3-{OURS}","timestamp":7'.encode() in sink.taken


async def test_what_comes_home_comes_to_nobody_twice(hub: Hub, log: ScriptedLog) -> None:
    _, there = attached(hub)
    await log.say(afloat(1), afloat(2))
    late, behind = attached(hub, Cursor(START))
    await live(late)
    resumed = Cursor.parse(ids(there)[0])
    again, partly = attached(hub, resumed)
    await live(again)
    await log.say(home(1, 1), home(2, 9, THEIRS), home(3, 2), home(4, 3, spooled=False))
    assert numbers(there) == numbers(behind) == [1, 2, 9, 3]
    assert numbers(partly) == [2, 9, 3]
    assert ids(there)[-2:] == [f"2-2-{EPOCH}~{OURS}.2", f"4-4-{EPOCH}"]
    assert hub.cursor == Cursor(Position(4, 4, EPOCH))
    newcomer, new = attached(hub, Cursor(START))
    await live(newcomer)
    assert numbers(new) == [1, 9, 2, 3]


async def test_a_reader_without_room_gets_what_is_afloat_when_it_has_room_again(
    hub: Hub, log: ScriptedLog
) -> None:
    reader, sink = attached(hub)
    sink.stop_reading()
    await log.say(afloat(1, pad=HIGH_WATER))
    await log.say(afloat(2), afloat(3))
    assert reader.behind()
    log.away = True
    sink.read_on()
    await live(reader)
    assert numbers(sink) == [1, 2, 3]


async def test_who_comes_from_another_node_gets_nothing_twice_of_what_that_one_had(
    hub: Hub, log: ScriptedLog
) -> None:
    """It is live at once, and stands with the others when the other spool has come home."""
    guest, sink = attached(hub, Cursor(START, ((THEIRS, 2),)))
    friend, friends_sink = attached(hub, Cursor(START, ((THEIRS, 2),)))
    _, ours = attached(hub)
    assert (guest.state, hub.live) == (ReaderState.LIVE, 3)
    assert guest.cohort is friend.cohort
    await log.say(home(1, 1, THEIRS), home(2, 1, OURS, spooled=False))
    assert numbers(ours) == [1, 1]
    assert numbers(sink) == [1]
    assert ids(sink) == [f"2-2-{EPOCH}~{THEIRS}.2"]
    assert hub.reached(guest) == Cursor(Position(2, 2, EPOCH), ((THEIRS, 2),))
    hub.tell(live_readers(hub), lambda cursor: ping(cursor, sequence=1, now=0))
    assert ids(sink)[-1] == f"2-2-{EPOCH}~{THEIRS}.2"
    assert ids(ours)[-1] == f"2-2-{EPOCH}"
    await log.say(home(3, 2, THEIRS), home(4, 3, THEIRS))
    assert numbers(ours) == [1, 1, 2, 3]
    assert numbers(sink) == numbers(friends_sink) == [1, 3]
    assert hub.reached(guest) == hub.cursor
    hub.detach(guest)
    assert hub.live == 2


async def test_a_gap_keeps_what_was_seen_of_spools(hub: Hub, log: ScriptedLog) -> None:
    guest, sink = attached(hub, Cursor(START, ((THEIRS, 2),)))
    to = Position(9, 9, EPOCH)
    log.kept.append(home(9, 50, "sanother"))
    await log.say(gap=Gap(str(START), to, "expired"))
    assert ids(sink) == [f"9-9-{EPOCH}~{THEIRS}.2"]
    assert hub.reached(guest) == Cursor(to, ((THEIRS, 2),))
    assert hub.cursor == Cursor(to)


async def test_another_identity_keeps_its_place_also_among_guests(
    hub: Hub, log: ScriptedLog
) -> None:
    guest, sink = attached(hub, Cursor(START, ((THEIRS, 2),)))
    assert hub.become(guest, Identity("ann", frozenset({"A"}))) == hub.reached(guest)
    await log.say(home(1, 3, THEIRS))
    assert numbers(sink) == [3]


async def test_while_the_log_is_away_a_reader_behind_waits_and_loses_nothing(
    hub: Hub, log: ScriptedLog
) -> None:
    await log.say(home(1, 1, spooled=False), home(2, 2, spooled=False))
    log.away = True
    reader, sink = attached(hub, Cursor(START))
    await log.say(afloat(3))
    assert reader.behind()
    log.away = False
    await live(reader)
    assert numbers(sink) == [1, 2, 3]


# Polls


class RecallingLog(ScriptedLog):
    """One that remembers on this node what it has yielded."""

    def recall(self, after: Position, *, limit: int, max_bytes: int) -> Page | None:
        entries = tuple(e for e in self.kept if e.position.offset > after.offset)
        return Page(after, entries[:limit], self.end)


def kept(hub: Hub) -> Keeper:
    """A keeper that is open without its ticks, which come by the real clock."""
    keeper = Keeper(hub, LocalBus(), clock=FakeClock(), journal=FakeJournal())
    keeper.phase = Phase.OPEN
    return keeper


@pytest.fixture
def keeper(hub: Hub) -> Keeper:
    return kept(hub)


async def stays() -> Message:
    """A client who does not leave."""
    await asyncio.Event().wait()
    raise AssertionError


async def polled(
    keeper: Keeper,
    cursor: Cursor,
    *,
    limit: int = 500,
    wait: float = 0,
    until: Cursor | None = None,
) -> PollAnswer:
    request = PollRequest(since=cursor, limit=limit, wait=wait, until=until)
    return await poll(keeper, Identity("ann"), request, stays)


def places(answer: PollAnswer) -> list[str]:
    return [str(entry.position) for entry in answer.entries]


async def test_polls_see_what_is_afloat_and_their_cursors_go_on(
    hub: Hub, keeper: Keeper, log: ScriptedLog
) -> None:
    await log.say(home(1, 1, spooled=False))
    await log.say(afloat(2), afloat(3), afloat(4))
    first = await polled(keeper, Cursor(START), limit=2)
    assert places(first) == [f"1-1-{EPOCH}", f"7-2-{OURS}"]
    assert (str(first.cursor), first.more) == (f"1-1-{EPOCH}~{OURS}.2", True)
    second = await polled(keeper, first.cursor, limit=2)
    assert places(second) == [f"7-3-{OURS}", f"7-4-{OURS}"]
    assert (str(second.cursor), second.more) == (f"1-1-{EPOCH}~{OURS}.4", False)
    assert (await polled(keeper, second.cursor)).empty
    again = await polled(keeper, Cursor(START), until=first.cursor)
    assert (places(again), again.cursor) == (places(first), first.cursor)
    await log.say(home(2, 2), home(3, 3), home(4, 1, THEIRS), home(5, 4), home(6, 5))
    third = await polled(keeper, first.cursor)
    assert places(third) == [f"{n}-{n}-{EPOCH}" for n in (3, 4, 5, 6)]
    fourth = await polled(keeper, second.cursor)
    assert places(fourth) == [f"{n}-{n}-{EPOCH}" for n in (4, 6)]
    assert third.cursor == fourth.cursor == hub.cursor == Cursor(Position(6, 6, EPOCH))


async def test_a_poll_sees_what_is_remembered_and_what_is_afloat_while_the_log_is_away() -> None:
    log = RecallingLog()
    hub = Hub(log, clock=FakeClock(), journal=FakeJournal())
    await hub.start()
    keeper = kept(hub)
    await log.say(home(1, 1, spooled=False), home(2, 1, THEIRS))
    await log.say(afloat(2))
    log.away = True
    answer = await polled(keeper, Cursor(START, ((THEIRS, 1),)))
    assert places(answer) == [f"1-1-{EPOCH}", f"7-2-{OURS}"]
    assert (str(answer.cursor), answer.more) == (f"2-2-{EPOCH}~{OURS}.2", False)
    await hub.stop()


async def test_a_held_poll_is_answered_by_what_a_spool_accepts(
    hub: Hub, keeper: Keeper, log: ScriptedLog
) -> None:
    task = asyncio.create_task(polled(keeper, Cursor(START), wait=60))
    while not hub.live:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    await log.say(afloat(1))
    answer = await asyncio.wait_for(task, 5)
    assert (places(answer), str(answer.cursor)) == ([f"7-1-{OURS}"], f"{START}~{OURS}.1")


async def test_a_held_poll_is_not_answered_by_what_its_cursor_has_seen(
    hub: Hub, keeper: Keeper, log: ScriptedLog
) -> None:
    """It waits for what is new, and its cursor goes on over the rest."""
    task = asyncio.create_task(polled(keeper, Cursor(START, ((THEIRS, 2),)), wait=60))
    while not hub.live:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    await log.say(home(1, 1, THEIRS), home(2, 2, THEIRS))
    assert not task.done()
    await log.say(home(3, 3, THEIRS))
    answer = await asyncio.wait_for(task, 5)
    assert places(answer) == [f"3-3-{EPOCH}"]
    assert answer.cursor == Cursor(Position(3, 3, EPOCH))


async def test_a_log_of_one_producer_hides_nothing_from_a_cursor_that_has_seen_spools() -> None:
    """Such a cursor comes from before the log was another one."""
    log = MemoryLog(Retention(), clock=FakeClock())
    hub = Hub(log, clock=FakeClock(), journal=FakeJournal())
    await hub.start()
    _, sink = attached(hub, Cursor(hub.position, ((THEIRS, 2),)))
    start = hub.position
    await hub.publish([Event("notification", {"n": n}) for n in (1, 2)])
    async with asyncio.timeout(5):
        while hub.position == start:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
    late, behind = attached(hub, Cursor(start, ((THEIRS, 2),)))
    await live(late)
    answer = await polled(kept(hub), Cursor(start, ((THEIRS, 2),)))
    assert numbers(sink) == numbers(behind) == [1, 2]
    assert [entry.position.offset for entry in answer.entries] == [1, 2]
    await hub.stop()
