"""The one lane by which a process appends: in order, many to a call, each told how it went."""

import asyncio
import gc

import pytest

from tests.contracts.log import event, events
from tests.fakes import FakeClock
from tests.waiting import until
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Position
from tidewire.logs.writer import CALL_BYTES, Batch, Writer, gathered, new_producer


class Commits:
    """A log at the end of the lane, which lets a call wait and fail as the test says."""

    def __init__(self) -> None:
        self.calls: list[list[Batch]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fail_with: BaseException | None = None
        self.offset = 0

    async def __call__(self, batches: list[Batch]) -> None:
        self.calls.append(batches)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.go_on.wait()
            if self.fail_with is not None:
                error, self.fail_with = self.fail_with, None
                raise error
            for batch in batches:
                batch.succeed(batch.ids_from(Position(1, self.offset + 1, "abcd")))
                self.offset += len(batch.events)
        finally:
            self.under_way -= 1

    @property
    def numbers(self) -> list[list[int]]:
        """The first number of each batch, call by call."""
        return [[batch.first for batch in call] for call in self.calls]


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def writer(commits: Commits, clock: FakeClock) -> Writer:
    return Writer(commits, clock)


def append(writer: Writer, batch: list[Event]) -> "asyncio.Task[list[Position]]":
    return asyncio.create_task(writer.append(batch, None))


async def waiting(
    writer: Writer, commits: Commits, *batches: list[Event]
) -> list["asyncio.Task[list[Position]]"]:
    """Appends that gather behind a call that is under way."""
    commits.go_on.clear()
    tasks = [append(writer, [event()])]
    await until(lambda: commits.under_way)
    tasks += [append(writer, batch) for batch in batches]
    await until(lambda: len(writer._waiting) == len(batches))
    return tasks


async def test_batches_are_numbered_without_holes_in_the_order_in_which_they_came(
    writer: Writer, commits: Commits
) -> None:
    found = await asyncio.gather(*(append(writer, events(n)) for n in (1, 3, 2)))
    assert [[p.offset for p in one] for one in found] == [[1], [2, 3, 4], [5, 6]]
    batches = [batch for call in commits.calls for batch in call]
    assert [(batch.first, batch.last) for batch in batches] == [(1, 1), (2, 4), (5, 6)]


async def test_what_comes_during_a_call_goes_together_in_the_next_one(
    writer: Writer, commits: Commits
) -> None:
    tasks = await waiting(writer, commits, *(events(1) for _ in range(20)))
    commits.go_on.set()
    found = await asyncio.gather(*tasks)
    assert [p.offset for (p,) in found] == list(range(1, 22))
    assert commits.numbers == [[1], list(range(2, 22))]
    assert commits.most_under_way == 1


async def test_a_call_takes_so_many_bytes_and_the_rest_goes_in_order_in_the_next(
    writer: Writer, commits: Commits
) -> None:
    third = CALL_BYTES // 3
    tasks = await waiting(writer, commits, *([event(1, pad=third)] for _ in range(5)))
    commits.go_on.set()
    await asyncio.gather(*tasks)
    assert commits.numbers == [[1], [2, 3], [4, 5], [6]]


def test_a_batch_that_is_too_large_for_a_call_goes_alone() -> None:
    large = Batch(events(3, pad=CALL_BYTES // 2), 1, 0)
    small = Batch(events(1), 4, 0)
    assert gathered([large, small]) == [large]
    assert gathered([small, large]) == [small]
    assert gathered([small, small]) == [small, small]
    assert gathered([]) == []


async def test_a_call_that_fails_fails_its_batches_and_no_others(
    writer: Writer, commits: Commits
) -> None:
    tasks = await waiting(writer, commits, events(1), events(1))
    commits.fail_with = ConnectionError("lost")
    commits.go_on.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], ConnectionError)
    assert [p for one in found[1:] if isinstance(one, list) for p in one] == [
        Position(1, 1, "abcd"),
        Position(1, 2, "abcd"),
    ]
    # Numbers are not given twice, whatever came of them.
    await writer.append(events(1), None)
    assert commits.numbers == [[1], [2, 3], [4]]


async def test_one_batch_may_be_refused_and_the_others_of_its_call_accepted(
    clock: FakeClock,
) -> None:
    async def commit(batches: list[Batch]) -> None:
        for batch in batches:
            if batch.first == 2:
                batch.fail(LookupError("this one"))
            else:
                batch.succeed([Position(1, batch.first, "abcd")])

    writer = Writer(commit, clock)
    found = await asyncio.gather(
        *(append(writer, [event()]) for _ in range(3)), return_exceptions=True
    )
    assert isinstance(found[1], LookupError)
    assert found[::2] == [[Position(1, 1, "abcd")], [Position(1, 3, "abcd")]]


async def test_a_caller_who_gives_up_takes_nothing_back(writer: Writer, commits: Commits) -> None:
    """Neither what is under way nor what waits: those who came later have later numbers."""
    tasks = await waiting(writer, commits, events(2), events(1))
    for task in tasks[:2]:
        task.cancel()
    await asyncio.gather(*tasks[:2], return_exceptions=True)
    commits.go_on.set()
    assert await tasks[2] == [Position(1, 4, "abcd")]
    assert commits.numbers == [[1], [2, 4]]


async def test_a_failure_that_nobody_waits_for_any_more_is_no_noise(
    writer: Writer, commits: Commits
) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(str(context["message"]))
    )
    tasks = await waiting(writer, commits)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    commits.fail_with = ConnectionError("lost")
    commits.go_on.set()
    assert await writer.append(events(1), None) == [Position(1, 1, "abcd")]
    commits.calls.clear()
    tasks.clear()
    gc.collect()
    assert told == []


async def test_a_batch_has_the_time_at_which_it_was_taken_up_and_its_key(
    writer: Writer, commits: Commits, clock: FakeClock
) -> None:
    key = IdempotencyKey("ann:1", "d")
    await writer.append(events(1), key)
    now = clock.now()
    clock.advance(5)
    await writer.append(events(1), None)
    [first], [second] = commits.calls
    assert (first.accepted_at, first.key) == (now, key)
    assert (second.accepted_at, second.key) == (now + 5000, None)
    assert first.places("sproduc0") == [Position(now, 1, "sproduc0")]


async def test_what_a_caller_does_to_its_list_later_changes_nothing(
    writer: Writer, commits: Commits
) -> None:
    mine = events(2)
    tasks = await waiting(writer, commits, mine)
    mine.clear()
    commits.go_on.set()
    await asyncio.gather(*tasks)
    assert len(commits.calls[1][0].events) == 2


@pytest.mark.parametrize("bad", [[], [event(), Event("x", id="1-1-aaaa")]])
async def test_what_is_no_append_uses_up_no_number(
    writer: Writer, commits: Commits, bad: list[Event]
) -> None:
    with pytest.raises(ValueError, match="not yet in a log"):
        await writer.append(bad, None)
    await writer.append([event()], None)
    assert commits.numbers == [[1]]


async def test_when_it_is_closed_what_is_under_way_and_what_waits_fails(
    writer: Writer, commits: Commits
) -> None:
    tasks = await waiting(writer, commits, events(1), events(1))
    await writer.close()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found)
    assert commits.numbers == [[1]]


async def test_closing_what_has_nothing_to_do_does_nothing(writer: Writer) -> None:
    await writer.close()
    await writer.close()


def test_a_producer_has_a_name_that_no_epoch_has() -> None:
    """Those have six characters; and cursors must be able to name it."""
    drawn = {new_producer() for _ in range(100)}
    assert len(drawn) == 100
    assert all(len(name) == 8 and name[0] == "s" for name in drawn)
    assert all(Position.parse(f"1-1-{name}").epoch == name for name in drawn)
