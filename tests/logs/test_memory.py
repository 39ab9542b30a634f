"""The memory log: the contract of every log, and what is its own."""

from typing import Any, SupportsIndex

import pytest

from tests.contracts.log import LogContract, MakeLog, event, events, offsets
from tests.fakes import FakeClock
from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError
from tidewire.core.log import Clearable, Entry, EventLog, IdempotencyKey, Measured
from tidewire.core.position import Cursor, Edge
from tidewire.logs import Retention, open_log
from tidewire.logs.memory import MemoryLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def make_log(self) -> MakeLog:
        async def make(retention: Retention, clock: Clock) -> EventLog:
            return open_log("memory:", retention=retention, clock=clock)

        return make


class CountedEntries(list[Entry]):
    """Entries that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if not isinstance(index, slice):
            self.looks += 1
        return super().__getitem__(index)


@pytest.fixture
async def large() -> MemoryLog:
    """131,072 entries, of which 1,000 at a time share a millisecond."""
    clock = FakeClock()
    log = MemoryLog(Retention(events=200_000, bytes=1 << 30), clock=clock)
    batch = [event()] * 1000
    for _ in range(131):
        await log.append(batch)
        clock.advance(0.010)
    await log.append(batch[:72])
    return log


async def looks(log: MemoryLog, since: Cursor | int) -> int:
    counted = CountedEntries(log._entries)
    log._entries = counted
    page = await log.read(since, limit=1)
    assert len(page.entries) == 1
    return counted.looks


async def test_a_cursor_is_found_in_a_few_steps_however_long_the_log_is(large: MemoryLog) -> None:
    entries = (await large.read(Edge.EARLIEST, limit=131_071, max_bytes=1 << 30)).entries
    assert len(entries) == 131_071
    for at in (0, 1, 65_535, 131_070):
        # One look to honour the cursor, one at the oldest entry to see whether it is too old.
        assert await looks(large, Cursor(entries[at].position)) <= 2


async def test_a_time_is_found_by_bisection(large: MemoryLog) -> None:
    [first] = (await large.read(Edge.EARLIEST, limit=1)).entries
    for ms in (0, 10, 700, 1309, 1310):
        # log2(131,072) = 17 steps, and the two looks that every read may take.
        assert await looks(large, first.position.ms + ms) <= 17 + 2


async def test_a_page_after_a_time_begins_with_the_first_of_that_time(large: MemoryLog) -> None:
    [first] = (await large.read(Edge.EARLIEST, limit=1)).entries
    assert offsets(await large.read(first.position.ms + 700, limit=2)) == [70_001, 70_002]


async def test_trimmed_entries_are_let_go() -> None:
    log = MemoryLog(Retention(events=100), clock=FakeClock())
    for _ in range(50):
        await log.append(events(20))
    assert len(log._entries) <= 100 + 100 // 8
    assert len(log._entries) == len(log._sizes)
    assert (await log.stats()).entries == 100
    assert offsets(await log.read(Edge.EARLIEST)) == list(range(901, 1001))


async def test_forgotten_keys_are_let_go() -> None:
    clock = FakeClock()
    log = MemoryLog(Retention(), clock=clock)
    for n in range(1000):
        await log.append([event()], key=IdempotencyKey(f"ann:{n}", "digest"))
        clock.advance(60)
    assert len(log._keys) <= 11


def test_the_memory_log_is_what_an_address_without_a_name_opens() -> None:
    log = open_log()
    assert log.name == "memory"
    assert isinstance(log, Measured)
    assert isinstance(log, Clearable)


def test_an_unknown_address_is_refused_with_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="TIDEWIRE_LOG_URL"):
        open_log("carrier-pigeon://roof")


@pytest.mark.parametrize("bound", ["events", "seconds", "bytes"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_retention_that_keeps_nothing_is_refused(bound: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=f"TIDEWIRE_RETENTION_{bound.upper()}"):
        Retention(**{bound: value})
