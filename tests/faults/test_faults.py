"""Faults, against real processes under constant traffic, as clients of two nodes live them.

Each test is a row: a fault, and what it may cost. Where nothing else is said: nobody misses an
event that was accepted, nobody gets one twice or out of its publisher's order, and no gap is
announced.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.faults.applications import Application
from tests.faults.history import Who, holes_in
from tests.faults.observers import Observer
from tests.faults.oracle import Allowance
from tests.faults.scene import Scene, lost_before, scene_of
from tests.redisserver import Persistence, Redis, free_port, redis_server
from tests.tcpproxy import Proxy, tcp_proxy
from tests.waiting import until

AN_APPEND = b'"k"'
"""What stands in every request that brings an event to the log: a piece of the payload."""

BEAT: Final = 0.3
"""Seconds from one cut to the next: some meet a node that has recovered."""

SILENT_SECONDS: Final = 5.0
"""How long nothing comes from Redis."""

FROZEN_SECONDS: Final = 20.0
"""How long a node stands still."""


@asynccontextmanager
async def on_redis(
    folder: Path, *, persistence: Persistence = "none", spools: bool = False
) -> AsyncIterator[tuple[Scene, Redis]]:
    """A scene on a Redis."""
    with redis_server(_new(folder / "redis"), persistence=persistence) as redis:
        async with scene_of(f"{redis.url}/0", folder, spools=spools) as scene:
            yield scene, redis


@asynccontextmanager
async def behind_proxy(folder: Path) -> AsyncIterator[tuple[Scene, Proxy]]:
    """A scene on a Redis that the nodes reach by a proxy."""
    with redis_server(_new(folder / "redis")) as redis, tcp_proxy(redis.port) as proxy:
        async with scene_of(f"redis://127.0.0.1:{proxy.port}/0", folder) as scene:
            yield scene, proxy


async def test_redis_killed_with_a_synced_log_costs_nothing(tmp_path: Path) -> None:
    """kill -9 and restart, ``appendfsync always``. No gap."""
    async with on_redis(tmp_path, persistence="always") as (scene, redis):
        redis.kill()
        await scene.serves_without_redis()
        await asyncio.to_thread(redis.start)
        await scene.is_healthy()
        await scene.holds()


async def test_redis_killed_without_persistence_costs_a_gap_and_nothing_that_comes_after(
    tmp_path: Path,
) -> None:
    """kill -9 and restart, nothing on disk. A gap ``epoch`` for who had not read what was sent
    before; what was sent while Redis was away is delivered."""
    async with on_redis(tmp_path) as (scene, redis):
        redis.kill()
        died = time.monotonic()
        await scene.serves_without_redis()
        await asyncio.to_thread(redis.start)
        await scene.is_healthy()
        await scene.holds(lost_before(died))


async def test_redis_that_sleeps_costs_nothing(tmp_path: Path) -> None:
    """DEBUG SLEEP 10: connections stay, and nothing is answered. No gap."""
    async with on_redis(tmp_path) as (scene, redis):
        sleep = asyncio.create_task(
            asyncio.to_thread(redis.command, "DEBUG", "SLEEP", "10", timeout=15)
        )
        try:
            await until(lambda: not _answers(redis), 2, lambda: "Redis sleeps")
            await scene.serves_without_redis()
        finally:
            await sleep
        await scene.is_healthy()
        await scene.holds()


async def test_connections_that_redis_closes_cost_nothing(tmp_path: Path) -> None:
    """CLIENT KILL TYPE normal, again and again. No gap."""
    async with on_redis(tmp_path) as (scene, redis):
        for _ in range(8):
            killed = redis.command("CLIENT", "KILL", "TYPE", "normal")
            assert isinstance(killed, int)
            await asyncio.sleep(BEAT)
        await scene.is_healthy()
        await scene.holds()


async def test_redis_without_memory_costs_nothing(tmp_path: Path) -> None:
    """CONFIG SET maxmemory 1: every append is answered OOM. No gap."""
    async with on_redis(tmp_path) as (scene, redis):
        redis.command("CONFIG", "SET", "maxmemory", "1")
        await scene.serves_without_redis()
        redis.command("CONFIG", "SET", "maxmemory", "0")
        await scene.is_healthy()
        await scene.holds()


async def test_redis_that_takes_no_writes_costs_nothing(tmp_path: Path) -> None:
    """REPLICAOF a server that is not there: every append is answered READONLY. No gap."""
    async with on_redis(tmp_path) as (scene, redis):
        redis.command("REPLICAOF", "127.0.0.1", str(free_port()))
        await scene.serves_without_redis()
        redis.command("REPLICAOF", "NO", "ONE")
        await scene.is_healthy()
        await scene.holds()


async def test_an_emptied_redis_costs_a_gap_and_nothing_that_comes_after(tmp_path: Path) -> None:
    """FLUSHALL, twice. A gap ``epoch`` for who had not read what was sent before."""
    async with on_redis(tmp_path) as (scene, redis):
        for _ in range(2):
            redis.command("FLUSHALL")
            emptied = time.monotonic()
            await scene.goes_on()
        await scene.is_healthy()
        await scene.holds(lost_before(emptied))


@pytest.mark.parametrize("keep", [0.5, 0.0], ids=["in-the-middle", "before-the-first-byte"])
async def test_appends_whose_answers_are_cut_are_made_once(tmp_path: Path, keep: float) -> None:
    """The connection is reset in the answer to an append, several times: it had its effect, and
    the node is not told. No gap."""
    async with behind_proxy(tmp_path) as (scene, proxy):
        await _cut(proxy, request=AN_APPEND, keep=keep)
        await scene.is_healthy()
        await scene.holds()


async def test_reads_that_are_cut_in_the_middle_cost_nothing(tmp_path: Path) -> None:
    """The connection is reset in the middle of longer answers, several times. No gap."""
    async with behind_proxy(tmp_path) as (scene, proxy):
        await _cut(proxy, longer_than=150)
        await scene.is_healthy()
        await scene.holds()


async def test_a_black_hole_costs_nothing(tmp_path: Path) -> None:
    """Five seconds in which no byte passes, and nothing is refused or closed; what the nodes sent
    and gave up arrives afterwards. No gap."""
    async with behind_proxy(tmp_path) as (scene, proxy):
        proxy.black_hole()
        await asyncio.gather(scene.serves_without_redis(), asyncio.sleep(SILENT_SECONDS))
        proxy.pass_on()
        await scene.is_healthy()
        await scene.holds()


async def test_appends_whose_answers_vanish_are_made_once(tmp_path: Path) -> None:
    """Five seconds in which Redis gets every request and no answer comes back. No gap."""
    async with behind_proxy(tmp_path) as (scene, proxy):
        proxy.swallow_answers()
        await asyncio.gather(scene.serves_without_redis(), asyncio.sleep(SILENT_SECONDS))
        proxy.pass_on()
        await scene.is_healthy()
        await scene.holds()


async def test_a_killed_node_costs_nothing(tmp_path: Path) -> None:
    """kill -9 of a node; its clients go to the other, or wait until it is started again. What it
    had answered is in Redis; what it had not is sent again. No gap."""
    async with on_redis(tmp_path) as (scene, _):
        node = scene.node("a")
        node.kill()
        away = [client for client in scene.clients if client not in scene.at(node)]
        await scene.goes_on(away)
        await asyncio.to_thread(node.start)
        await scene.is_healthy()
        await scene.holds()


async def test_a_node_that_stands_still_costs_nothing(tmp_path: Path) -> None:
    """SIGSTOP of a node for 20 s, then SIGCONT. No gap."""
    async with on_redis(tmp_path) as (scene, _):
        node = scene.node("a")
        node.freeze()
        frozen = time.monotonic()
        try:
            away = [client for client in scene.clients if client not in scene.at(node)]
            await scene.goes_on(away, seconds=15)
            await asyncio.sleep(frozen + FROZEN_SECONDS - time.monotonic())
        finally:
            node.thaw()
        await scene.is_healthy()
        await scene.holds()


async def test_a_failover_that_loses_writes_costs_a_gap_also_for_who_comes_late(
    tmp_path: Path,
) -> None:
    """The nodes are led to a replica that had not the last writes. A gap ``epoch``, also for
    clients whose cursor is of a lost write and who come when that offset is taken again."""
    with (
        redis_server(_new(tmp_path / "primary")) as primary,
        redis_server(_new(tmp_path / "replica"), replica_of=primary) as replica,
        tcp_proxy(primary.port) as proxy,
    ):
        async with scene_of(f"redis://127.0.0.1:{proxy.port}/0", tmp_path) as scene:
            late = [
                client
                for client in scene.clients
                if len(client.places) > 1
                or (isinstance(client, Application) and client in scene.at(scene.node("a")))
            ]
            async with scene.traffic.held():
                await until(lambda: replica.has_copied(primary), 5, lambda: "replica has all")
                replica.command("REPLICAOF", "NO", "ONE")
                copied = max(_offset(event.id) for event in scene.traffic.accepted)
            await scene.goes_on()
            await until(
                lambda: all(_place(client) > copied for client in late),
                5,
                lambda: f"who comes late has read beyond {copied}",
            )
            for client in late:
                await client.stop()
            async with scene.traffic.held():
                proxy.switch(replica.port)
                switched = time.monotonic()
            await scene.is_healthy()
            for client in late:
                await _until_beyond(scene, client)
                client.start()
            await scene.holds(lost_before(switched))
            for client in late:
                assert [hole.reason for hole in holes_in(client.history)] == ["epoch"], client.name


async def test_a_node_killed_with_a_spool_in_memory_loses_only_what_it_called_not_durable(
    tmp_path: Path,
) -> None:
    """kill -9 of a node that holds what it accepted while Redis was away, without a spool
    directory. What that node had answered with ``durable: false`` may be missing, without a gap;
    nothing else. No gap."""
    async with on_redis(tmp_path, persistence="always") as (scene, redis):
        redis.kill()
        await scene.serves_without_redis()
        node = scene.node("a")
        # What was spooled and not yet answered is a new event when it is sent again: its key
        # was in the memory of the node.
        async with scene.traffic.held():
            node.kill()
        not_durable = {
            event.key
            for event in scene.traffic.accepted
            if event.node == node.name and not event.durable
        }
        await asyncio.to_thread(redis.start)
        await asyncio.to_thread(node.start)
        await scene.is_healthy()
        await scene.holds(Allowance(lost=not_durable))


async def test_a_node_killed_with_a_spool_on_disk_loses_nothing(tmp_path: Path) -> None:
    """The same with a spool directory: everything was answered with ``durable: true``, and is
    delivered after the node was started again. No gap."""
    async with on_redis(tmp_path, persistence="always", spools=True) as (scene, redis):
        redis.kill()
        await scene.serves_without_redis(durable=True)
        node = scene.node("a")
        node.kill()
        await asyncio.to_thread(redis.start)
        await asyncio.to_thread(node.start)
        await scene.is_healthy()
        await scene.holds()


async def _cut(
    proxy: Proxy, *, request: bytes = b"", longer_than: int = 0, keep: float = 0.5
) -> None:
    """Cuts some answers, with time between them."""
    for count in range(1, 5):
        proxy.cut_answers(request=request, longer_than=longer_than, keep=keep)
        await _until_cuts(proxy, count)
        await asyncio.sleep(BEAT)


async def _until_cuts(proxy: Proxy, count: int) -> None:
    await until(lambda: proxy.cuts >= count, 10, lambda: f"{count} answers are cut")


async def _until_beyond(scene: Scene, client: Observer) -> None:
    """Waits until the log has gone beyond the offset at which a client stands."""
    reached = _place(client)
    end = time.monotonic() + 15
    while _offset(await scene.nodes[0].head(Who("late"))) <= reached:
        assert time.monotonic() < end, f"the log does not go beyond {reached}"
        await asyncio.sleep(0.1)


def _place(client: Observer) -> int:
    assert client.cursor is not None
    return _offset(client.cursor)


def _offset(cursor: str) -> int:
    return int(cursor.split("-")[1])


def _answers(redis: Redis) -> bool:
    try:
        return redis.command("PING", timeout=0.1) == "PONG"
    except TimeoutError:
        return False


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
