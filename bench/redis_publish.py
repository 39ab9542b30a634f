"""Appends through Tidewire's log, against pipelined XADD of the same bytes to the same Redis.

Beside each run of the log, in turn: the client library's own pipeline without a transaction, as
many events for each round trip. One row is the log of a node whose hub hears all of it meanwhile;
one is a log that is full, so that each append trims, against XADD with MAXLEN ~.

    .venv/bin/python -m bench.redis_publish --pairs 5
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import uvloop

from bench.paired import (
    Row,
    alternate,
    client,
    cpu_seconds,
    fields,
    made,
    redis,
    settle,
    show,
)
from bench.process import LOAD_CPU, SERVER_CPU
from bench.table import machine, pair_ended
from tests.redisserver import Redis
from tidewire.core.clock import SystemClock
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.journal import NullJournal
from tidewire.logs import Retention, open_log
from tidewire.logs.fallback import FallbackLog

FULL = 5_000
"""Events that the small log keeps, in the row where each append trims."""


@dataclass(frozen=True)
class Case:
    """What is appended, and how."""

    name: str
    events: int
    batch: int = 1
    publishers: int = 1
    heard: bool = False
    full: bool = False

    @property
    def per_round_trip(self) -> int:
        return self.batch * self.publishers


def cases(scale: float) -> list[tuple[Case, str]]:
    def many(events: int) -> int:
        return max(2_000, round(events * scale))

    return [
        (Case("batches of 100", many(60_000), batch=100), ">= 0.40"),
        (Case("batches of 1,000", many(60_000), batch=1_000), ">= 0.40"),
        (Case("1,000, the log is full", many(60_000), batch=1_000, full=True), ""),
        (Case("1,000, the node hears it", many(60_000), batch=1_000, heard=True), ""),
        (Case("single, 1 publisher", many(5_000)), ""),
        (Case("single, 32 publishers", many(30_000), publishers=32), ""),
        (Case("single, 256 publishers", many(40_000), publishers=256), ""),
    ]


async def ours(url: str, case: Case, events: list[Event]) -> float:
    log = open_log(url, retention=Retention(FULL if case.full else 10_000_000, bytes=1 << 40))
    assert isinstance(log, FallbackLog)
    hub = Hub(log, clock=SystemClock(), journal=NullJournal())
    if case.heard:
        await hub.start()
    await log.append(events[:1])
    if case.full:
        for _ in range(0, FULL, len(events)):
            await log.append(events)
    settle()
    left = islice(cycle(events), case.events)

    async def publish() -> None:
        while batch := tuple(islice(left, case.batch)):
            await log.append(batch)

    began = time.perf_counter()
    await asyncio.gather(*(publish() for _ in range(case.publishers)))
    took = time.perf_counter() - began
    assert not log.condition.degraded, log.condition.reason
    await hub.stop()
    await log.close()
    return case.events / took


async def raw(url: str, case: Case, events: list[Event]) -> float:
    connection = client(url)
    stored = [fields(event, number) for number, event in enumerate(events)]
    kept = FULL if case.full else None

    async def send(batch: tuple[dict[str | bytes, str | bytes], ...]) -> None:
        pipeline = connection.pipeline(transaction=False)
        for one in batch:
            pipeline.xadd("raw", one, maxlen=kept, approximate=True)  # type: ignore[arg-type]
        await pipeline.execute()

    await send(tuple(stored))
    settle()
    left = islice(cycle(stored), case.events)
    began = time.perf_counter()
    while batch := tuple(islice(left, case.per_round_trip)):
        await send(batch)
    took = time.perf_counter() - began
    await connection.aclose()
    return case.events / took


def run(
    server: Redis,
    case: Case,
    append: Callable[[str, Case, list[Event]], Coroutine[None, None, float]],
    events: list[Event],
) -> tuple[float, float]:
    """Events a second; and what each cost the processor of Redis, the preparations included."""
    server.command("FLUSHALL", "SYNC")
    before = cpu_seconds(server)
    rate = uvloop.run(append(server.url, case, events))
    return rate, (cpu_seconds(server) - before) * 1e6 / case.events


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--size", type=int, default=100, help="bytes of an event's body")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer events a run")
    parser.add_argument("--only", default="", help="the cases whose names contain this")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CPU})
    events = made(1_000, options.size)
    size = len(events[0].body)
    chosen = [(c, target) for c, target in cases(options.scale) if options.only in c.name]
    rows = [Row(case.name, "events/s", target) for case, target in chosen]
    costs = [Row(case.name, "µs of Redis") for case, _ in chosen]
    with (
        machine(f"events of {size} bytes; Redis on one core, the publisher on another"),
        redis(cpu=SERVER_CPU) as server,
    ):
        for number in range(options.pairs):
            for (case, _), row, cost in zip(chosen, rows, costs, strict=True):
                mine, beside = alternate(
                    number,
                    partial(run, server, case, ours, events),
                    partial(run, server, case, raw, events),
                )
                row.add(mine[0], beside[0])
                cost.add(mine[1], beside[1])
            pair_ended(number)
        show([*rows, *costs], beside="pipelined XADD")


if __name__ == "__main__":
    main()
