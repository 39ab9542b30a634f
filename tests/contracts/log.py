"""What every `EventLog` does. A log plugs in by a subclass that provides `make_log`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

import pytest

from tests.fakes import FakeClock
from tests.waiting import PATIENCE, until
from tidewire.core.clock import Clock
from tidewire.core.errors import IdempotencyConflict
from tidewire.core.event import Event
from tidewire.core.log import Clearable, EventLog, Gap, IdempotencyKey, Measured, Page
from tidewire.core.position import Cursor, Edge, Position
from tidewire.core.target import Target
from tidewire.logs import Retention

MakeLog: TypeAlias = Callable[[Retention, Clock], Awaitable[EventLog]]


def event(n: int = 1, pad: int = 0) -> Event:
    return Event("notification", {"n": n, "pad": "x" * pad})


def events(count: int, pad: int = 0) -> list[Event]:
    return [event(n, pad) for n in range(1, count + 1)]


def offsets(page: Page) -> list[int]:
    return [entry.position.offset for entry in page.entries]


async def floor(log: EventLog) -> Position:
    return (await log.read(Edge.EARLIEST, limit=0)).start


async def soon(pages: AsyncGenerator[Page, None]) -> Page:
    return await asyncio.wait_for(anext(pages), PATIENCE)


class LogContract:
    """The suite. Offsets are counted from the log's own head, which need not be at 0."""

    @pytest.fixture
    def make_log(self) -> MakeLog:
        """Opens an empty log with this retention, on this clock."""
        raise NotImplementedError

    @pytest.fixture
    async def log(self, make_log: MakeLog, clock: FakeClock) -> EventLog:
        return await make_log(Retention(), clock)

    # Appending

    async def test_a_new_log_is_empty_and_its_floor_says_when_it_began(
        self, log: EventLog, clock: FakeClock
    ) -> None:
        page = await log.read(Edge.EARLIEST)
        assert page.entries == ()
        assert page.gap is None
        assert page.start == page.head == page.end
        assert page.start == Position(clock.now(), 0, page.start.epoch)
        assert not page.more

    async def test_offsets_grow_by_one_without_holes(self, log: EventLog) -> None:
        positions = []
        for size in (1, 3, 1, 2):
            positions += await log.append(events(size))
        assert [p.offset for p in positions] == [1, 2, 3, 4, 5, 6, 7]
        assert len({p.epoch for p in positions}) == 1
        assert [e.position for e in (await log.read(Edge.EARLIEST)).entries] == positions

    async def test_concurrent_appends_do_not_mix_their_batches(self, log: EventLog) -> None:
        batches = await asyncio.gather(*(log.append(events(3)) for _ in range(10)))
        for batch in batches:
            first = batch[0].offset
            assert [p.offset for p in batch] == [first, first + 1, first + 2]
        assert offsets(await log.read(Edge.EARLIEST)) == list(range(1, 31))

    async def test_the_time_never_goes_backwards(self, log: EventLog, clock: FakeClock) -> None:
        [first] = await log.append([event()])
        clock.jump(-60_000)
        [second] = await log.append([event()])
        clock.jump(+90_000)
        [third] = await log.append([event()])
        assert [first.ms, second.ms, third.ms] == [first.ms, first.ms, first.ms + 30_000]

    async def test_an_empty_append_is_refused(self, log: EventLog) -> None:
        with pytest.raises(ValueError, match="one or more"):
            await log.append([])

    async def test_a_batch_with_one_bad_event_leaves_the_log_as_it_was(self, log: EventLog) -> None:
        taken = Event("notification", id="1-1-aaaa", timestamp=1)
        before = await log.read(Edge.EARLIEST)
        with pytest.raises(ValueError, match="not yet in a log"):
            await log.append([event(), taken, event()])
        assert await log.read(Edge.EARLIEST) == before

    async def test_an_entry_gives_back_the_event_with_its_id_and_targets(
        self, log: EventLog, clock: FakeClock
    ) -> None:
        published = Event(
            "custom\N{SNOWMAN}",
            {"text": "a\u2028b\r\n\x00\N{PILE OF POO}", "list": [1, 2.5, None, True]},
            priority="critical",
            source="tests",
            metadata={
                "userId": "actor",
                "sessionId": "s-1",
                "correlationId": "c-1",
                "userIds": ["a", "b"],
                "roles": ["ADMIN"],
                "topics": ["t"],
            },
        )
        [position] = await log.append([published])
        [entry] = (await log.read(Edge.EARLIEST)).entries
        back = entry.event()
        assert back.id == entry.id == str(position)
        assert back.timestamp == position.ms == clock.now()
        assert back.session_id == entry.session_id == "s-1"
        assert back.target == Target.of(["a", "b"], ["ADMIN"], ["t"])
        assert back.body == published.body
        assert (back.type, back.data) == (published.type, published.data)
        assert (back.priority, back.source) == ("critical", "tests")
        assert back.metadata == {"userId": "actor", "correlationId": "c-1"}

    async def test_what_is_stored_for_us_is_not_in_what_is_sent(self, log: EventLog) -> None:
        metadata = {"sessionId": "secret-session", "userIds": ["secret-user"], "userId": "actor"}
        await log.append([Event("notification", metadata=metadata)])
        [entry] = (await log.read(Edge.EARLIEST)).entries
        assert b"actor" in entry.body
        assert b"secret" not in entry.body

    # Cursors

    async def test_every_position_of_the_log_is_honoured(self, log: EventLog) -> None:
        origin = await floor(log)
        positions = [origin, *await log.append(events(5))]
        for position in positions:
            page = await log.read(Cursor(position))
            assert page.gap is None
            assert page.start == position
            assert offsets(page) == list(range(position.offset + 1, 6))
            assert page.end == page.head == positions[-1]

    async def test_a_cursor_at_the_head_reads_nothing(self, log: EventLog) -> None:
        positions = await log.append(events(2))
        page = await log.read(Cursor(positions[-1]))
        assert page == Page(positions[-1], (), positions[-1])

    async def test_a_cursor_may_carry_what_was_seen_of_spools(self, log: EventLog) -> None:
        [first, second] = await log.append(events(2))
        page = await log.read(Cursor(first, (("s8", 5),)))
        assert page.gap is None
        assert [e.position for e in page.entries] == [second]

    async def test_an_existing_offset_with_another_time_is_no_position(self, log: EventLog) -> None:
        origin = await floor(log)
        for real in [origin, *await log.append(events(3))]:
            wrong = Position(real.ms - 1, real.offset, real.epoch)
            page = await log.read(Cursor(wrong))
            assert page.gap == Gap(str(wrong), origin, "epoch")
            assert offsets(page) == [1, 2, 3][: page.head.offset]

    async def test_another_epoch_goes_on_from_the_floor(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        positions = await log.append(events(5))
        for offset in (0, 1, 4, 99):
            strange = Position(positions[0].ms, offset, "zzzz0000")
            page = await log.read(Cursor(strange))
            assert page.gap == Gap(str(strange), positions[1], "epoch")
            assert page.start == positions[1]
            assert offsets(page) == [3, 4, 5]

    async def test_two_logs_have_two_epochs(self, make_log: MakeLog, clock: FakeClock) -> None:
        one, two = await make_log(Retention(), clock), await make_log(Retention(), clock)
        assert (await floor(one)).epoch != (await floor(two)).epoch

    async def test_a_cursor_from_the_future_goes_on_from_the_head(self, log: EventLog) -> None:
        positions = await log.append(events(3))
        head = positions[-1]
        ahead = Position(head.ms, head.offset + 1, head.epoch)
        page = await log.read(Cursor(ahead))
        assert page == Page(head, (), head, Gap(str(ahead), head, "future"))

    async def test_a_cursor_below_the_floor_has_expired(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        origin = await floor(log)
        positions = [origin, *await log.append(events(5))]
        for position in positions[:2]:
            page = await log.read(Cursor(position))
            assert page.gap == Gap(str(position), positions[2], "expired")
            assert page.start == positions[2]
            assert offsets(page) == [3, 4, 5]

    async def test_a_cursor_at_the_floor_missed_nothing(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        positions = await log.append(events(5))
        page = await log.read(Cursor(positions[1]))
        assert page.gap is None
        assert page.start == positions[1]
        assert offsets(page) == [3, 4, 5]

    async def test_the_gap_of_a_spool_cursor_repeats_it_as_it_was_written(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=1), clock)
        positions = await log.append(events(3))
        cursor = Cursor(positions[0], (("s8", 5), ("s9", 1)))
        gap = (await log.read(cursor)).gap
        assert gap == Gap(f"{positions[0]}~s8.5~s9.1", positions[1], "expired")

    # Times and edges

    async def test_a_time_finds_the_first_entry_with_that_time_or_later(
        self, log: EventLog, clock: FakeClock
    ) -> None:
        start = clock.now()
        for _ in range(4):
            clock.advance(1)
            await log.append(events(2))
        for since, expected in [
            (0, [1, 2, 3, 4, 5, 6, 7, 8]),
            (start, [1, 2, 3, 4, 5, 6, 7, 8]),
            (start + 1000, [1, 2, 3, 4, 5, 6, 7, 8]),
            (start + 1001, [3, 4, 5, 6, 7, 8]),
            (start + 2000, [3, 4, 5, 6, 7, 8]),
            (start + 4000, [7, 8]),
            (start + 4001, []),
            (start + 10**9, []),
        ]:
            page = await log.read(since)
            assert (offsets(page), page.gap) == (expected, None)
            assert page.start.offset == 8 - len(expected)

    async def test_a_time_has_a_gap_only_if_something_of_it_or_later_was_trimmed(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        start = clock.now()
        positions = []
        for _ in range(5):
            positions += await log.append([event()])
            clock.advance(1)
        trimmed = positions[1]
        for since in (0, start, start + 1000):
            page = await log.read(since)
            assert page.gap == Gap(str(since), trimmed, "expired")
            assert (page.start, offsets(page)) == (trimmed, [3, 4, 5])
        for since, expected in [(start + 1001, [3, 4, 5]), (start + 2001, [4, 5])]:
            page = await log.read(since)
            assert (page.gap, offsets(page)) == (None, expected)

    async def test_a_time_before_a_log_that_trimmed_nothing_has_no_gap(
        self, log: EventLog, clock: FakeClock
    ) -> None:
        page = await log.read(clock.now() - 10_000)
        assert page.gap is None
        assert page.start == page.head

    async def test_earliest_is_the_floor_and_never_a_gap(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        positions = await log.append(events(5))
        page = await log.read(Edge.EARLIEST)
        assert (page.gap, page.start, offsets(page)) == (None, positions[1], [3, 4, 5])

    async def test_latest_is_the_head_and_never_a_gap(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        positions = await log.append(events(5))
        assert await log.read(Edge.LATEST) == Page(positions[-1], (), positions[-1])

    # How much

    async def test_a_page_holds_at_most_its_limit_and_says_whether_there_is_more(
        self, log: EventLog
    ) -> None:
        origin = await floor(log)
        positions = await log.append(events(5))
        page = await log.read(Cursor(origin), limit=2)
        assert (offsets(page), page.end, page.more) == ([1, 2], positions[1], True)
        page = await log.read(Cursor(page.end), limit=3)
        assert (offsets(page), page.end, page.more) == ([3, 4, 5], positions[4], False)

    async def test_a_limit_of_none_only_finds_the_place(self, log: EventLog) -> None:
        positions = await log.append(events(5))
        page = await log.read(Cursor(positions[1]), limit=0)
        assert page == Page(positions[1], (), positions[4])
        assert page.more

    async def test_a_page_holds_at_most_so_many_bytes(self, log: EventLog) -> None:
        origin = await floor(log)
        batch = events(5, pad=1000)
        await log.append(batch)
        two = batch[0].size + batch[1].size
        assert offsets(await log.read(Cursor(origin), max_bytes=two)) == [1, 2]
        assert offsets(await log.read(Cursor(origin), max_bytes=two - 1)) == [1]

    async def test_a_page_holds_one_entry_however_large_it_is(self, log: EventLog) -> None:
        origin = await floor(log)
        await log.append(events(3, pad=10_000))
        assert offsets(await log.read(Cursor(origin), max_bytes=1)) == [1]

    async def test_reading_page_by_page_gives_everything_once(self, log: EventLog) -> None:
        at = await floor(log)
        await log.append(events(50, pad=100))
        found: list[int] = []
        while True:
            page = await log.read(Cursor(at), limit=7, max_bytes=600)
            found += offsets(page)
            at = page.end
            if not page.more:
                break
        assert found == list(range(1, 51))

    async def test_a_replay_limit_leaves_out_the_oldest_and_says_so(
        self, log: EventLog, clock: FakeClock
    ) -> None:
        positions = await log.append(events(10))
        for since in (Edge.EARLIEST, 0, clock.now()):
            page = await log.read(since, newest=3)
            assert page.gap == Gap(str(since), positions[6], "replayLimit")
            assert (page.start, offsets(page)) == (positions[6], [8, 9, 10])

    async def test_a_replay_limit_that_is_not_reached_says_nothing(self, log: EventLog) -> None:
        await log.append(events(10))
        page = await log.read(Edge.EARLIEST, newest=10)
        assert (page.gap, len(page.entries)) == (None, 10)
        page = await log.read(Edge.LATEST, newest=0)
        assert (page.gap, len(page.entries)) == (None, 0)

    async def test_a_replay_limit_does_not_touch_cursors(self, log: EventLog) -> None:
        origin = await floor(log)
        await log.append(events(10))
        page = await log.read(Cursor(origin), newest=3)
        assert (page.gap, len(page.entries)) == (None, 10)

    async def test_a_replay_limit_within_what_is_held_covers_what_had_expired(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=5), clock)
        positions = await log.append(events(10))
        page = await log.read(0, newest=2)
        assert (page.gap, offsets(page)) == (Gap("0", positions[7], "replayLimit"), [9, 10])
        page = await log.read(0, newest=5)
        assert (page.gap, page.start) == (Gap("0", positions[4], "expired"), positions[4])

    # Retention

    async def test_it_keeps_so_many_events(self, make_log: MakeLog, clock: FakeClock) -> None:
        log = await make_log(Retention(events=4), clock)
        positions = await log.append(events(4))
        assert (await floor(log)).offset == 0
        positions += await log.append([event()])
        assert await floor(log) == positions[0]
        positions += await log.append(events(20))
        assert await floor(log) == positions[20]
        assert offsets(await log.read(Edge.EARLIEST)) == [22, 23, 24, 25]

    async def test_it_keeps_so_many_bytes(self, make_log: MakeLog, clock: FakeClock) -> None:
        one = event(1, pad=1000)
        log = await make_log(Retention(bytes=one.size * 3), clock)
        for _ in range(3):
            await log.append([one])
        assert (await floor(log)).offset == 0
        [position] = await log.append([event(1, pad=1001)])
        assert offsets(await log.read(Edge.EARLIEST)) == [3, 4]
        assert position.offset == 4

    async def test_targets_count_as_bytes(self, make_log: MakeLog, clock: FakeClock) -> None:
        plain = event()
        named = Event("notification", plain.data, target=Target.of(users=["u" * 200]))
        log = await make_log(Retention(bytes=plain.size * 2), clock)
        await log.append([plain, plain])
        assert (await floor(log)).offset == 0
        await log.append([named])
        assert (await floor(log)).offset > 1

    async def test_an_event_larger_than_the_log_moves_the_floor_to_the_head(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(bytes=500), clock)
        await log.append([event()])
        [position] = await log.append([event(2, pad=1000)])
        page = await log.read(Edge.EARLIEST)
        assert page == Page(position, (), position)

    async def test_age_is_applied_on_append(self, make_log: MakeLog, clock: FakeClock) -> None:
        log = await make_log(Retention(seconds=60), clock)
        positions = await log.append(events(2))
        clock.advance(60)
        positions += await log.append([event()])
        assert (await floor(log)).offset == 0
        clock.advance(0.001)
        positions += await log.append([event()])
        page = await log.read(Cursor(positions[0]))
        assert page.gap == Gap(str(positions[0]), positions[1], "expired")
        assert offsets(page) == [3, 4]

    async def test_age_is_applied_on_read(self, make_log: MakeLog, clock: FakeClock) -> None:
        log = await make_log(Retention(seconds=60), clock)
        origin = await floor(log)
        positions = await log.append(events(2))
        clock.advance(30)
        positions += await log.append([event()])
        clock.advance(30.001)
        page = await log.read(Cursor(origin))
        assert page.gap == Gap(str(origin), positions[1], "expired")
        assert offsets(page) == [3]
        clock.advance(3600)
        page = await log.read(Cursor(positions[2]))
        assert (page.gap, page.entries, page.start) == (None, (), positions[2])

    async def test_figures_say_how_full_it_is(self, make_log: MakeLog, clock: FakeClock) -> None:
        log = await make_log(Retention(events=3, seconds=60), clock)
        if not isinstance(log, Measured):
            pytest.skip("this log does not say how full it is")
        batch = events(5, pad=10)
        positions = await log.append(batch)
        stats = await log.stats()
        assert (stats.entries, stats.bytes) == (3, sum(e.size for e in batch[2:]))
        assert (stats.floor, stats.head) == (positions[1], positions[4])
        clock.advance(61)
        stats = await log.stats()
        assert (stats.entries, stats.bytes) == (0, 0)
        assert stats.floor == stats.head == positions[4]

    async def test_clearing_moves_the_floor_and_keeps_the_epoch(self, log: EventLog) -> None:
        if not isinstance(log, Clearable):
            pytest.skip("this log cannot be cleared")
        origin = await floor(log)
        positions = await log.append(events(3))
        assert await log.clear() == 3
        assert await log.clear() == 0
        page = await log.read(Cursor(origin))
        assert page == Page(
            positions[2], (), positions[2], Gap(str(origin), positions[2], "expired")
        )
        [after] = await log.append([event()])
        assert (after.offset, after.epoch) == (4, origin.epoch)
        page = await log.read(Cursor(positions[2]))
        assert (page.gap, offsets(page)) == (None, [4])

    # Following

    async def test_a_follower_gets_everything_once_in_order(self, log: EventLog) -> None:
        origin = await floor(log)
        positions = await log.append(events(3))
        async with aclosing(log.follow(origin)) as pages:
            got = [e.position for e in (await soon(pages)).entries]
            for size in (1, 4, 2):
                positions += await log.append(events(size))
            while len(got) < len(positions):
                page = await soon(pages)
                assert page.gap is None
                got += [e.position for e in page.entries]
        assert got == positions

    async def test_a_follower_starts_where_it_is_told(self, log: EventLog) -> None:
        positions = await log.append(events(5))
        async with aclosing(log.follow(positions[2])) as pages:
            assert offsets(await soon(pages)) == [4, 5]

    async def test_a_follower_waits_until_there_is_something(self, log: EventLog) -> None:
        async with aclosing(log.follow(await floor(log))) as pages:
            for n in (1, 2, 3):
                waiting = asyncio.create_task(soon(pages))
                # This takes as long as to find out that there is nothing.
                await log.read(Edge.LATEST)
                assert not waiting.done()
                await log.append([event()])
                assert offsets(await waiting) == [n]

    async def test_several_followers_each_get_everything(self, log: EventLog) -> None:
        async def gather(after: Position, until: int) -> list[int]:
            found: list[int] = []
            async with aclosing(log.follow(after)) as pages:
                while not found or found[-1] < until:
                    found += offsets(await soon(pages))
            return found

        origin = await floor(log)
        followers = [asyncio.create_task(gather(origin, 20)) for _ in range(3)]
        for _ in range(10):
            await log.append(events(2))
            await asyncio.sleep(0)
        assert await asyncio.gather(*followers) == [list(range(1, 21))] * 3

    async def test_a_follower_that_was_trimmed_past_gets_a_gap(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=3), clock)
        origin = await floor(log)
        async with aclosing(log.follow(origin)) as pages:
            positions = await log.append(events(2))
            assert offsets(await soon(pages)) == [1, 2]
            positions += await log.append(events(5))
            page = await soon(pages)
            assert page.gap == Gap(str(positions[1]), positions[3], "expired")
            assert offsets(page) == [5, 6, 7]
            await log.append([event()])
            page = await soon(pages)
            assert (page.gap, offsets(page)) == (None, [8])

    async def test_a_follower_of_what_is_not_there_gets_a_gap(self, log: EventLog) -> None:
        [position] = await log.append([event()])
        strange = Position(position.ms, 1, "zzzz0000")
        async with aclosing(log.follow(strange)) as pages:
            page = await soon(pages)
            assert page.gap is not None
            assert (page.gap.reason, offsets(page)) == ("epoch", [1])

    async def test_a_page_is_given_also_when_a_gap_has_nothing_after_it(
        self, log: EventLog
    ) -> None:
        if not isinstance(log, Clearable):
            pytest.skip("this log cannot be cleared")
        origin = await floor(log)
        positions = await log.append(events(3))
        await log.clear()
        async with aclosing(log.follow(origin)) as pages:
            page = await soon(pages)
            assert page.gap == Gap(str(origin), positions[2], "expired")
            assert page.entries == ()

    async def test_followers_end_when_the_log_is_closed(self, log: EventLog) -> None:
        origin = await floor(log)
        heard: list[Page] = []

        async def hear() -> None:
            async for page in log.follow(origin):
                heard.append(page)  # noqa: PERF401 - what was heard so far is looked at

        followers = [asyncio.create_task(hear()) for _ in range(2)]
        await log.append([event()])
        await until(lambda: len(heard) == 2)
        await log.close()
        await asyncio.wait_for(asyncio.gather(*followers), PATIENCE)
        assert len(heard) == 2

    # Idempotency

    async def test_a_repeated_key_gives_the_first_positions(self, log: EventLog) -> None:
        key = IdempotencyKey("ann:k1", "digest")
        first = await log.append(events(3), key=key)
        await log.append([event()])
        assert await log.append(events(3), key=key) == first
        assert offsets(await log.read(Edge.EARLIEST)) == [1, 2, 3, 4]

    async def test_what_a_caller_does_to_the_positions_changes_no_later_answer(
        self, log: EventLog
    ) -> None:
        key = IdempotencyKey("ann:k1", "digest")
        first = await log.append(events(2), key=key)
        expected = list(first)
        first.clear()
        second = await log.append(events(2), key=key)
        assert second == expected
        second.clear()
        assert await log.append(events(2), key=key) == expected

    async def test_the_same_key_for_another_body_is_a_conflict(self, log: EventLog) -> None:
        await log.append([event()], key=IdempotencyKey("ann:k1", "digest"))
        with pytest.raises(IdempotencyConflict):
            await log.append([event()], key=IdempotencyKey("ann:k1", "other"))
        assert offsets(await log.read(Edge.EARLIEST)) == [1]

    async def test_the_same_key_of_another_user_is_another_key(self, log: EventLog) -> None:
        await log.append([event()], key=IdempotencyKey("ann:k1", "digest"))
        [position] = await log.append([event()], key=IdempotencyKey("bob:k1", "digest"))
        assert position.offset == 2

    async def test_a_key_is_forgotten_after_ten_minutes(
        self, log: EventLog, clock: FakeClock
    ) -> None:
        key = IdempotencyKey("ann:k1", "digest")
        first = await log.append([event()], key=key)
        clock.advance(599.999)
        assert await log.append([event()], key=key) == first
        clock.advance(0.001)
        [position] = await log.append([event()], key=IdempotencyKey("ann:k1", "other"))
        assert position.offset == 2

    async def test_a_refused_append_does_not_use_up_its_key(self, log: EventLog) -> None:
        key = IdempotencyKey("ann:k1", "digest")
        with pytest.raises(ValueError, match="not yet in a log"):
            await log.append([event(), Event("x", id="1-1-aaaa")], key=key)
        [position] = await log.append([event()], key=IdempotencyKey("ann:k1", "other"))
        assert position.offset == 1

    async def test_a_key_outlives_its_trimmed_events(
        self, make_log: MakeLog, clock: FakeClock
    ) -> None:
        log = await make_log(Retention(events=1), clock)
        key = IdempotencyKey("ann:k1", "digest")
        first = await log.append([event()], key=key)
        await log.append(events(5))
        assert await log.append([event()], key=key) == first
