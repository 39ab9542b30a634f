"""The fault suite itself, on one node with its log in memory: what holds is found to hold, and
what was lost is found to be lost."""

import asyncio
import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.clients import Block, Blocks
from tests.faults.observers import Way
from tests.faults.scene import lost_before, scene_of
from tests.waiting import until

STREAM = b"event: ping\ndata: {}\nid: 1-1-abcd\n\ndata: [1]\n\nevent: gap\ndata: {"

WAYS: Final[dict[str, set[Way]]] = {
    "streams at a": {"sse"},
    "polls at a": {"polling"},
    "also streams at a": {"sse"},
    "is told by streams at a": {"sse"},
    "is told by polls at a": {"polling"},
    "falls back": {"sse", "polling"},
}
"""In which ways who is not restless is served; who falls back does it by itself."""

FROZEN_SECONDS: Final = 5.0
"""How long a node stands still."""


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_blocks_come_whole_from_pieces_of_any_size(size: int) -> None:
    blocks = Blocks()
    found = [
        block
        for start in range(0, len(STREAM), size)
        for block in blocks.feed(STREAM[start : start + size])
    ]
    assert [block.event for block in found] == ["ping", "message"]
    assert found[0] == Block("ping", {}, "1-1-abcd")


async def test_a_node_that_runs_loses_and_repeats_nothing(tmp_path: Path) -> None:
    async with scene_of("memory:", tmp_path, names=["a"]) as scene:
        ways = {client.name: client.ways for client in scene.clients if client.name in WAYS}
        await until(lambda: ways == WAYS, 20, lambda: f"who is served how: {ways}")
        await scene.holds()
        assert ways == WAYS


async def test_a_frozen_node_goes_on_where_it_was(tmp_path: Path) -> None:
    async with scene_of("memory:", tmp_path, names=["a"]) as scene:
        scene.nodes[0].freeze()
        await asyncio.sleep(FROZEN_SECONDS)
        scene.nodes[0].thaw()
        await scene.holds()


async def test_a_log_that_dies_with_its_node_costs_a_gap_and_nothing_that_comes_after(
    tmp_path: Path,
) -> None:
    async with scene_of("memory:", tmp_path, names=["a"]) as scene:
        async with scene.traffic.held():
            scene.nodes[0].kill()
            died = time.monotonic()
        await asyncio.to_thread(scene.nodes[0].start)
        await scene.holds(lost_before(died))
        with pytest.raises(AssertionError, match=r"a gap that is not allowed: epoch"):
            scene.check()
