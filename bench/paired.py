"""What the benches of the shared log have in common: a Redis of their own, runs in turn with what
is measured beside them, and one table."""

import gc
import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis as Client

from bench.process import address
from bench.servers import COMMAND
from tests.redisserver import Redis, redis_server
from tidewire.core.event import Event
from tidewire.core.target import EVERYONE, Target
from tidewire.logs.codec import encode


@dataclass
class Row:
    """What was measured of one thing, pair by pair."""

    name: str
    unit: str
    target: str = ""
    ours: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    def add(self, ours: float, beside: float) -> None:
        self.ours.append(ours)
        self.beside.append(beside)

    @property
    def ratios(self) -> list[float]:
        return [ours / beside for ours, beside in zip(self.ours, self.beside, strict=True)]


def show(rows: Iterable[Row], *, beside: str) -> None:
    """Prints the table: medians of all pairs, with the least and the greatest."""
    print(f"{'':40} {'Tidewire':>25} {beside:>25}   ratio, pair by pair   target")
    for row in rows:
        ratio = _spread(row.ratios, "{:.2f}")
        ours, other = (_spread(values, _form(row.unit)) for values in (row.ours, row.beside))
        print(f"{row.name + ', ' + row.unit:40} {ours:>25} {other:>25}   {ratio:19}   {row.target}")


def _form(unit: str) -> str:
    return "{:,.0f}" if unit.endswith("/s") else "{:.2f}"


def _spread(values: Sequence[float], form: str) -> str:
    middle, least, most = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{middle} ({least}–{most})"


@contextmanager
def redis(*, cpu: int | None = None) -> Iterator[Redis]:
    """A Redis that keeps nothing on disk."""
    with tempfile.TemporaryDirectory() as folder:
        mine = os.sched_getaffinity(0)
        if cpu is not None:
            # It inherits where it may run.
            os.sched_setaffinity(0, {cpu})
        with redis_server(Path(folder)) as server:
            os.sched_setaffinity(0, mine)
            yield server


def client(url: str) -> Client:
    """The library's own client, for what is measured beside."""
    return Client.from_url(url, protocol=2)


@contextmanager
def serving(redis_url: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """A development server on this log: its address."""
    server = subprocess.Popen(
        [COMMAND, "serve", "--dev", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the access log
        text=True,
        env=os.environ | {"TIDEWIRE_LOG_URL": redis_url} | dict(environment or {}),
    )
    try:
        yield address(server)
    finally:
        server.terminate()
        server.communicate()


def made(count: int, size: int, target: Target = EVERYONE) -> list[Event]:
    """Events whose bodies have about ``size`` bytes."""
    bare = len(Event("bench", {"n": count, "p": ""}).body)
    padding = "x" * max(0, size - bare)
    return [Event("bench", {"n": n, "p": padding}, target=target) for n in range(count)]


def fields(event: Event, number: int) -> dict[str | bytes, str | bytes]:
    """The bytes that the log keeps of an event, as the fields of XADD."""
    header = f"epoch1 {event.size} {number} sproduce - ".encode() + encode(event)
    return {b"h": header, b"b": event.body}


def settle() -> None:
    """As `tidewire serve` does once it is loaded: what is there need not be walked again."""
    gc.collect()
    gc.freeze()


_T = TypeVar("_T")


def alternate(number: int, first: Callable[[], _T], second: Callable[[], _T]) -> tuple[_T, _T]:
    """Runs both, beginning with the other one in every second pair. Returns both in order."""
    if number % 2:
        other = second()
        return first(), other
    return first(), second()


def cpu_seconds(server: Redis) -> float:
    """What this Redis has spent of its processor."""
    told = str(server.command("INFO", "cpu"))
    used = re.findall(r"used_cpu_(?:sys|user):([0-9.]+)", told)
    return sum(map(float, used))
