"""Several workers on one port and one Redis, under constant traffic, as clients live them."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.faults.cluster import Node
from tests.faults.history import Who
from tests.faults.scene import Scene, scene_of
from tests.redisserver import redis_server
from tests.waiting import until

ADMIN: Final = Who("admin", ("ADMIN",))
WORKERS: Final = 2


@asynccontextmanager
async def workers(folder: Path) -> AsyncIterator[tuple[Scene, Node]]:
    redis_folder = folder / "redis"
    redis_folder.mkdir()
    with redis_server(redis_folder) as redis:
        options = ["--workers", str(WORKERS)]
        async with scene_of(f"{redis.url}/0", folder, names=["w"], options=options) as scene:
            yield scene, scene.node("w")


async def processes(node: Node) -> dict[str, int]:
    """The nodes that the monitor knows, and their process ids."""
    nodes = (await node.monitor(ADMIN))["allInstancesMetrics"]
    return {name: figures["pid"] for name, figures in nodes.items()}


async def until_processes(node: Node, wanted: Callable[[set[int]], bool]) -> dict[str, int]:
    """Waits until the monitor knows such processes."""
    async with asyncio.timeout(20):
        while not wanted({*(found := await processes(node)).values()}):
            pass
    return found


async def all_processes(node: Node) -> dict[str, int]:
    return await until_processes(node, lambda found: len(found) == WORKERS)


async def until_another(node: Node, known: set[int]) -> None:
    """Waits for a process that was not known. One that was killed is still believed to be there
    until its lease is over, by those who knew it."""
    await until_processes(node, lambda found: not found <= known)


async def test_a_rolling_restart_under_traffic_loses_nothing(tmp_path: Path) -> None:
    async with workers(tmp_path) as (scene, node):
        before = await all_processes(node)
        node.hang_up()
        await until(
            lambda: "every worker was replaced" in node.output, 30, lambda: node.output[-2000:]
        )
        await scene.holds()
        after = await all_processes(node)
        assert not {*before.values()} & {*after.values()}


async def test_a_killed_worker_comes_back_and_nothing_is_lost(tmp_path: Path) -> None:
    async with workers(tmp_path) as (scene, node):
        for victim in (await all_processes(node)).values():
            known = {*(await processes(node)).values()}
            os.kill(victim, signal.SIGKILL)
            await until_another(node, known)
            await scene.goes_on()
        await scene.holds()


async def test_monitor_and_metrics_are_complete_from_any_worker(tmp_path: Path) -> None:
    async with workers(tmp_path) as (scene, node):
        expected = await all_processes(node)
        await scene.traffic.finish(15)
        published = len(scene.traffic.accepted)
        complete: set[int] = set()
        scraped: set[frozenset[str]] = set()
        async with asyncio.timeout(20):
            # Each request is a connection of its own, which any of them may take; and each says
            # of the others what it heard last.
            while len(complete) < WORKERS:
                told = await node.monitor(ADMIN)
                assert {*told["allInstancesMetrics"]} == {*expected}
                if told["sseStats"]["published"] == published:
                    complete.add(told["metrics"]["pid"])
                text = await node.metrics(ADMIN)
                scraped.add(frozenset(re.findall(r'tidewire_ready\{node="(\w+)"\} 1\.0', text)))
        assert complete == {*expected.values()}
        assert scraped == {frozenset(expected)}
