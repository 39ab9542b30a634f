"""What is the Redis log's own: calls that are repeated, logs that lose a part, many writers."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from tests.contracts.log import event, events, offsets, soon
from tests.redisserver import Redis
from tests.waiting import PATIENCE, until
from tidewire.client.appending import UNBOUNDED
from tidewire.core.errors import IdempotencyConflict, LogAway
from tidewire.core.log import Gap, IdempotencyKey, Page
from tidewire.core.position import Cursor, Edge, Position
from tidewire.logs import Retention
from tidewire.logs import redis as redis_module
from tidewire.logs.link import connector
from tidewire.logs.redis import PRODUCER_DAYS, RedisLog
from tidewire.logs.writer import Batch, Outcome


class Shared:
    """Logs of several processes, under one name."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.name = secrets.token_hex(8)
        self.logs: list[RedisLog] = []

    def log(self, retention: Retention | None = None) -> RedisLog:
        made = RedisLog(connector(self.redis.url), retention or Retention(), name=self.name)
        self.logs.append(made)
        return made

    def key(self, part: str) -> str:
        return f"{{{self.name}}}:{part}"

    def remember(self) -> None:
        """What a replica has copied by now."""
        for part in ("log", "meta"):
            self.redis.command("COPY", self.key(part), self.key(f"{part}-copy"), "REPLACE")

    def fail_over(self) -> None:
        """Goes on with what the replica had."""
        for part in ("log", "meta"):
            self.redis.command("COPY", self.key(f"{part}-copy"), self.key(part), "REPLACE")


@pytest.fixture
async def shared(redis: Redis) -> AsyncIterator[Shared]:
    shared = Shared(redis)
    yield shared
    for log in shared.logs:
        await log.close()


async def rest(log: RedisLog, cursor: Position) -> tuple[list[int], list[Gap]]:
    """Everything after a cursor, and the gaps on the way."""
    found: list[int] = []
    gaps: list[Gap] = []
    while True:
        page = await log.read(Cursor(cursor), limit=3)
        found += offsets(page)
        gaps += [page.gap] if page.gap else []
        if page.end == cursor:
            return found, gaps
        cursor = page.end


# Calls


async def test_an_append_whose_answer_was_lost_is_made_once(shared: Shared) -> None:
    log = shared.log()
    batches = [Batch(events(2), 1, 0), Batch([event()], 3, 0, IdempotencyKey("ann:k", "d"))]
    first = await log.commit("sproduc1", batches)
    assert await log.commit("sproduc1", batches) == first
    *again, new = await log.commit("sproduc1", [*batches, Batch([event()], 4, 0)])
    assert again == first
    assert new.first is not None
    assert (new.first.offset, new.appended) == (4, True)
    assert offsets(await log.read(Edge.EARLIEST)) == [1, 2, 3, 4]


async def test_what_is_repeated_behind_the_last_call_is_in_the_log_and_nobody_knows_where(
    shared: Shared,
) -> None:
    log = shared.log()
    early = [Batch([event()], 1, 0)]
    await log.commit("sproduc1", early)
    await log.commit("sproduc1", [Batch([event()], 2, 0)])
    assert await log.commit("sproduc1", early) == [Outcome()]
    assert offsets(await log.read(Edge.EARLIEST)) == [1, 2]


async def test_the_numbers_of_one_producer_are_no_business_of_another(shared: Shared) -> None:
    log = shared.log()
    for producer in ("sproduc1", "sproduc2"):
        await log.commit(producer, [Batch([event()], 1, 0)])
    assert offsets(await log.read(Edge.EARLIEST)) == [1, 2]


async def test_a_conflict_leaves_the_others_of_its_call_alone(shared: Shared) -> None:
    log = shared.log()
    await log.append([event()], key=IdempotencyKey("ann:k", "one"))
    before, conflict, after = await log.commit(
        "sproduc1",
        [
            Batch([event()], 1, 0),
            Batch([event()], 2, 0, IdempotencyKey("ann:k", "other")),
            Batch([event()], 3, 0),
        ],
    )
    assert conflict == Outcome(conflict=True)
    assert [one.first and one.first.offset for one in (before, after)] == [2, 3]


async def test_an_idempotency_key_holds_for_all_who_share_the_log(shared: Shared) -> None:
    one, two = shared.log(), shared.log()
    key = IdempotencyKey("ann:k", "digest")
    assert await one.append(events(2), key=key) == await two.append(events(2), key=key)
    with pytest.raises(IdempotencyConflict):
        await two.append([event()], key=IdempotencyKey("ann:k", "other"))


async def test_a_call_that_comes_too_late_keeps_the_ids_that_were_given_meanwhile(
    shared: Shared,
) -> None:
    log = shared.log()
    await log.begin()
    assert log._told is not None
    # As if it had lain somewhere for longer than anybody waits for an answer.
    log._told = (log._told[0] - 10_000, log._told[1])
    key = IdempotencyKey("ann:k", "digest")
    late = [Batch(events(2), 5, 1234, key)]
    assert await log.commit("sproduc1", late) == [Outcome(Position(1234, 5, "sproduc1"))]
    entries = (await log.read(Edge.EARLIEST)).entries
    assert [entry.id for entry in entries] == ["1234-5-sproduc1", "1234-6-sproduc1"]
    assert [entry.timestamp for entry in entries] == [1234, 1234]
    assert [entry.position.offset for entry in entries] == [1, 2]
    # Its repeat, from the spool, finds it.
    spooled = [Batch(events(2), 5, 1234, key, spooled=True)]
    assert await log.commit("sproduc1", spooled) == [Outcome(Position(1234, 5, "sproduc1"))]
    assert await shared.log().append(events(2), key=key) == [
        Position(1234, 5, "sproduc1"),
        Position(1234, 6, "sproduc1"),
    ]


async def test_a_batch_is_one_call_and_so_are_many_that_come_together(
    shared: Shared, redis: Redis
) -> None:
    log = shared.log()
    await log.append([event()])
    before = calls(redis)
    await log.append(events(1000))
    assert calls(redis) == before + 1
    await asyncio.gather(*(log.append([event()]) for _ in range(200)))
    # The first goes alone, the others while its answer is awaited.
    assert calls(redis) <= before + 4


def calls(redis: Redis) -> int:
    told = str(redis.command("INFO", "commandstats"))
    found = re.search(r"cmdstat_evalsha:calls=(\d+)", told)
    return int(found[1]) if found else 0


async def test_all_its_keys_have_one_hash_tag(shared: Shared, redis: Redis) -> None:
    before = {*_keys(redis)}
    log = shared.log()
    await log.append([event()], key=IdempotencyKey("ann:k", "digest"))
    await log.say([b"message"], kept={"name": b"decision"})
    made = {*_keys(redis)} - before
    assert {key.rpartition(":")[0] for key in made} <= {shared.key("")[:-1], shared.key("key")}
    assert {shared.key(part) for part in ("log", "meta", "control", "decisions")} <= made


def _keys(redis: Redis) -> list[str]:
    found = redis.command("KEYS", "*")
    assert isinstance(found, list)
    return [str(key) for key in found]


async def test_its_scripts_touch_no_key_that_their_calls_do_not_declare(
    shared: Shared, redis: Redis
) -> None:
    log = shared.log(Retention(events=3, seconds=3600))
    await log.begin()
    listening, telling = await asyncio.open_connection("127.0.0.1", redis.port, limit=1 << 24)
    telling.write(b"MONITOR\r\n")
    assert await listening.readline() == b"+OK\r\n"
    for scope in ("ann:k", "bob:k", "ann:k"):
        await log.append(events(3), key=IdempotencyKey(scope, "digest"))
    for since in (Edge.EARLIEST, Edge.LATEST, 0, 10**15, Cursor(Position(1, 1, "zzzz99"))):
        await log.read(since, newest=1)
    redis.command("DEL", shared.key("meta"))
    await log.append([event()])
    await log.clear()
    end = secrets.token_hex(8)
    redis.command("ECHO", end)
    declared: set[str] = set()
    touched: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while end not in (line := (await listening.readline()).decode()):
            command, *words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
            if command in ("EVALSHA", "EVAL"):
                declared = {*words[2 : 2 + int(words[1])]}
            elif " lua]" in line and words:
                touched.append(command)
                assert words[0] in declared, line
    telling.close()
    assert {"GET", "SET", "HMGET", "HSET", "DEL", "XADD", "XTRIM", "XRANGE"} <= {*touched}


async def test_a_redis_that_has_forgotten_the_scripts_is_taught_them_again(
    shared: Shared, redis: Redis
) -> None:
    log = shared.log()
    await log.append([event()])
    redis.command("SCRIPT", "FLUSH")
    assert offsets(await log.read(Edge.EARLIEST)) == [1]
    [position] = await log.append([event()])
    assert position.offset == 2
    before = calls(redis)
    await log.append([event()])
    assert calls(redis) == before + 1


# Parts that are lost


@pytest.mark.parametrize("lost", [("log",), ("meta",), ("log", "meta")], ids="+".join)
async def test_a_log_that_lost_a_part_goes_on_with_a_new_epoch_at_the_next_offset(
    shared: Shared, redis: Redis, lost: tuple[str, ...]
) -> None:
    log = shared.log()
    before = await log.append(events(3))
    redis.command("DEL", *map(shared.key, lost))
    [after] = await log.append([event()])
    assert after.offset == 4
    assert after.epoch != before[-1].epoch
    for position in before:
        found, [gap] = await rest(log, position)
        assert (found, gap.reason, gap.to.offset) == ([4], "epoch", 3)
        assert gap.to.epoch == after.epoch


async def test_a_follower_is_told_once_that_everything_was_lost_also_where_nothing_new_comes(
    shared: Shared, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidewire.logs.hearing.SYNC_SECONDS", 0.05)
    monkeypatch.setattr("tidewire.logs.hearing.BLOCK_SECONDS", 0.05)
    log = shared.log()
    [*_, before] = await log.append(events(2))
    async with aclosing(log.follow(before)) as pages:
        head = await hear_one(log, pages)
        redis.command("DEL", shared.key("log"), shared.key("meta"))
        page = await soon(pages)
        assert page.gap is not None
        assert (page.gap.from_, page.gap.reason, page.entries) == (str(head), "epoch", ())
        await log.append([event()])
        page = await soon(pages)
        assert (page.gap, offsets(page)) == (None, [4])


async def hear_one(log: RedisLog, pages: AsyncGenerator[Page, None]) -> Position:
    """Appends an event, and returns its position when a follower has heard it: from now on it
    learns only by hearing what becomes of the log."""
    await log.open()
    [position] = await log.append([event()])
    assert [entry.position for entry in (await soon(pages)).entries] == [position]
    return position


async def test_after_a_failover_new_events_never_get_positions_that_were_given_before(
    shared: Shared,
) -> None:
    """Also for a cursor that comes much later, when far more was written than was lost."""
    log = shared.log()
    kept = await log.append(events(3))
    shared.remember()
    lost = await log.append(events(2))
    shared.fail_over()
    [first, *_] = await log.append(events(10))
    assert (first.offset, first.epoch == kept[0].epoch) == (6, False)
    for _ in range(5):
        await log.append(events(20))
    newer = list(range(6, 116))
    for position in (kept[2], *lost):
        found, [gap] = await rest(shared.log(), position)
        assert (found, gap.reason, gap.to.offset) == (newer, "epoch", 5)
    found, [gap] = await rest(log, kept[0])
    assert found == [2, 3, *newer]
    assert (gap.from_, gap.to.offset) == (str(kept[2]), 5)
    # The beginning of the new epoch is a place like any other.
    assert await rest(log, gap.to) == (newer, [])


async def test_a_failover_is_noticed_by_who_only_listens(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidewire.logs.hearing.SYNC_SECONDS", 0.05)
    monkeypatch.setattr("tidewire.logs.hearing.BLOCK_SECONDS", 0.05)
    log = shared.log()
    await log.append(events(3))
    shared.remember()
    [before] = await log.append([event()])
    async with aclosing(log.follow(before)) as pages:
        head = await hear_one(log, pages)
        shared.fail_over()
        page = await soon(pages)
        assert page.gap is not None
        assert (page.gap.from_, page.gap.reason) == (str(head), "epoch")
        # One who has just come has seen nothing of what was lost, and appends.
        await shared.log().append([event()])
        page = await soon(pages)
        assert (page.gap, offsets(page)) == (None, [6])


async def test_what_a_newcomer_appends_after_a_failover_reaches_those_who_saw_more(
    shared: Shared,
) -> None:
    """The newcomer cannot know of offsets that were lost, and gives them again; as soon as
    somebody who knows looks at the log, a new epoch begins. Nobody gets anything twice."""
    log, newcomer = shared.log(), shared.log()
    kept = await log.append(events(3))
    shared.remember()
    lost = await log.append(events(2))
    shared.fail_over()
    [given_again] = await newcomer.append([event(7)])
    assert given_again.offset == lost[0].offset
    for position in lost:
        found, gaps = await rest(log, position)
        assert found == [4]
        assert {gap.reason for gap in gaps} == {"epoch"}
        assert gaps[-1].to.offset == 5
    assert offsets(await log.read(Cursor(kept[2]))) == [4]
    [position] = await newcomer.append([event()])
    assert position.offset == 6


# Many at once


async def test_all_followers_hear_what_many_append_in_one_order(shared: Shared) -> None:
    writers = [shared.log() for _ in range(3)]
    listeners = [shared.log() for _ in range(3)]
    origin = (await writers[0].read(Edge.EARLIEST)).start
    total = 3 * 40 * 3

    async def write(log: RedisLog, name: int) -> None:
        for n in range(40):
            await log.append([event(name * 1000 + n)] * 3)

    async def listen(log: RedisLog) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        async with aclosing(log.follow(origin)) as pages:
            while len(found) < total:
                page = await soon(pages)
                assert page.gap is None
                found += [(entry.position.offset, entry.body) for entry in page.entries]
        return found

    heard = [asyncio.create_task(listen(log)) for log in listeners]
    await asyncio.gather(*(write(log, n) for n, log in enumerate(writers)))
    one, *others = await asyncio.gather(*heard)
    assert [offset for offset, _ in one] == list(range(1, total + 1))
    assert all(other == one for other in others)


async def test_a_log_that_many_fill_is_trimmed_to_its_bounds(shared: Shared) -> None:
    logs = [shared.log(Retention(events=50)) for _ in range(3)]
    await asyncio.gather(*(log.append(events(7)) for log in logs for _ in range(20)))
    stats = await logs[0].stats()
    assert (stats.entries, stats.floor.offset, stats.head.offset) == (50, 370, 420)
    assert offsets(await logs[1].read(Edge.EARLIEST)) == list(range(371, 421))
    assert stats.bytes == sum(
        entry.event().size for entry in (await logs[2].read(Edge.EARLIEST)).entries
    )


# Upkeep


def producers(shared: Shared) -> set[str]:
    """Those that the log remembers."""
    fields = shared.redis.command("HKEYS", shared.key("meta"))
    assert isinstance(fields, list)
    return {str(field)[2:] for field in fields if str(field).startswith("p:")}


async def test_an_open_log_lets_go_of_producers_of_long_ago_however_many(shared: Shared) -> None:
    await shared.log().append([event()])
    [fresh] = producers(shared)
    long_ago = round(time.time() * 1000) - (PRODUCER_DAYS * 86_400 + 60) * 1000
    record = f"1 {long_ago} 1=1-1-abcd"
    for begin in range(0, 5_000, 500):
        stale = [f"p:s{number:07x}" for number in range(begin, begin + 500)]
        words = [word for field in stale for word in (field, record)]
        shared.redis.command("HSET", shared.key("meta"), *words)
    shared.redis.command("HSET", shared.key("meta"), "p:strange", "nonsense")
    assert len(producers(shared)) == 5_002
    await shared.log().open()
    await until(lambda: producers(shared) == {fresh, "strange"})


async def test_a_log_opens_also_where_producers_cannot_be_let_go_of(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def refused(log: RedisLog) -> None:
        asked.set()
        raise LogAway("No.")

    monkeypatch.setattr(RedisLog, "_forget_producers", refused)
    log = shared.log()
    await log.open()
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await log.append([event()])


async def test_an_open_log_trims_what_those_append_who_trim_nothing(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "TRIM_SECONDS", 0.05)
    await shared.log(Retention(events=50)).open()
    await shared.log(UNBOUNDED).append(events(700))
    await until(lambda: shared.redis.command("XLEN", shared.key("log")) == 50)


async def test_who_retires_is_forgotten_where_all_was_answered(shared: Shared) -> None:
    log = shared.log()
    await log.append([event()])
    assert len(producers(shared)) == 1
    await log.retire()
    assert producers(shared) == set()
    assert (await shared.log().stats()).entries == 1


async def test_who_retires_while_an_append_is_under_way_is_remembered(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, done = shared.log(), asyncio.Event()
    commit = log.commit

    async def slowly(producer: str, batches: Sequence[Batch]) -> list[Outcome]:
        found = await commit(producer, batches)
        done.set()
        await asyncio.Event().wait()
        return found

    monkeypatch.setattr(log, "commit", slowly)
    appending = asyncio.create_task(log.append([event()]))
    await done.wait()
    await log.retire()
    await asyncio.gather(appending, return_exceptions=True)
    assert len(producers(shared)) == 1
