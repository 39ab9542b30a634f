"""Three processes that append and three that follow, at once, on one Redis."""

import json
import os
import secrets
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.redisserver import Redis

ROUNDS = 200
"""Batches of each writer; each has three events."""

TOTAL = 3 * ROUNDS * 3


def start(redis: Redis, name: str, role: str, who: str, count: int) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.logs.peer", role, redis.url, name, who, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_all_hear_everything_once_in_one_order(redis: Redis) -> None:
    name = secrets.token_hex(8)
    listeners = [start(redis, name, "listen", f"l{n}", TOTAL) for n in range(3)]
    writers: list[subprocess.Popen[str]] = []
    try:
        for listener in listeners:
            assert listener.stdout is not None
            assert listener.stdout.readline() == "listening\n"
        writers = [start(redis, name, "write", f"w{n}", ROUNDS) for n in range(3)]
        heard = [listener.communicate(timeout=60)[0].splitlines() for listener in listeners]
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    finally:
        for process in (*listeners, *writers):
            process.kill()
            process.communicate()
    assert heard[0] == heard[1] == heard[2]
    ids = [line.split(" ", 1)[0] for line in heard[0]]
    assert [int(id_.split("-")[1]) for id_ in ids] == list(range(1, TOTAL + 1))
    by_batch: dict[tuple[str, int], list[str]] = defaultdict(list)
    for line in heard[0]:
        told = json.loads(line.split(" ", 1)[1])
        by_batch[told["by"], told["n"]].append(told["part"])
    assert len(by_batch) == 3 * ROUNDS
    assert {*map("".join, by_batch.values())} == {"abc"}
