"""A node that follows a filled log to its head, against a loop of XREAD that only counts.

Three rows. From the floor: a hub that stands at the floor of a filled log, as one that is far
behind. After a pause: a node that heard the log, and whose process stood still while others filled
it. Both have one live reader, whom no event is for. Last, from the floor with a reader who gets
all of it.

    .venv/bin/python -m bench.redis_follow --pairs 5
"""

import argparse
import asyncio
import cProfile
import os
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

import uvloop

from bench.paired import (
    Row,
    alternate,
    client,
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
from tidewire.core.frame import NAMED, Encoding
from tidewire.core.hub import Hub
from tidewire.core.journal import NullJournal
from tidewire.core.log import EventLog
from tidewire.core.position import Edge, Position
from tidewire.core.reader import Reader
from tidewire.core.target import Identity, Target
from tidewire.logs import Retention, open_log

Way: TypeAlias = Callable[[str, list[Event]], Coroutine[None, None, float]]

NAMED_USER, OTHER_USER = "named", "other"


class Counting:
    """A sink whose peer takes everything at once."""

    def __init__(self) -> None:
        self.on_room: Callable[[], None] | None = None
        self.written = 0

    @property
    def encoding(self) -> Encoding:
        return NAMED

    def offer(self, data: bytes) -> bool:
        self.write(data)
        return True

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def room(self) -> bool:
        return True

    def blocked_since(self) -> float | None:
        return None

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class FromFloor(Hub):
    """A hub that starts where the log begins."""

    async def head(self) -> Position:
        return (await self.log.read(Edge.EARLIEST, limit=0)).start


def opened(url: str, count: int) -> EventLog:
    return open_log(url, retention=Retention(2 * count, bytes=1 << 40))


async def fill(url: str, events: list[Event]) -> None:
    log = opened(url, len(events))
    for first in range(0, len(events), 1_000):
        await log.append(events[first : first + 1_000])
    await log.close()


async def followed(hub: Hub, log: EventLog, events: int, user: str) -> float:
    """Follows with a live reader until all is heard. Returns events a second."""
    sink = Counting()
    hub.attach(Reader(Identity(user), sink, hub.cursor))
    settle()
    began = time.perf_counter()
    while hub.heard < events:  # noqa: ASYNC110 - nothing tells of the last event
        await asyncio.sleep(0.001)
    took = time.perf_counter() - began
    assert hub.heard == events
    assert bool(sink.written) == (user == NAMED_USER)
    await hub.stop()
    await log.close()
    return events / took


async def from_floor(url: str, events: list[Event], user: str = OTHER_USER) -> float:
    log = opened(url, len(events))
    hub = FromFloor(log, clock=SystemClock(), journal=NullJournal())
    await hub.start()
    return await followed(hub, log, len(events), user)


async def after_pause(url: str, events: list[Event]) -> float:
    log = opened(url, len(events))
    hub = Hub(log, clock=SystemClock(), journal=NullJournal())
    await hub.start()
    await asyncio.sleep(0.1)
    stand_still_until(fill(url, events))
    return await followed(hub, log, len(events), OTHER_USER)


def stand_still_until(done: Coroutine[None, None, None]) -> None:
    """Lets nothing else of this loop happen meanwhile, as where the process is stopped."""
    other = threading.Thread(target=uvloop.run, args=(done,))
    other.start()
    other.join()


async def raw(url: str, events: list[Event]) -> float:
    connection: Any = client(url)
    settle()
    seen, last = 0, b"0-0"
    began = time.perf_counter()
    while found := await connection.xread({"{tidewire}:log": last}, count=1_000):
        [(_, entries)] = found
        seen += len(entries)
        last = entries[-1][0]
    took = time.perf_counter() - began
    assert seen == len(events)
    await connection.aclose()
    return seen / took


def run(
    server: Redis,
    events: list[Event],
    read: Way,
    *,
    filled: bool = True,
    profile: str = "",
) -> float:
    if not filled or server.command("XLEN", "{tidewire}:log") != len(events):
        server.command("FLUSHALL", "SYNC")
    if filled and not server.command("EXISTS", "{tidewire}:log"):
        uvloop.run(fill(server.url, events))
    if not profile:
        return uvloop.run(read(server.url, events))
    with cProfile.Profile() as watched:
        rate = uvloop.run(read(server.url, events))
    watched.dump_stats(profile)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=100, help="bytes of an event's body")
    parser.add_argument("--profile", default="", help="where profiles go; figures are then none")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CPU})
    events = made(options.events, options.size, Target(frozenset({NAMED_USER})))
    ways: tuple[tuple[str, Way, bool, str], ...] = (
        ("from the floor", from_floor, True, ">= 30,000/s"),
        ("after a pause", after_pause, False, ">= 30,000/s"),
        ("the floor, a reader gets all", partial(from_floor, user=NAMED_USER), True, ""),
    )
    rows = [Row(name, "events/s", target) for name, _, _, target in ways]
    with (
        machine(
            f"{options.events:,} events of {len(events[-1].body)} bytes; Redis on one core, the "
            "node on another"
        ),
        redis(cpu=SERVER_CPU) as server,
    ):
        for number in range(options.pairs):
            for row, (name, way, filled, _) in zip(rows, ways, strict=True):
                profile = options.profile and f"{options.profile}-{name.replace(' ', '-')}.prof"
                row.add(
                    *alternate(
                        number,
                        partial(run, server, events, way, filled=filled, profile=profile),
                        partial(run, server, events, raw),
                    )
                )
            pair_ended(number)
        show(rows, beside="XREAD, only counted")


if __name__ == "__main__":
    main()
