"""The hub: live, behind, and the seam between them."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from tests.fakes import FakeClock, FakeJournal, FakeSink
from tests.waiting import within_steps
from tidewire.core import backoff as backoff_module
from tidewire.core import notices
from tidewire.core.errors import Unavailable
from tidewire.core.event import Event
from tidewire.core.frame import UNNAMED
from tidewire.core.hub import Hub, Place
from tidewire.core.log import IdempotencyKey, Page
from tidewire.core.pages import MAX_READS
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.reader import HIGH_WATER, Reader, ReaderState
from tidewire.core.target import EVERYONE, Identity, Target
from tidewire.health.journal import ErrorJournal
from tidewire.logs import Retention
from tidewire.logs.memory import MemoryLog


class TroubledLog(MemoryLog):
    """A memory log that fails, or lets its callers wait, as the test says."""

    def __init__(self, clock: FakeClock, retention: Retention | None = None) -> None:
        super().__init__(retention or Retention(), clock=clock)
        self.failing_reads = 0
        self.failing_follows = 0
        self.follows = 0
        self.reads = 0
        self.at_once = 0
        self.most_at_once = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.hear = asyncio.Event()
        self.hear.set()
        self.remembers = False

    def recall(self, after: Position, *, limit: int, max_bytes: int) -> Page | None:
        if not self.remembers:
            return None
        return super().recall(after, limit=limit, max_bytes=max_bytes)

    async def read(self, since: Since, **limits: Any) -> Page:
        self.reads += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go_on.wait()
            if self.failing_reads and isinstance(since, Cursor):
                self.failing_reads -= 1
                raise ConnectionError("the log is away")
            return await super().read(since, **limits)
        finally:
            self.at_once -= 1

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        self.follows += 1
        if self.failing_follows > 0:
            self.failing_follows -= 1
            raise ConnectionError("the log is away")
        while True:
            await self.hear.wait()
            page = await super().read(Cursor(after))
            if page.entries or page.gap:
                after = page.end
                yield page
                if self.failing_follows > 0:
                    self.failing_follows -= 1
                    raise ConnectionError("the log is away")
            elif self._closed:
                return
            else:
                self._grown.clear()
                await self._grown.wait()


@pytest.fixture
def log(clock: FakeClock) -> TroubledLog:
    return TroubledLog(clock)


@pytest.fixture
async def hub(log: TroubledLog, clock: FakeClock, journal: FakeJournal) -> AsyncIterator[Hub]:
    hub = Hub(log, clock=clock, journal=journal)
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff_module, "FIRST_SECONDS", 0.0)


async def heard(hub: Hub) -> None:
    """Until the hub has heard all that the log holds."""
    head = await hub.head()
    await within_steps(lambda: hub.position == head)


def event(n: int, target: Target = EVERYONE, pad: int = 0) -> Event:
    return Event("notification", {"n": n, "pad": "x" * pad}, target=target)


def reader(hub: Hub, sink: FakeSink | None = None, user: str = "ann", **more: Any) -> Reader:
    return Reader(
        Identity(user, frozenset({"A"})),
        sink or FakeSink(),
        Cursor(more.pop("at", hub.position)),
        **more,
    )


def numbers(sink: FakeSink) -> list[int]:
    """The numbers of the events that were written, taken or not."""
    written = (sink.taken + sink.waiting).decode()
    return [
        json.loads(data)["data"]["n"]
        for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n", written)
        if name == "notification"
    ]


def gaps(sink: FakeSink) -> list[dict[str, Any]]:
    written = (sink.taken + sink.waiting).decode()
    return [json.loads(data)["data"] for data in re.findall(r"event: gap\ndata: (.*)\n", written)]


def sink_of(reader: Reader) -> FakeSink:
    assert isinstance(reader.sink, FakeSink)
    return reader.sink


# Life


def test_a_hub_that_is_not_started_is_unavailable(log: TroubledLog, clock: FakeClock) -> None:
    hub = Hub(log, clock=clock, journal=FakeJournal())
    assert not hub.hearing
    with pytest.raises(Unavailable) as refused:
        _ = hub.position
    assert refused.value.retry_after == 1000


async def test_a_hub_starts_at_the_head(log: TroubledLog, clock: FakeClock) -> None:
    positions = await log.append([event(1), event(2)])
    hub = Hub(log, clock=clock, journal=FakeJournal())
    await hub.start()
    assert hub.position == positions[1] == await hub.head()
    hearing = [hub.hearing]
    await hub.stop()
    hearing.append(hub.hearing)
    assert hearing == [True, False]
    with pytest.raises(Unavailable):
        _ = hub.position


async def test_a_hub_stops_while_readers_catch_up(hub: Hub, log: TroubledLog) -> None:
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    log.go_on.clear()
    behind = reader(hub, at=start)
    hub.attach(behind)
    await within_steps(lambda: log.at_once)
    await hub.stop()
    assert not behind.catching_up
    log.go_on.set()
    await within_steps(lambda: not log.at_once)
    assert numbers(sink_of(behind)) == []


async def test_a_hub_whose_log_is_closed_hears_no_more(hub: Hub, log: TroubledLog) -> None:
    await log.close()
    await within_steps(lambda: not hub.hearing)


async def test_publishing_is_appending(hub: Hub, log: TroubledLog) -> None:
    key = IdempotencyKey("ann:k", "d")
    first = await hub.publish([event(1), event(2)], key=key)
    assert await hub.publish([event(1), event(2)], key=key) == first
    assert [e.position for e in (await log.read(Edge.EARLIEST)).entries] == first


async def test_latest_is_where_the_hub_stands_and_every_other_place_is_asked_of_the_log(
    hub: Hub, log: TroubledLog
) -> None:
    start = hub.position
    log.hear.clear()
    await hub.publish([event(1), event(2), event(3)])
    assert await hub.locate(Edge.LATEST) == Place(Cursor(start))
    assert await hub.locate(Cursor(start)) == Place(Cursor(start))
    place = await hub.locate(Edge.EARLIEST, newest=1)
    assert place.gap is not None
    assert (place.gap.reason, place.cursor.position.offset) == ("replayLimit", 2)


# Live


async def test_a_reader_at_the_head_is_live_at_once(hub: Hub, log: TroubledLog) -> None:
    reads = log.reads
    it = reader(hub)
    hub.attach(it)
    assert it.state is ReaderState.LIVE
    assert hub.live == 1
    assert log.reads == reads


async def test_live_readers_get_what_is_for_them_and_when_is_remembered(
    hub: Hub, clock: FakeClock
) -> None:
    ann, bob = reader(hub), reader(hub, user="bob")
    for each in (ann, bob):
        hub.attach(each)
    clock.advance(5)
    await hub.publish([event(1, Target.of(["ann"])), event(2, Target.of(["zoe"]))])
    await heard(hub)
    assert (numbers(sink_of(ann)), numbers(sink_of(bob))) == ([1], [])
    assert (ann.delivered_at, bob.delivered_at) == (clock.monotonic(), 0.0)


async def test_a_detached_reader_gets_nothing_more(hub: Hub) -> None:
    it = reader(hub)
    hub.attach(it)
    hub.detach(it)
    hub.detach(it)
    assert it.sink.on_room is None
    assert (it.state, hub.live) == (ReaderState.CLOSED, 0)
    await hub.publish([event(1)])
    await heard(hub)
    assert numbers(sink_of(it)) == []


async def test_the_position_of_a_live_reader_is_the_hubs(hub: Hub) -> None:
    it = reader(hub)
    hub.attach(it)
    await hub.publish([event(1, Target.of(["zoe"]))])
    await heard(hub)
    assert hub.reached(it) == hub.cursor != it.cursor


async def test_a_large_page_reaches_a_live_reader_in_writes_of_bounded_size(hub: Hub) -> None:
    it = reader(hub, FakeSink(reading=False))
    hub.attach(it)
    await hub.publish([event(n, pad=1000) for n in range(100)])
    await heard(hub)
    assert len(sink_of(it).waiting) < 2 * HIGH_WATER
    assert it.behind()


# Behind


async def test_a_reader_without_room_falls_behind_and_keeps_its_cursor(hub: Hub) -> None:
    it = reader(hub, FakeSink(reading=False))
    hub.attach(it)
    await hub.publish([event(1, pad=HIGH_WATER)])
    await heard(hub)
    assert it.state is ReaderState.LIVE
    first = hub.cursor
    await hub.publish([event(2)])
    await heard(hub)
    assert (it.state, it.cursor, hub.reached(it)) == (ReaderState.BEHIND, first, first)
    assert hub.live == 0
    for n in range(3, 50):
        await hub.publish([event(n, pad=1000)])
    await heard(hub)
    assert numbers(sink_of(it)) == [1]
    sink_of(it).read_on()
    await within_steps(lambda: it.state is ReaderState.LIVE)
    assert numbers(sink_of(it)) == list(range(1, 50))


async def test_a_reader_without_room_stays_live_while_nothing_is_for_it(hub: Hub) -> None:
    it = reader(hub, FakeSink(reading=False))
    hub.attach(it)
    await hub.publish([event(1, pad=HIGH_WATER)])
    await hub.publish([event(2, Target.of(["zoe"]))])
    await heard(hub)
    assert it.state is ReaderState.LIVE
    assert hub.reached(it) == hub.cursor


async def test_a_slow_reader_does_not_slow_the_others(hub: Hub) -> None:
    slow, quick = reader(hub, FakeSink(reading=False)), reader(hub)
    hub.attach(slow)
    hub.attach(quick)
    for n in range(100):
        await hub.publish([event(n, pad=1000)])
    await heard(hub)
    assert numbers(sink_of(quick)) == list(range(100))
    assert len(sink_of(slow).waiting) < HIGH_WATER + 2000


async def test_a_reader_who_sips_catches_up_piece_by_piece(hub: Hub) -> None:
    start = hub.position
    for n in range(100):
        await hub.publish([event(n, pad=1000)])
    await heard(hub)
    it = reader(hub, FakeSink(reading=False), at=start)
    hub.attach(it)
    sips = 0
    while it.state is not ReaderState.LIVE:
        await within_steps(lambda: not it.catching_up)
        assert len(sink_of(it).waiting) < 2 * HIGH_WATER
        sink_of(it).read_on()
        sink_of(it).stop_reading()
        sips += 1
        await within_steps(lambda: it.state is ReaderState.LIVE or not sink_of(it).room())
    assert sips >= 5
    assert numbers(sink_of(it)) == list(range(100))


async def test_a_reader_whose_socket_drains_twice_is_read_for_once(
    hub: Hub, log: TroubledLog
) -> None:
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    it = reader(hub, at=start)
    hub.attach(it)
    drained = it.sink.on_room
    assert drained is not None
    drained()
    drained()
    await within_steps(lambda: it.state is ReaderState.LIVE)
    drained()
    assert numbers(sink_of(it)) == [1]


async def test_what_is_remembered_is_written_in_the_very_step_that_attaches(
    hub: Hub, log: TroubledLog
) -> None:
    start = hub.position
    await hub.publish([event(n, pad=1000) for n in range(1, 31)])
    await heard(hub)
    log.remembers = True
    log.reads = 0
    it = reader(hub, at=start)
    hub.attach(it)
    assert numbers(sink_of(it)) == list(range(1, 31))
    assert it.state is ReaderState.LIVE
    assert log.reads == 0


async def test_whoever_has_much_to_catch_up_with_lets_the_others_go_on(
    hub: Hub, log: TroubledLog
) -> None:
    start = hub.position
    await hub.publish([event(n, pad=4000) for n in range(1, 101)])
    await heard(hub)
    log.remembers = True
    it = reader(hub, at=start)
    hub.attach(it)
    assert 0 < len(numbers(sink_of(it))) < 100
    assert it.behind()
    await within_steps(lambda: it.state is ReaderState.LIVE)
    assert numbers(sink_of(it)) == list(range(1, 101))


async def test_a_reader_who_has_everything_waits_for_no_room(hub: Hub, log: TroubledLog) -> None:
    def waits() -> bool:
        return it.sink.on_room is not None

    it = reader(hub)
    hub.attach(it)
    assert not it.behind()
    assert not waits()
    sink_of(it).stop_reading()
    sink_of(it).waiting = b"x" * HIGH_WATER
    await hub.publish([event(1)])
    await heard(hub)
    assert it.behind()
    assert waits()
    sink_of(it).read_on()
    await within_steps(lambda: not it.behind())


async def test_what_comes_during_the_last_page_is_neither_lost_nor_repeated(
    hub: Hub, log: TroubledLog
) -> None:
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    it = reader(hub, at=start)
    log.go_on.clear()
    hub.attach(it)
    await within_steps(lambda: log.at_once)
    await hub.publish([event(2)])
    await within_steps(lambda: hub.position.offset == 2)
    assert numbers(sink_of(it)) == []
    log.go_on.set()
    await within_steps(lambda: it.state is ReaderState.LIVE)
    await hub.publish([event(3)])
    await heard(hub)
    assert numbers(sink_of(it)) == [1, 2, 3]


async def test_a_reader_detached_during_its_read_gets_nothing(hub: Hub, log: TroubledLog) -> None:
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    it = reader(hub, at=start)
    log.go_on.clear()
    hub.attach(it)
    await within_steps(lambda: log.at_once)
    hub.detach(it)
    log.go_on.set()
    await within_steps(lambda: not it.catching_up)
    assert numbers(sink_of(it)) == []
    assert it.state is ReaderState.CLOSED


async def test_a_reader_ahead_of_the_hub_waits_and_gets_nothing_twice(
    hub: Hub, log: TroubledLog
) -> None:
    log.hear.clear()
    positions = await hub.publish([event(1), event(2), event(3)])
    it = reader(hub, at=positions[1])
    hub.attach(it)
    await within_steps(lambda: not it.catching_up)
    assert it.behind()
    assert numbers(sink_of(it)) == []
    log.hear.set()
    await heard(hub)
    await within_steps(lambda: it.state is ReaderState.LIVE)
    await hub.publish([event(4)])
    await heard(hub)
    assert numbers(sink_of(it)) == [3, 4]


async def test_a_catching_up_reader_does_not_overtake_the_hub(hub: Hub, log: TroubledLog) -> None:
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    log.hear.clear()
    await hub.publish([event(2)])
    it = reader(hub, at=start)
    hub.attach(it)
    await within_steps(lambda: it.state is ReaderState.LIVE)
    assert hub.reached(it) == hub.cursor
    log.hear.set()
    await heard(hub)
    assert numbers(sink_of(it)) == [1, 2]


async def caught_up(hub: Hub, log: TroubledLog, *, failures: int) -> Reader:
    """A reader who was one event behind, and could be read for after so many failures."""
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    log.failing_reads = failures
    it = reader(hub, at=start)
    hub.attach(it)
    await within_steps(lambda: it.state is ReaderState.LIVE)
    return it


async def test_reading_is_tried_again_after_an_error(
    hub: Hub, log: TroubledLog, journal: FakeJournal
) -> None:
    it = await caught_up(hub, log, failures=3)
    assert numbers(sink_of(it)) == [1]
    assert journal.notes == [
        *["reading the log failed; it is tried again"] * 3,
        "the log is read again",
    ]


async def test_a_log_that_is_read_again_ends_the_failure(
    log: TroubledLog, clock: FakeClock
) -> None:
    errors = ErrorJournal(FakeJournal(), clock=clock)
    hub = Hub(log, clock=clock, journal=errors)
    await hub.start()
    await caught_up(hub, log, failures=1)
    [entry] = errors.kept()
    assert entry.kind.code == "READ_FAILED"
    assert entry.recovery is not None
    assert entry.recovery.success is True
    await hub.stop()


async def test_readers_far_behind_are_counted_of_all_who_are_or_were_live(hub: Hub) -> None:
    readers = [reader(hub) for _ in range(3)]
    for each in readers:
        hub.attach(each)
    for each in readers[:2]:
        sink_of(each).stop_reading()
        sink_of(each).write(b"x" * HIGH_WATER)
    assert hub.far_behind(0) == (0, 3)
    await hub.publish([event(n) for n in range(5)])
    await heard(hub)
    assert (hub.far_behind(4), hub.far_behind(5)) == ((2, 3), (0, 3))


async def test_equal_pages_are_read_once_for_all(hub: Hub, log: TroubledLog) -> None:
    start = hub.position
    await hub.publish([event(n) for n in range(10)])
    await heard(hub)
    reads = log.reads
    readers = [reader(hub, at=start) for _ in range(100)]
    for each in readers:
        hub.attach(each)
    await within_steps(lambda: hub.live == 100)
    assert log.reads == reads + 1
    assert all(numbers(sink_of(each)) == list(range(10)) for each in readers)


async def test_at_most_eight_pages_are_read_at_a_time(hub: Hub, log: TroubledLog) -> None:
    start = hub.position
    positions = await hub.publish([event(n) for n in range(30)])
    await heard(hub)
    log.go_on.clear()
    log.most_at_once = 0
    readers = [reader(hub, at=at) for at in (start, *positions[:-1])]
    for each in readers:
        hub.attach(each)
    await within_steps(lambda: log.at_once == MAX_READS)
    for _ in range(20):
        await asyncio.sleep(0)
    assert log.most_at_once == MAX_READS == 8
    log.go_on.set()
    await within_steps(lambda: hub.live == 30)
    assert log.most_at_once == 8


async def test_who_wants_little_of_a_long_log_reads_it_in_few_pages(
    hub: Hub, log: TroubledLog
) -> None:
    start = hub.position
    for _ in range(40):
        await hub.publish([event(n, Target.of(["zoe"]), pad=1000) for n in range(50)])
    await hub.publish([event(1)])
    await heard(hub)
    reads = log.reads
    it = reader(hub, at=start)
    hub.attach(it)
    await within_steps(lambda: it.state is ReaderState.LIVE)
    assert numbers(sink_of(it)) == [1]
    # 2 MB in pages of 16 KiB would be 130 reads.
    assert log.reads - reads < 20


# Holes


@pytest.fixture
async def short(clock: FakeClock, journal: FakeJournal) -> AsyncIterator[Hub]:
    """A hub on a log that keeps three events."""
    hub = Hub(TroubledLog(clock, Retention(events=3)), clock=clock, journal=journal)
    await hub.start()
    yield hub
    await hub.stop()


async def test_a_slow_reader_that_was_trimmed_past_is_told_once(short: Hub) -> None:
    start = short.position
    it = reader(short, FakeSink(reading=False))
    short.attach(it)
    await short.publish([event(1, pad=HIGH_WATER)])
    await heard(short)
    first = short.position
    for n in range(2, 8):
        await short.publish([event(n)])
        await heard(short)
    sink_of(it).read_on()
    await within_steps(lambda: it.state is ReaderState.LIVE)
    floor = (await short.log.read(Edge.EARLIEST, limit=0)).start
    assert gaps(sink_of(it)) == [{"from": str(first), "to": str(floor), "reason": "expired"}]
    assert numbers(sink_of(it)) == [1, 5, 6, 7]
    assert start != first


async def test_a_hub_that_missed_something_tells_live_readers_once_each(short: Hub) -> None:
    start = short.position
    named, unnamed = reader(short), reader(short, FakeSink(UNNAMED))
    full = reader(short, FakeSink(reading=False), user="bob")
    for each in (named, unnamed, full):
        short.attach(each)
    sink_of(full).waiting = b"x" * HIGH_WATER
    await short.publish([event(n) for n in range(1, 6)])
    await heard(short)
    expected = [
        {"from": str(start), "to": str(short.position).replace("-5-", "-2-"), "reason": "expired"}
    ]
    assert gaps(sink_of(named)) == expected
    assert numbers(sink_of(named)) == [3, 4, 5]
    assert b'"reason":"expired"' in sink_of(unnamed).taken
    assert b"event:" not in sink_of(unnamed).taken
    # Who has no room finds the same hole by itself, from its own cursor.
    assert (full.state, full.cursor) == (ReaderState.BEHIND, Cursor(start))
    sink_of(full).waiting = b""
    sink_of(full).reading = True
    assert full.sink.on_room is not None
    full.sink.on_room()
    await within_steps(lambda: full.state is ReaderState.LIVE)
    assert gaps(sink_of(full)) == expected
    assert numbers(sink_of(full)) == [3, 4, 5]


# Deaf


async def test_the_hub_follows_on_after_the_log_failed(
    hub: Hub, log: TroubledLog, journal: FakeJournal
) -> None:
    it = reader(hub)
    hub.attach(it)
    log.failing_follows = 3
    await hub.publish([event(1)])
    await within_steps(lambda: log.follows == 4)
    await hub.publish([event(2), event(3)])
    await heard(hub)
    assert numbers(sink_of(it)) == [1, 2, 3]
    assert hub.hearing
    assert journal.notes == ["following the log failed; it is tried again"] * 3


async def test_a_hub_whose_log_fails_does_not_hear(
    hub: Hub, log: TroubledLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff_module, "LAST_SECONDS", 0.0)
    assert hub.hearing
    log.failing_follows = 1_000_000
    await hub.publish([event(1)])
    await within_steps(lambda: not hub.hearing)


async def test_a_hub_hears_again_although_nothing_new_was_said(hub: Hub, log: TroubledLog) -> None:
    log.failing_follows = 1
    await hub.publish([event(1)])
    await within_steps(lambda: log.follows == 2)
    await within_steps(lambda: hub.hearing)


# Identities


async def test_a_live_reader_is_found_by_its_new_identity_at_once(hub: Hub) -> None:
    it = reader(hub)
    hub.attach(it)
    await hub.publish([event(1, Target.of(roles=["A"])), event(2, Target.of(roles=["B"]))])
    await heard(hub)
    assert hub.become(it, Identity("ann", frozenset({"B"}))) == hub.cursor
    await hub.publish([event(3, Target.of(roles=["A"])), event(4, Target.of(roles=["B"]))])
    await heard(hub)
    assert numbers(sink_of(it)) == [1, 4]


async def test_what_a_slow_reader_has_not_got_is_judged_by_the_new_identity(hub: Hub) -> None:
    it = reader(hub, FakeSink(reading=False))
    hub.attach(it)
    await hub.publish([event(1, pad=HIGH_WATER)])
    await heard(hub)
    first = hub.cursor
    await hub.publish([event(2, Target.of(roles=["A"])), event(3, Target.of(roles=["B"]))])
    await heard(hub)
    assert hub.become(it, Identity("ann", frozenset({"B"}))) == first
    sink_of(it).read_on()
    await within_steps(lambda: it.state is ReaderState.LIVE)
    assert numbers(sink_of(it)) == [1, 3]


# To all


async def test_what_is_told_reaches_live_readers_with_room_and_is_encoded_once(hub: Hub) -> None:
    start = hub.position
    await hub.publish([event(1)])
    await heard(hub)
    live, other = reader(hub), reader(hub, FakeSink(UNNAMED))
    full, behind = reader(hub), reader(hub, FakeSink(reading=False), at=start)
    for each in (live, other, full):
        hub.attach(each)
    sink_of(behind).waiting = b"x" * HIGH_WATER
    hub.attach(behind)
    sink_of(full).stop_reading()
    sink_of(full).waiting = b"x" * HIGH_WATER
    told = hub.tell(
        [live, other, full, behind], lambda cursor: notices.ping(cursor, sequence=1, now=0)
    )
    assert told == 2
    assert sink_of(live).taken.startswith(b"event: ping\n")
    assert sink_of(live).taken.endswith(f"id: {hub.position}\n\n".encode())
    assert sink_of(other).taken.startswith(b"data: ")
    for each in (full, behind):
        assert b"ping" not in sink_of(each).waiting + sink_of(each).taken


# What must not stop the others


class BrokenSink(FakeSink):
    """A sink that fails where it should only take bytes."""

    def offer(self, data: bytes) -> bool:
        raise RuntimeError("broken")

    def write(self, data: bytes) -> None:
        raise RuntimeError("broken")


async def test_a_broken_sink_is_dropped_and_the_others_get_each_event_once(
    hub: Hub, journal: FakeJournal
) -> None:
    before, broken, after = FakeSink(), BrokenSink(), FakeSink()
    for sink in (before, broken, after):
        hub.attach(reader(hub, sink))
    await hub.publish([event(1)])
    await within_steps(lambda: numbers(after) == [1])
    await hub.publish([event(2)])
    await within_steps(lambda: numbers(after) == [1, 2])
    assert numbers(before) == [1, 2]
    assert broken.was_aborted
    assert journal.notes == ["a sink failed and was dropped"]


async def test_a_socket_that_drains_after_the_hub_has_stopped_is_no_failure(hub: Hub) -> None:
    sink = FakeSink()
    hub.attach(reader(hub, sink))
    sink.stop_reading()
    await hub.publish([event(1, pad=HIGH_WATER), event(2)])
    await within_steps(lambda: hub.live == 0)
    await hub.stop()
    sink.read_on()
    assert numbers(sink) == [1]
