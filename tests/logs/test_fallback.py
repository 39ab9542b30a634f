"""The fallback: the contract of every log; what it does while Redis is away and when it returns;
and readers who go from node to node meanwhile."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contracts.log import LogContract, MakeLog, event, events, soon
from tests.fakes import FakeJournal
from tests.nodes.logs import Node, a_node, held, log_at
from tests.redisserver import Redis
from tests.tcpproxy import Proxy
from tests.waiting import until
from tidewire.core.clock import Clock
from tidewire.core.errors import IdempotencyConflict, LogAway, SpoolFull
from tidewire.core.log import EventLog, IdempotencyKey
from tidewire.core.position import Edge, Position
from tidewire.core.target import Target
from tidewire.logs import Retention
from tidewire.logs import fallback as fallback_module
from tidewire.logs import hearing as hearing_module
from tidewire.logs.fallback import FallbackLog, State
from tidewire.logs.link import connector
from tidewire.logs.redis import RedisLog
from tidewire.logs.spool import Bound
from tidewire.logs.writer import Batch


class TestFallbackLog(LogContract):
    @pytest.fixture
    async def make_log(self, redis: Redis) -> AsyncIterator[MakeLog]:
        logs: list[FallbackLog] = []

        async def make(retention: Retention, clock: Clock) -> EventLog:
            name = secrets.token_hex(8)
            shared = RedisLog(connector(redis.url), retention, name=name, clock=clock)
            log = FallbackLog(shared, journal=FakeJournal(), clock=clock)
            logs.append(log)
            return log

        yield make
        for log in logs:
            await log.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries often, so that a test need not wait."""
    monkeypatch.setattr(fallback_module, "TRY_FIRST", 0.01)
    monkeypatch.setattr(fallback_module, "TRY_LAST", 0.05)
    monkeypatch.setattr(hearing_module, "RETRY_LAST", 0.05)


@pytest.fixture
def name() -> str:
    return secrets.token_hex(8)


@pytest.fixture
async def node(proxy: Proxy, name: str) -> AsyncIterator[Node]:
    async with a_node(proxy, name) as node:
        yield node


@pytest.fixture
async def shared(redis: Redis, name: str) -> AsyncIterator[RedisLog]:
    """The same log, as a node sees it that Redis never leaves."""
    log = RedisLog(connector(redis.url), Retention(), name=name)
    await log.open()
    yield log
    await log.close()


def ids(positions: list[Position]) -> list[str]:
    return [str(position) for position in positions]


# Away


async def test_while_redis_is_away_what_is_accepted_has_the_place_in_the_spool_as_its_id(
    node: Node, shared: RedisLog
) -> None:
    [before] = await node.log.append([event(1)])
    await node.leave()
    first, second = await node.log.append([event(2), event(3)])
    [third] = await node.log.append([event(4)])
    assert first.epoch == second.epoch == third.epoch != before.epoch
    assert [second.offset, third.offset] == [first.offset + 1, first.offset + 2]
    assert first.ms == second.ms
    assert await held(shared) == [(str(before), 1)]


async def test_what_was_accepted_meanwhile_comes_home_in_order_with_its_ids(
    node: Node, shared: RedisLog
) -> None:
    known = ids(await node.log.append([event(1)]))
    await node.leave()
    for n in range(2, 30, 2):
        known += ids(await node.log.append([event(n), event(n + 1)]))
    await node.come_back()
    known += ids(await node.log.append([event(30)]))
    assert await held(shared) == list(zip(known, range(1, 31), strict=True))
    assert node.log.condition.spooled == 0


async def test_appends_queue_behind_a_spool_that_comes_home(
    node: Node, shared: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.leave()
    known = ids(await node.log.append([event(1)]))
    calls = 0
    commit = node.log.log.commit

    async def slow(producer: str, batches: Any) -> Any:
        nonlocal calls, known
        calls += 1
        found = await commit(producer, batches)
        if calls <= 3:
            # Already home for the log, and not yet for this node.
            known += ids(await node.log.append([event(calls + 1)]))
        return found

    monkeypatch.setattr(node.log.log, "commit", slow)
    await node.come_back()
    assert calls >= 3
    assert [position.split("-")[2] for position in known] == [known[0].split("-")[2]] * 4
    assert await held(shared) == list(zip(known, range(1, 5), strict=True))


async def test_this_nodes_followers_get_at_once_what_the_spool_accepts_and_once_more_at_home(
    node: Node,
) -> None:
    start = (await node.log.read(Edge.LATEST)).head
    async with aclosing(node.log.follow(start)) as pages:
        await node.log.append([event(1)])
        assert [entry.number for entry in (await soon(pages)).entries] == [1]
        await node.leave()
        [place] = await node.log.append([event(2)])
        [entry] = (await soon(pages)).entries
        assert (entry.id, entry.in_log) == (str(place), False)
        node.proxy.pass_on()
        [entry] = (await soon(pages)).entries
        assert (entry.id, entry.in_log) == (str(place), True)
        assert (entry.producer, entry.number) == (place.epoch, place.offset)


async def test_what_was_appended_and_not_yet_heard_goes_before_the_spool(node: Node) -> None:
    start = (await node.log.read(Edge.LATEST)).head
    async with aclosing(node.log.follow(start)) as pages:
        # It is in the log, and this node will not hear that for a while.
        waiting = asyncio.ensure_future(anext(pages))
        [first] = await node.log.append([event(1)])
        node.proxy.refuse()
        [second] = await node.log.append([event(2)])
        got = list((await waiting).entries)
        while len({entry.id for entry in got}) < 2:
            got += (await soon(pages)).entries
        assert [entry.id for entry in got] == ids([first, second])


async def test_a_new_follower_gets_all_that_is_afloat(node: Node) -> None:
    head = (await node.log.read(Edge.LATEST)).head
    await node.leave()
    places = await node.log.append(events(3))
    async with aclosing(node.log.follow(head)) as pages:
        page = await soon(pages)
    assert [entry.id for entry in page.entries] == ids(places)
    assert page.end == page.start == head


async def test_an_append_whose_answer_is_lost_is_made_once(node: Node, shared: RedisLog) -> None:
    accepted: list[str] = []
    for n in range(1, 9):
        node.proxy.cut_answers(request=b"EVALSHA", keep=0.0)
        accepted += ids(await node.log.append([event(n)]))
    assert node.proxy.cuts == 8
    await node.home()
    assert await held(shared) == list(zip(accepted, range(1, 9), strict=True))


async def test_an_append_whose_answer_is_lost_twice_is_made_once(
    node: Node, shared: RedisLog
) -> None:
    for n in range(1, 9):
        node.proxy.cut_answers(request=b"EVALSHA", keep=0.0, times=2)
        await node.log.append([event(n)])
    await node.home()
    assert [n for _, n in await held(shared)] == list(range(1, 9))


async def test_an_append_whose_answer_never_comes_is_in_the_log_once_by_the_id_of_its_place(
    node: Node, shared: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one case of two ids: nobody could tell the publisher that it was there already."""

    async def unanswered(producer: str, batches: Sequence[Batch]) -> Any:
        monkeypatch.undo()
        await RedisLog.commit(node.log.log, producer, batches)
        raise LogAway("The answer was lost.", in_doubt=True)

    monkeypatch.setattr(node.log.log, "commit", unanswered)
    [told] = await node.log.append([event(1)])
    await node.home()
    [(id_, n)] = await held(shared)
    assert (Position.parse(id_).offset, n) == (1, 1)
    assert not node.log.durable(told)


async def test_a_spool_whose_homecoming_is_not_answered_comes_home_once(
    node: Node, shared: RedisLog
) -> None:
    await node.leave()
    places = await node.log.append(events(5))
    node.proxy.pass_on()
    node.proxy.cut_answers(request=places[0].epoch.encode(), keep=0.0, times=3)
    await node.home()
    assert await held(shared) == list(zip(ids(places), range(1, 6), strict=True))


async def test_a_redis_that_ends_and_begins_again_empty_gets_the_spool(
    tmp_path: Path, name: str
) -> None:
    redis = Redis(tmp_path)
    redis.start()
    log = log_at(redis.port, name)
    try:
        await log.open()
        await log.append([event(1)])
        redis.kill()
        places = await log.append(events(2))
        redis.start()
        await until(lambda: log.state is State.SHARED and log.log.hearing.away is None)
        assert [id_ for id_, _ in await held(log)] == ids(places)
    finally:
        await log.close()
        redis.end()


# Keys


KEY: Final = IdempotencyKey("ann:k", "digest")
OTHER: Final = IdempotencyKey("ann:k", "another")


async def test_a_key_that_was_used_before_is_known_while_redis_is_away_and_after(
    node: Node, shared: RedisLog
) -> None:
    first = await node.log.append([event(1)], key=KEY)
    await node.leave()
    assert await node.log.append([event(1)], key=KEY) == first
    with pytest.raises(IdempotencyConflict):
        await node.log.append([event(2)], key=OTHER)
    await node.come_back()
    assert await node.log.append([event(1)], key=KEY) == first
    assert await held(shared) == [(str(first[0]), 1)]


async def test_a_key_that_is_used_while_redis_is_away_is_known_then_and_after_on_all_nodes(
    node: Node, shared: RedisLog
) -> None:
    await node.leave()
    first = await node.log.append(events(2), key=KEY)
    assert await node.log.append(events(2), key=KEY) == first
    with pytest.raises(IdempotencyConflict):
        await node.log.append([event(2)], key=OTHER)
    await node.come_back()
    assert await node.log.append(events(2), key=KEY) == first
    assert await shared.append(events(2), key=KEY) == first
    with pytest.raises(IdempotencyConflict):
        await shared.append([event(3)], key=OTHER)
    assert await held(shared) == list(zip(ids(first), (1, 2), strict=True))


async def test_the_same_key_twice_at_the_same_time_is_one_publish_while_redis_is_away(
    node: Node, shared: RedisLog
) -> None:
    await node.leave()
    answers = await asyncio.gather(*(node.log.append(events(2), key=KEY) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    await node.come_back()
    assert len(await held(shared)) == 2


async def test_another_body_under_a_key_at_the_same_time_is_a_conflict(node: Node) -> None:
    await node.leave()
    first, second = await asyncio.gather(
        node.log.append([event(1)], key=KEY),
        node.log.append([event(2)], key=OTHER),
        return_exceptions=True,
    )
    assert isinstance(first, list)
    assert isinstance(second, IdempotencyConflict)


@dataclass
class Doubt:
    """Appends are carried out and heard, and their answers lost."""

    node: Node

    async def commit(self, producer: str, batches: Sequence[Batch]) -> Any:
        await RedisLog.commit(self.node.log.log, producer, batches)
        await until(lambda: self.node.log.log.hearing.find(producer, batches[-1].last) is not None)
        # And has been yielded to who follows.
        await until(lambda: self.node.log._unheard.heard(producer) >= batches[-1].last)
        raise LogAway("The answer was lost.", in_doubt=True)


@pytest.fixture
async def doubtful(node: Node, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A node that hears what it appends, and is never answered."""
    # From before the first append: what is appended until a follower begins, it would not hear.
    head = (await node.log.read(Edge.LATEST)).head
    follower = asyncio.create_task(_follow(node.log, head))
    monkeypatch.setattr(node.log.log, "commit", Doubt(node).commit)
    yield node
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)


async def _follow(log: EventLog, after: Position) -> None:
    async with aclosing(log.follow(after)) as pages:
        async for _ in pages:
            pass


async def test_an_append_that_was_heard_needs_no_answer(doubtful: Node, shared: RedisLog) -> None:
    positions = await doubtful.log.append(events(2))
    assert doubtful.log.condition.spooled == 0
    assert await held(shared) == list(zip(ids(positions), (1, 2), strict=True))


async def test_the_key_of_an_append_that_was_heard_and_not_answered_is_known(
    doubtful: Node, shared: RedisLog
) -> None:
    positions = await doubtful.log.append(events(2), key=KEY)
    doubtful.proxy.refuse()
    assert await doubtful.log.append(events(2), key=KEY) == positions
    with pytest.raises(IdempotencyConflict):
        await doubtful.log.append(events(2), key=OTHER)
    assert len(await held(shared)) == 2


async def test_an_append_that_came_late_and_was_heard_is_told_with_the_id_that_it_has(
    doubtful: Node, shared: RedisLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisLog, "_patience", lambda self, size: 1)
    positions = await doubtful.log.append(events(2))
    assert await held(shared) == list(zip(ids(positions), (1, 2), strict=True))


async def test_a_key_that_another_node_used_meanwhile_brings_home_nothing_twice(
    node: Node, shared: RedisLog
) -> None:
    await node.leave()
    await node.log.append([event(1)], key=KEY)
    first = await shared.append([event(1)], key=KEY)
    await node.come_back()
    mine, standing_for_it = (await shared.read(Edge.EARLIEST)).entries
    assert mine.id == str(first[0])
    # Readers of the node have had it under its number, which the log has to have as well.
    assert standing_for_it.producer != mine.producer
    assert standing_for_it.target == Target(frozenset({""}))
    assert node.log.condition.spooled == 0


async def test_a_key_that_another_node_used_for_something_else_meanwhile_loses_nothing(
    node: Node, shared: RedisLog
) -> None:
    await node.leave()
    [mine] = await node.log.append([event(1)], key=KEY)
    [theirs] = await shared.append([event(2)], key=IdempotencyKey(KEY.scope, "another"))
    await node.come_back()
    assert await held(shared) == [(str(theirs), 2), (str(mine), 1)]


async def test_a_publish_that_was_repeated_here_is_yielded_once_when_redis_goes(
    node: Node, shared: RedisLog
) -> None:
    """It was appended by another node, and stands in the log under the numbers of that one."""
    head = (await shared.read(Edge.LATEST)).head
    async with aclosing(node.log.follow(head)) as pages:
        hearing = asyncio.create_task(soon(pages))
        await until(lambda: node.log._unheard.is_followed)
        first = await shared.append([event(1)], key=KEY)
        assert await node.log.append([event(1)], key=KEY) == first
        assert [entry.id for entry in (await hearing).entries] == ids(first)
        await node.leave()
        places = await node.log.append([event(2)])
        assert [entry.id for entry in (await soon(pages)).entries] == ids(places)


# Its bound


async def test_a_full_spool_refuses_the_batch_that_has_no_room_and_takes_a_smaller_one(
    proxy: Proxy, name: str
) -> None:
    async with a_node(proxy, name, bound=Bound(events=5)) as node:
        await node.leave()
        places = await node.log.append(events(3))
        fits, too_many, fits_too = await asyncio.gather(
            node.log.append([event(4)]),
            node.log.append(events(2)),
            node.log.append([event(5)]),
            return_exceptions=True,
        )
        assert isinstance(too_many, SpoolFull)
        assert too_many.retry_after is not None
        assert isinstance(fits, list)
        assert isinstance(fits_too, list)
        full = node.log.condition
        assert not full.accepts
        with pytest.raises(SpoolFull):
            await node.log.append([event(6)])
        assert node.log.condition.spooled == 5
        await node.come_back()
        empty = node.log.condition
        assert empty.accepts
        await node.log.append([event(6)])
        expected = zip(ids([*places, *fits, *fits_too]), (1, 2, 3, 4, 5), strict=True)
        assert (await held(node.log))[:5] == list(expected)


async def test_a_spool_is_bounded_by_bytes(proxy: Proxy, name: str) -> None:
    async with a_node(proxy, name, bound=Bound(bytes=10_000)) as node:
        await node.leave()
        await node.log.append([event(1, pad=6_000)])
        with pytest.raises(SpoolFull):
            await node.log.append([event(2, pad=6_000)])
        await node.log.append([event(3, pad=100)])
        await node.come_back()
        assert [n for _, n in await held(node.log)] == [1, 3]


async def test_a_refused_batch_does_not_use_up_its_key(proxy: Proxy, name: str) -> None:
    async with a_node(proxy, name, bound=Bound(events=1)) as node:
        await node.leave()
        with pytest.raises(SpoolFull):
            await node.log.append(events(2), key=KEY)
        await node.come_back()
        assert len(await node.log.append(events(2), key=OTHER)) == 2


# What it says of itself


async def test_only_what_waits_in_memory_is_not_durable(
    node: Node, proxy: Proxy, name: str, tmp_path: Path
) -> None:
    [home] = await node.log.append([event(1)])
    await node.leave()
    [away] = await node.log.append([event(2)])
    assert [node.log.durable(home), node.log.durable(away)] == [True, False]
    node.proxy.pass_on()
    async with a_node(proxy, name, folder=tmp_path) as on_disk:
        await on_disk.leave()
        [away] = await on_disk.log.append([event(3)])
        assert on_disk.log.durable(away)


async def test_its_condition_says_that_redis_is_away_why_and_how_much_waits(node: Node) -> None:
    condition = node.log.condition
    assert (condition.accepts, condition.degraded, condition.reason) == (True, False, "")
    assert node.log.name == "redis"
    await node.leave()
    await node.log.append(events(3))
    condition = node.log.condition
    assert (condition.accepts, condition.degraded, condition.spooled) == (True, True, 3)
    assert "Redis" in condition.reason
    assert node.log.name == "spool"
    await node.come_back()
    condition = node.log.condition
    assert (condition.degraded, condition.reason, condition.spooled) == (False, "", 0)
    assert node.log.name == "redis"
    assert node.journal.notes == ["the log is away; this node keeps going alone", "the log is back"]


async def test_that_redis_is_away_is_known_within_a_second_although_nobody_publishes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    node.proxy.refuse()
    await until(lambda: node.log.condition.degraded, 1.0)


async def test_reading_while_redis_is_away_says_so(node: Node) -> None:
    await node.leave()
    with pytest.raises(LogAway):
        await node.log.read(Edge.EARLIEST)


async def test_a_read_after_redis_returned_is_answered_although_its_connection_was_cut(
    node: Node,
) -> None:
    [position] = await node.log.append([event(1)])
    assert len(await held(node.log)) == 1
    await node.leave()
    await node.come_back()
    assert await held(node.log) == [(str(position), 1)]


async def test_that_redis_is_away_is_told_many_without_keeping_what_they_were_at(
    node: Node,
) -> None:
    await node.leave()
    for _ in range(100):
        with pytest.raises(LogAway) as told:
            await node.log.read(Edge.EARLIEST)
    assert len(told.traceback) < 10


async def test_what_this_node_remembers_is_read_while_redis_is_away(node: Node) -> None:
    start = (await node.log.read(Edge.LATEST)).head
    await node.log.append(events(3))

    def remembered() -> list[int]:
        page = node.log.recall(start, limit=10, max_bytes=1 << 20)
        return [] if page is None else [entry.event().data["n"] for entry in page.entries]

    await until(lambda: remembered() == [1, 2, 3])
    await node.leave()
    assert remembered() == [1, 2, 3]


# Reads that fail, and ears that do not hear


async def test_a_follower_whose_one_read_fails_goes_on_although_nothing_new_is_heard(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.log.append([event(1)])
    read, failures = node.log.log.read, iter(range(2))

    async def fails_at_first(*asked: Any, **more: Any) -> Any:
        if next(failures, None) is not None:
            raise LogAway("timed out")
        return await read(*asked, **more)

    monkeypatch.setattr(node.log.log, "read", fails_at_first)
    async with aclosing(node.log.follow(Position(1, 1, "zzzz0000"))) as pages:
        page = await soon(pages)
    assert page.gap is not None
    assert [entry.position.offset for entry in page.entries] == [1]


async def test_what_is_accepted_and_never_heard_is_bounded_and_such_a_node_is_not_ready(
    proxy: Proxy, name: str
) -> None:
    """Redis takes everything, and nothing comes back from it."""
    async with a_node(proxy, name, bound=Bound(events=20)) as node:
        log, hearing = node.log, node.log.log.hearing
        async with aclosing(log.follow((await log.read(Edge.LATEST)).head)) as pages:
            first = asyncio.create_task(soon(pages))
            await until(lambda: log._unheard.is_followed)
            await hearing.close()
            hearing.away = LogAway("deaf")
            hearing.away_since = time.monotonic() - fallback_module.DEAF_SECONDS
            assert (await log.append([event(1)]))[0].epoch == log._writer.producer
            await first
            accepted = 1
            with suppress(SpoolFull):
                while accepted < 100:
                    await log.append([event(accepted + 1)])
                    accepted += 1
                    await until(lambda: not log.condition.spooled)
            assert accepted == 20
            assert not log.condition.accepts
            assert not log.condition.hearing
