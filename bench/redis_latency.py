"""How long an event takes from node to node, against a loop of XADD and blocking XREAD.

Two processes beside one Redis: a node that publishes and a node that hears; in turn with these, a
publisher with XADD and a hearer with XREAD, by the same client library. Those who do not have the
turn do not run, and so cannot keep the Redis from the others. The publisher stamps each event, and
the hearer takes the time where it would write to a client: from `append` to the sink of a hub, and
from XADD to the return of XREAD.

The log is as full as it gets before they begin, so that each append trims.

With --http, for information: the same between two servers, from the request that publishes at one
to the bytes of a stream of the other, as a client sees it.

    .venv/bin/python -m bench.redis_latency --pairs 7 --http
"""

import argparse
import asyncio
import multiprocessing
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import uvloop

from bench.paired import (
    Row,
    alternate,
    client,
    made,
    redis,
    serving,
    settle,
    show,
)
from bench.redis_follow import Counting, fill
from bench.stopped_readers import Options, connect, p99, publish
from bench.table import machine, pair_ended
from tidewire.core.clock import SystemClock
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.journal import NullJournal
from tidewire.core.keeper import Keeper
from tidewire.core.reader import Reader
from tidewire.core.target import Identity
from tidewire.logs import Retention, open_log
from tidewire.logs.fallback import FallbackLog

STAMP = re.compile(rb'"t":([0-9]+)')
PADDING = "x" * 60
STREAM = "raw"
WARM_UP = 200
LIMITS = {"TIDEWIRE_RATE_LIMITS": "off"}

Send: TypeAlias = Callable[[], Awaitable[object]]
Run: TypeAlias = Callable[[str, Connection], None]
Turn: TypeAlias = Callable[[], list[float]]


def stamped() -> dict[str, Any]:
    return {"t": time.monotonic_ns(), "p": PADDING}


# What runs in the processes. Each is told through its pipe how many events a turn has.


async def at_rate(pipe: Connection, send: Send) -> None:
    """Sends as often as it is told to, at the given rate."""
    settle()
    pipe.send("ready")
    while (asked := await asyncio.to_thread(pipe.recv)) is not None:
        count, rate = asked
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
            await send()


class Stamping(Counting):
    """A sink that takes the time of each event."""

    def __init__(self, took: asyncio.Queue[float]) -> None:
        super().__init__()
        self._took = took

    def write(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for match in STAMP.finditer(data):
            self._took.put_nowait((now - int(match[1])) / 1e6)


async def collect(pipe: Connection, took: asyncio.Queue[float]) -> None:
    """Tells after each turn how long its events took, milliseconds."""
    settle()
    pipe.send("ready")
    while (count := await asyncio.to_thread(pipe.recv)) is not None:
        pipe.send([await took.get() for _ in range(count)])


async def node(url: str, pipe: Connection, *, hears: bool) -> None:
    """A node as a server has it, without its HTTP."""
    log = open_log(url)
    assert isinstance(log, FallbackLog)
    clock, journal = SystemClock(), NullJournal()
    hub = Hub(log, clock=clock, journal=journal)
    bus = log.bus()
    keeper = Keeper(hub, bus, clock=clock, journal=journal)
    await log.open()
    await bus.load()
    await hub.start()
    keeper.start()
    if hears:
        took: asyncio.Queue[float] = asyncio.Queue()
        hub.attach(Reader(Identity("reader"), Stamping(took), hub.cursor))
        await collect(pipe, took)
    else:
        await at_rate(pipe, lambda: hub.publish([Event("bench", stamped())]))
    await keeper.stop()
    await hub.stop()
    await bus.close()
    await log.close()


async def raw_publisher(url: str, pipe: Connection) -> None:
    connection = client(url)

    async def send() -> None:
        await connection.xadd(STREAM, {"b": Event("bench", stamped()).body})

    await at_rate(pipe, send)
    await connection.aclose()


async def raw_hearer(url: str, pipe: Connection) -> None:
    connection: Any = client(url)
    took: asyncio.Queue[float] = asyncio.Queue()

    newest = await connection.xrevrange(STREAM, count=1)

    async def hear() -> None:
        last = newest[0][0] if newest else b"0-0"
        while True:
            found = await connection.xread({STREAM: last}, count=1_000, block=1_000)
            now = time.monotonic_ns()
            for _, entries in found or ():
                last = entries[-1][0]
                for _, fields in entries:
                    match = STAMP.search(fields[b"b"])
                    assert match is not None
                    took.put_nowait((now - int(match[1])) / 1e6)

    hearing = asyncio.create_task(hear())
    await collect(pipe, took)
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    await connection.aclose()


def publish_by_node(url: str, pipe: Connection) -> None:
    uvloop.run(node(url, pipe, hears=False))


def hear_by_node(url: str, pipe: Connection) -> None:
    uvloop.run(node(url, pipe, hears=True))


def publish_raw(url: str, pipe: Connection) -> None:
    uvloop.run(raw_publisher(url, pipe))


def hear_raw(url: str, pipe: Connection) -> None:
    uvloop.run(raw_hearer(url, pipe))


# What leads them


class Worker:
    """A process that runs one of these."""

    def __init__(self, run: Run, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self._process = context.Process(target=run, args=(url, other), daemon=True)
        self._process.start()
        other.close()
        assert self.receive(20) == "ready"

    def receive(self, seconds: float) -> Any:
        assert self.pipe.poll(seconds), "a process of the bench does not answer"
        return self.pipe.recv()

    def end(self) -> None:
        self.pipe.send(None)
        self._process.join(10)


def turn(publish: Run, hear: Run, url: str, count: int, rate: int) -> list[float]:
    """Lets a process publish and one hear; returns what each event took, sorted, milliseconds."""
    publisher, hearer = Worker(publish, url), Worker(hear, url)
    for events in (WARM_UP, count):
        hearer.pipe.send(events)
        publisher.pipe.send((events, rate))
        took: list[float] = hearer.receive(events / rate + 20)
    publisher.end()
    hearer.end()
    return sorted(took)


def compared(name: str, pairs: int, ours: Turn, raw: Turn, target: str = "") -> list[Row]:
    """Runs pairs of turns."""
    middle, late = Row(f"{name}, p50", "ms"), Row(f"{name}, p99", "ms", target)
    for number in range(pairs):
        mine, beside = alternate(number, ours, raw)
        middle.add(mine[len(mine) // 2], beside[len(beside) // 2])
        late.add(p99(mine), p99(beside))
        pair_ended(number)
    return [middle, late]


async def over_http(first: str, second: str, count: int, rate: int) -> list[float]:
    stream = await connect(second, "reader")
    for events in (WARM_UP, count):
        options = Options(pairs=1, stopped=0, reading=1, events=events, size=60, rate=rate, batch=1)
        stream.expected = 0
        stream.latencies.clear()
        await asyncio.gather(publish(first, options), stream.read(until=events, timed=True))
    stream.sock.close()
    return sorted(value for values in stream.latencies.values() for value in values)


def http_turn(url: str, count: int, rate: int) -> list[float]:
    with serving(url, LIMITS) as one, serving(url, LIMITS) as two:
        return uvloop.run(over_http(one, two, count, rate))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rate", type=int, default=200, help="events a second")
    parser.add_argument("--seconds", type=int, default=8, help="of each turn")
    parser.add_argument("--filled", type=int, default=Retention().events, help="events before")
    parser.add_argument("--http", action="store_true", help="also over HTTP, between two servers")
    options = parser.parse_args()
    count, rate = options.rate * options.seconds, options.rate
    with (
        machine(f"{rate} events/s, {options.seconds} s a turn, a log of {options.filled:,} events"),
        redis() as server,
    ):
        uvloop.run(fill(server.url, made(options.filled, 100)))
        url = server.url
        raw = partial(turn, publish_raw, hear_raw, url, count, rate)
        nodes = partial(turn, publish_by_node, hear_by_node, url, count, rate)
        rows = compared("append to sink", options.pairs, nodes, raw, "<= 3")
        if options.http:
            servers = partial(http_turn, url, count, rate)
            rows += compared("over HTTP", options.pairs, servers, raw)
        show(rows, beside="XADD to XREAD")


if __name__ == "__main__":
    main()
