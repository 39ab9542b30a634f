"""How fast one event reaches many: Tidewire beside nchan, two ways in Python, and a bare C floor.

Three ways of publishing, over one connection:

  one in flight    the next event is sent when all streams have read the last
  pipelined        many requests on the way, one event each
  batches of 10    ten events in one request; the next when all have read them

Every stream must get every event once and in order, or the bench fails.

Writes: `write` and `writev` of the server's process, from /proc; the floor counts its own. --calls
counts all ways of writing in a short run of its own, with perf.

    .venv/bin/python -m bench.fanout --pairs 5
    .venv/bin/python -m bench.fanout --pairs 5 --subscribers 10000 --deliveries 500000
"""

import os
import re
import signal
import subprocess
from argparse import Namespace
from dataclasses import dataclass
from typing import Final

from bench.load import Load, loading
from bench.process import LOAD_CPU
from bench.servers import (
    FLOOR,
    JOINING_FLOOR,
    Kind,
    Server,
    nchan,
    sse_starlette,
    starlette,
    tidewire,
)
from bench.suite import chosen, command, rounds, told
from bench.table import Row, Table, Target, arguments, measured

WARM_UP: Final = 10
CALLS: Final = ("write", "writev", "sendto", "sendmsg", "sendmmsg")
PERF_SECONDS: Final = 1
"""Until perf counts."""


@dataclass(frozen=True)
class Way:
    """A way of publishing, in words of the load tool."""

    name: str
    batch: int
    depth: int
    flight: int
    targets: tuple[Target, ...]
    targets_of_many: tuple[Target, ...] = (Target(1.1, against="nchan"),)
    """With 10,000 subscribers or more."""

    def publish(self, load: Load, events: int) -> dict[str, float]:
        """Publishes, and tells what is shown of it."""
        run = load.run(
            events=events, batch=self.batch, depth=self.depth, flight=self.flight, within=120
        )
        return {
            "deliveries/s": run.deliveries_per_second,
            "writes": run.writes / run.deliveries,
            "reads": run.reads / run.deliveries,
            "bytes": run.bytes / run.deliveries,
            "server": 1e6 * run.server_cpu / run.deliveries,
            "load": run.load_share,
        }


WAYS: Final = (
    Way(
        "one in flight",
        1,
        1,
        1,
        (
            Target(1.1, against="nchan"),
            Target(5, against="sse-starlette"),
            Target(0.8, against="floor"),
        ),
    ),
    Way("pipelined", 1, 32, 0, (Target(1.2, against="nchan"), Target(0.85, against="floor"))),
    Way(
        "batches of 10",
        10,
        1,
        10,
        (Target(1.5, against="floor"), Target(0.8, against="joining floor")),
        (),
    ),
)


class Rows:
    """What is shown of a way of publishing."""

    def __init__(self, table: Table, way: Way, *, many: bool) -> None:
        targets = way.targets_of_many if many else way.targets
        self._rows: dict[str, Row] = {
            "deliveries/s": table.row(way.name, "deliveries/s", *targets)
        } | {
            name: table.row(f"{way.name}: {text}", unit, compared=False)
            for name, text, unit in (
                ("writes", "writes", "per delivery"),
                ("reads", "reads of the load tool", "per delivery"),
                ("bytes", "on the wire", "bytes per delivery"),
                ("server", "the server's CPU", "µs per delivery"),
                ("load", "the load tool's CPU", "% of its core"),
            )
        }

    def add(self, series: str, figures: dict[str, float]) -> None:
        for name, row in self._rows.items():
            row.add(series, figures[name])


def events_of(way: Way, options: Namespace) -> int:
    """So many that all ways and servers make about as many deliveries."""
    count = max(20, int(options.deliveries) // int(options.subscribers))
    return count - count % way.batch


def calls(server: Server, load: Load, events: int) -> float:
    """Writes per delivery, of whatever kind, in a run of its own."""
    names = [f"syscalls:sys_enter_{name}" for name in CALLS]
    watcher = subprocess.Popen(
        ["perf", "stat", "-x", ",", "-e", ",".join(names), "-p", str(server.pid)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CPU}),
    )
    try:
        load.run(hold=PERF_SECONDS)
        run = load.run(events=events, flight=1)
    finally:
        # It tells what it has counted.
        watcher.send_signal(signal.SIGINT)
        _, counted = watcher.communicate()
    found = [int(count) for count in re.findall(r"^([0-9]+),,syscalls", counted, re.MULTILINE)]
    return sum(found) / run.deliveries if found else float("nan")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--deliveries", type=int, default=300_000, help="of each run, about")
    parser.add_argument("--peers", default="", help="only these, divided by commas")
    parser.add_argument("--calls", action="store_true", help="also count all writes, with perf")
    options = parser.parse_args()
    kinds = chosen(
        [tidewire(), nchan(), sse_starlette(), starlette(), FLOOR, JOINING_FLOOR], options.peers
    )
    with measured("fanout", options, told(kinds)) as table:
        many = options.subscribers >= 10_000
        rows = {way: Rows(table, way, many=many) for way in WAYS}
        counted = table.row("all writes, by perf", "per delivery", compared=False)

        def measure(kind: Kind) -> None:
            with kind.start() as server, loading(server, options.subscribers) as load:
                load.open(0, options.subscribers)
                load.run(events=WARM_UP, flight=1)
                for way in WAYS:
                    if way.batch > 1 and not kind.batches:
                        continue
                    if way.batch == 1 and kind is JOINING_FLOOR:
                        continue
                    rows[way].add(kind.name, way.publish(load, events_of(way, options)))
                if options.calls:
                    counted.add(kind.name, calls(server, load, events_of(WAYS[0], options) // 10))

        rounds(options.pairs, kinds, measure)


if __name__ == "__main__":
    command(main)
