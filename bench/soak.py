"""Two nodes on a real Redis, for a long time, with clients that come, go, and change their ways.

Each client has one cursor. It reads for some seconds by a stream or by held polls, at one node or
the other, then leaves, or is cut off without a goodbye, and goes on elsewhere from its cursor. Once
a minute all clients of a node are cut off at the same moment. Meanwhile both nodes are published
to: events for all and events for one. Every client looks at every event: none may be missing, come
twice or out of turn, or be for somebody else, and no gap may be told.

At first each node delivers as many events as it remembers. Then memory and open files of both are
sampled. After a third of the time, in which everything else that is bounded has filled, the memory
of neither may grow, nor the files beside the connections of clients (Theil-Sen: the median of the
slopes of all pairs of samples); and when all clients have left, their files must be gone.

The rates are as by default, counted in Redis; retention is short, so that it is filled early. The
status is 0 if all that holds, else 1.

    scripts/soak --minutes 15
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.paired import redis
from bench.process import LOAD_CPU, address, resident, running
from bench.servers import COMMAND, OURS, SECRET
from bench.suite import command
from bench.table import Row, Table, Target, measured, note
from tests.deploy.exchange import Exchange, Refused, fetch, open_stream
from tests.faults.clients import Block
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock
from tidewire.core.frames import MAX_BYTES
from tidewire.serve.server import raise_file_limit

RESULTS: Final = Path(__file__).parent / "results/soak.json"
MEBIBYTE: Final = 1024 * 1024

TICKS: Final = 5
"""How often a second each node is published to."""

STAY: Final = (5.0, 25.0)
"""Seconds at one node and in one way: at least, and at most."""

HELD_SECONDS: Final = 10
BETWEEN_POLLS: Final = 2.0
"""Seconds from one answer to the next poll: each event answers all polls that are held."""

STREAMS: Final = 0.75
"""Of all stays; the others are polls."""

AGAIN_SECONDS: Final = 0.2
RENEW_SECONDS: Final = 45 * 60.0
STORM_SECONDS: Final = 60.0
PROGRESS_SECONDS: Final = 10.0
SAMPLES: Final = 400
END_SECONDS: Final = 60.0
"""Within these everybody has all, once nothing more is published."""

FLAT_SHARE: Final = 0.03
FLAT_BYTES: Final = 4 * MEBIBYTE
"""What an allocator moves by itself. In a quarter of an hour there are some 50,000 connects: a
hundred bytes lost with each of them are more."""

FLAT_FILES: Final = 25
"""As many connections a node may be slower or faster to open and to close than at another time."""

POOLED_FILES: Final = 16
"""Connections to Redis that are opened when they are needed, and stay."""

LEAST_RETENTION: Final = 500

BATCH: Final = 400
LAST: Final = "the last of a batch"
FRAME_BYTES: Final = 300
"""What a remembered event is at least, in the bytes that a node allows itself."""

To = tuple[str, str]
"""A publisher, and the user that it publishes for; "" = everybody. Each such pair counts its
events: 1, 2, 3, …"""


class Credentials:
    """Tokens that both nodes accept. Each is good for an hour, and renewed in time."""

    def __init__(self) -> None:
        self._tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
        self._issued: dict[str, tuple[float, str]] = {}

    def headers(self, user: str, *permissions: str) -> dict[str, str]:
        at, token = self._issued.get(user, (0.0, ""))
        if not token or time.monotonic() - at > RENEW_SECONDS:
            token = self._tokens.issue(user, permissions=permissions).token
            self._issued[user] = time.monotonic(), token
        return {"Authorization": f"Bearer {token}"}


@dataclass
class Tally:
    """What has happened, over all clients."""

    counts: Counter[str] = field(default_factory=Counter)
    connections: Counter[str] = field(default_factory=Counter)
    """Those that are open, by node."""

    complaints: list[str] = field(default_factory=list)

    def wrong(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        if len(self.complaints) < 20:
            self.complaints.append(f"{kind}: {text}")


class Client:
    """One client, that looks at all that comes."""

    def __init__(
        self, user: str, nodes: Sequence[str], cursor: str, tally: Tally, credentials: Credentials
    ) -> None:
        self.user = user
        self.node = nodes[0]
        self.last: dict[To, int] = {}
        self._nodes = nodes
        self._cursor = cursor
        self._tally = tally
        self._credentials = credentials
        self._chance = random.Random(user)  # noqa: S311 - the same in every run
        self._exchange: Exchange | None = None
        self._way = ""

    async def run(self) -> None:
        """Follows until it is cancelled."""
        counts = self._tally.counts
        while True:
            self.node = self._chance.choice(self._nodes)
            way = "stream" if self._chance.random() < STREAMS else "poll"
            counts["changes of the way"] += self._way not in ("", way)
            self._way = way
            try:
                async with asyncio.timeout(self._chance.uniform(*STAY)):
                    await (self._stream() if way == "stream" else self._poll())
            except TimeoutError:
                pass
            except Refused as refused:
                counts["refused"] += 1
                if refused.status in (400, 401, 403, 404, 422):
                    self._tally.wrong("refused for good", f"{self.user}: {refused}")
                await asyncio.sleep(AGAIN_SECONDS)
            except OSError:
                counts["refused"] += 1
                await asyncio.sleep(AGAIN_SECONDS)

    def cut(self) -> None:
        """Has its connection vanish."""
        if self._exchange is not None:
            self._exchange.drop()

    async def _stream(self) -> None:
        headers = self._credentials.headers(self.user) | {"Last-Event-ID": self._cursor}
        self._tally.counts["streams opened"] += 1
        self._exchange = exchange = await open_stream(self.node, self._take, headers=headers)
        self._tally.connections[self.node] += 1
        try:
            await exchange.ended
        finally:
            self._tally.connections[self.node] -= 1
            self._exchange = None
            if self._chance.random() < 0.5:
                self._tally.counts["streams cut"] += 1
                exchange.drop()
            else:
                exchange.leave()

    async def _poll(self) -> None:
        headers = self._credentials.headers(self.user)
        while True:
            path = (
                f"/api/realtime/polling?since={self._cursor}&wait={HELD_SECONDS}&limit=200"
                f"&instanceId={self.user}"
            )
            self._tally.connections[self.node] += 1
            try:
                answer = await fetch(self.node, path, headers=headers)
            finally:
                self._tally.connections[self.node] -= 1
            self._tally.counts["polls"] += 1
            if answer["gap"] is not None:
                self._tally.wrong("gaps", f"{self.user}, polling: {answer['gap']}")
            for event in answer["events"]:
                self._see(event["data"])
            self._cursor = answer["cursor"]
            await asyncio.sleep(BETWEEN_POLLS)

    def _take(self, block: Block) -> None:
        match block.event:
            case "soak":
                self._see(block.envelope["data"])
            case "gap":
                self._tally.wrong("gaps", f"{self.user}: {block.envelope['data']}")
        if block.id is not None:
            self._cursor = block.id

    def _see(self, data: Mapping[str, Any]) -> None:
        to = data["by"], data["to"]
        number, last = data["n"], self.last.get(to, 0)
        self._tally.counts["deliveries"] += 1
        if data["to"] not in ("", self.user):
            self._tally.wrong("for somebody else", f"{self.user}: {data}")
        elif number <= last:
            self._tally.wrong("repeated or out of turn", f"{self.user}: {data} after {last}")
        elif number > last + 1:
            self._tally.wrong("missed", f"{self.user}: {data} after {last}")
        self.last[to] = max(last, number)


class Publisher:
    """Publishes at one node: with each tick an event for all, and some for one user each."""

    def __init__(
        self, node: str, users: Sequence[str], each: int, tally: Tally, credentials: Credentials
    ) -> None:
        self.sent: Counter[To] = Counter()
        self._name = f"publisher at {node}"
        self._node = node
        self._users = users
        self._each = each
        self._tally = tally
        self._credentials = credentials
        self._chance = random.Random(node)  # noqa: S311 - the same in every run
        self._stopping = False

    def stop(self) -> None:
        """Sends nothing new; `run` ends when what was sent is accepted."""
        self._stopping = True

    async def run(self) -> None:
        ticks = 0
        while not self._stopping:
            ticks += 1
            users = ["", *(self._chance.choice(self._users) for _ in range(self._each))]
            await self._publish(f"{self._name} {ticks}", [self._event(user) for user in users])
            await asyncio.sleep(1 / TICKS)

    def _event(self, user: str) -> dict[str, Any]:
        self.sent[self._name, user] += 1
        data = {"by": self._name, "to": user, "n": self.sent[self._name, user]}
        event = {"type": "soak", "data": data}
        return event | {"metadata": {"userIds": [user]}} if user else event

    async def _publish(self, key: str, events: list[dict[str, Any]]) -> None:
        path = "/api/realtime/publish"
        while True:
            headers = self._credentials.headers(self._name, "publish") | {"Idempotency-Key": key}
            try:
                await fetch(self._node, path, headers=headers, body={"events": events})
            except (Refused, OSError) as error:
                if isinstance(error, Refused) and error.status == 202:
                    # Accepted while the node could not reach Redis; it brings it home.
                    self._tally.counts["events"] += len(events)
                    return
                if isinstance(error, Refused) and error.status in (400, 401, 403, 422):
                    self._tally.wrong("refused for good", f"{key}: {error}")
                    return
                self._tally.counts["published again"] += 1
                note(f"{key} is published again: {error}")
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._tally.counts["events"] += len(events)
                return


@dataclass(frozen=True)
class Sample:
    """What a node had at one moment: seconds since the start, bytes, files, and connections of
    clients, which are some of the files."""

    at: float
    resident: int
    files: int
    connections: int


def open_files(pid: int) -> int:
    """How many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes of all pairs of points; one that is off does not move it."""
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(points)
        for later in points[index + 1 :]
    ]
    return statistics.median(slopes) if slopes else 0.0


class Watch:
    """Samples of one node."""

    def __init__(self, name: str, node: str, pid: int) -> None:
        self.name = name
        self.node = node
        self.pid = pid
        self.samples: list[Sample] = []
        self.files_before = open_files(pid)

    def look(self, at: float, connections: int) -> None:
        self.samples.append(Sample(at, resident(self.pid), open_files(self.pid), connections))

    def after(self, warm: float) -> list[Sample]:
        return [sample for sample in self.samples if sample.at >= warm]


async def fill_memory(nodes: Sequence[str], credentials: Credentials) -> None:
    """Lets each node deliver as many events as it remembers, alike to those that follow: a node
    that has just started grows by each event until then."""
    delivered: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in nodes]

    def taker(queue: "asyncio.Queue[int]") -> Callable[[Block], None]:
        def take(block: Block) -> None:
            if block.event == "soak" and block.envelope["data"]["to"] == LAST:
                queue.put_nowait(block.envelope["data"]["n"])

        return take

    headers = credentials.headers("filler", "publish")
    streams = [
        await open_stream(node, taker(queue), headers=headers)
        for node, queue in zip(nodes, delivered, strict=True)
    ]
    try:
        for number in range(1, MAX_BYTES // FRAME_BYTES // BATCH + 1):
            data = {"by": f"publisher at {nodes[0]}", "to": "", "n": number}
            to_all = {"type": "soak", "data": data}
            to_one = to_all | {"metadata": {"userIds": ["filler"]}}
            events = [to_one if place % 3 else to_all for place in range(BATCH)]
            events.append({"type": "soak", "data": data | {"to": LAST}})
            path = "/api/realtime/publish"
            await fetch(nodes[0], path, headers=headers, body={"events": events})
            for queue in delivered:
                while await queue.get() != number:
                    pass
    finally:
        for stream in streams:
            stream.leave()


async def soak(
    options: argparse.Namespace, nodes: Sequence[str], watches: Sequence[Watch], tally: Tally
) -> None:
    """Lets it all happen, and waits until everybody has everything."""
    credentials = Credentials()
    users = [f"user-{number}" for number in range(options.clients)]
    note("The nodes are filled with events.")
    await fill_memory(nodes, credentials)
    told = await fetch(nodes[0], "/api/realtime/cursor", headers=credentials.headers("setup"))
    clients = [Client(user, nodes, told["cursor"], tally, credentials) for user in users]
    publishers = [Publisher(node, users, options.each, tally, credentials) for node in nodes]
    for watch in watches:
        watch.files_before = open_files(watch.pid)
    began, seconds = time.monotonic(), options.minutes * 60
    following = [asyncio.create_task(client.run()) for client in clients]
    meanwhile = [asyncio.create_task(publisher.run()) for publisher in publishers]
    meanwhile.append(asyncio.create_task(_cut(clients, nodes, tally, began, seconds)))
    try:
        await _watch(watches, tally, began, seconds)
        note("time is over; the rest is awaited")
        for publisher in publishers:
            publisher.stop()
        _, late = await asyncio.wait(meanwhile, timeout=END_SECONDS)
        if late:
            tally.wrong("not accepted", f"{len(late)} publishers still wait for an answer")
        await _everybody_has_all(clients, publishers, tally)
    finally:
        for task in following + meanwhile:
            task.cancel()
        ended = await asyncio.gather(*following, *meanwhile, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            tally.wrong("tasks that failed", repr(error))
    await _files_are_gone(watches)


async def _cut(
    clients: Sequence[Client], nodes: Sequence[str], tally: Tally, began: float, seconds: float
) -> None:
    """Cuts off all clients of a node at once, of one after the other."""
    every = min(STORM_SECONDS, seconds / 6)
    turn = 0
    while time.monotonic() - began + every < seconds:
        await asyncio.sleep(every)
        node = nodes[turn % len(nodes)]
        turn += 1
        tally.counts["storms"] += 1
        for client in clients:
            if client.node == node:
                client.cut()


async def _watch(watches: Sequence[Watch], tally: Tally, began: float, seconds: float) -> None:
    """Samples the nodes until the time is over, and tells how it goes."""
    every = max(0.5, seconds / SAMPLES)
    told = 0.0
    while (at := time.monotonic() - began) < seconds:
        for watch in watches:
            watch.look(at, tally.connections[watch.node])
        if at - told >= PROGRESS_SECONDS or not told:
            told = at
            now = [watch.samples[-1] for watch in watches]
            note(
                f"{at / 60:5.1f} of {seconds / 60:g} min  "
                f"RSS {' '.join(f'{each.resident / MEBIBYTE:.1f}' for each in now)} MiB  "
                f"files {' '.join(str(each.files) for each in now)}  "
                f"{tally.counts['deliveries']:,} deliveries  {len(tally.complaints)} complaints"
            )
        await asyncio.sleep(every)


async def _everybody_has_all(
    clients: Sequence[Client], publishers: Sequence[Publisher], tally: Tally
) -> None:
    sent: dict[str, dict[To, int]] = {}
    for publisher in publishers:
        for to, count in publisher.sent.items():
            sent.setdefault(to[1], {})[to] = count
    everybody = sent.get("", {})

    def behind() -> list[Client]:
        return [each for each in clients if each.last != everybody | sent.get(each.user, {})]

    end = time.monotonic() + END_SECONDS
    while late := behind():
        if time.monotonic() >= end:
            break
        await asyncio.sleep(0.1)
    for client in late:
        tally.wrong("clients that miss the last", client.user)


async def _files_are_gone(watches: Sequence[Watch]) -> None:
    """Waits a while for the connections to be gone; what is left is for the table."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if all(left(watch) <= POOLED_FILES for watch in watches):
            return
        await asyncio.sleep(0.2)


def left(watch: Watch) -> int:
    """Files that are open now, beyond those before the first client."""
    return open_files(watch.pid) - watch.files_before


# What is told of it

NEVER: Final = (
    "missed",
    "repeated or out of turn",
    "for somebody else",
    "gaps",
    "refused for good",
    "clients that miss the last",
    "not accepted",
    "tasks that failed",
)
OFTEN: Final = (
    "events",
    "deliveries",
    "streams opened",
    "streams cut",
    "polls",
    "changes of the way",
    "storms",
    "refused",
    "published again",
)


def fill(table: Table, watches: Sequence[Watch], tally: Tally, warm: float) -> None:
    """Puts everything into the table."""
    for name in OFTEN:
        table.row(name, "in all", compared=False).add("Tidewire", tally.counts[name])
    for name in NEVER:
        row = table.row(name, "in all", Target(0, at_most=True), compared=False)
        row.add("Tidewire", tally.counts[name])
    memory = table.row("RSS after the warm-up", "MiB", subject=watches[0].name, compared=False)
    files = table.row(
        "open files after the warm-up", "files", subject=watches[0].name, compared=False
    )
    for watch in watches:
        samples = watch.after(warm)
        window = samples[-1].at - samples[0].at
        for sample in samples:
            memory.add(watch.name, sample.resident / MEBIBYTE)
            files.add(watch.name, sample.files)
        middle = statistics.median(sample.resident for sample in samples)
        bound = max(FLAT_BYTES, FLAT_SHARE * middle) / MEBIBYTE
        grows = slope([(sample.at, sample.resident / MEBIBYTE) for sample in samples])
        _judged(table, watch, "RSS grows by", "MiB an hour", grows * 3600)
        _judged(table, watch, "RSS has grown by", "MiB", grows * window, bound)
        others = slope([(sample.at, sample.files - sample.connections) for sample in samples])
        _judged(table, watch, "other files have grown by", "files", others * window, FLAT_FILES)
        _judged(table, watch, "files left", "files", left(watch), POOLED_FILES)


def _judged(
    table: Table, watch: Watch, name: str, unit: str, value: float, bound: float | None = None
) -> None:
    targets = [] if bound is None else [Target(round(bound, 2), at_most=True)]
    row = table.row(name, unit, *targets, subject=watch.name, compared=False)
    row.add(watch.name, value)


def missed(rows: Sequence[Row]) -> list[str]:
    """What has not reached its target."""
    return [
        f"{row.name} ({series})"
        for row in rows
        for series, values in row.values.items()
        if (target := row.target(series)) and not target.met(statistics.median(values))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=2, help="events for one user, with each tick")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go")
    options = parser.parse_args()
    raise_file_limit()
    seconds = options.minutes * 60
    warm = seconds / 3
    rate = 2 * TICKS * (1 + options.each)
    retention = max(LEAST_RETENTION, int(rate * warm / 2))
    about = f"two nodes on one core, {rate} events a second, retention {retention} events"
    tally = Tally()
    with measured("soak", options, [about]) as table, ExitStack() as stack:
        server = stack.enter_context(redis(cpu=LOAD_CPU))
        environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        environment |= {
            "SSE_JWT_SECRET": SECRET,
            "TIDEWIRE_LOG_URL": f"{server.url}/0",
            "RATE_LIMIT_REDIS_URL": f"{server.url}/1",
            "TIDEWIRE_RETENTION_EVENTS": str(retention),
        }
        words = [COMMAND, "serve", "--port", "0"]
        processes = [stack.enter_context(running(words, environment=environment)) for _ in range(2)]
        nodes = [address(process) for process in processes]
        watches = [
            Watch(f"node {n}", node, each.pid)
            for n, (node, each) in enumerate(zip(nodes, processes, strict=True), 1)
        ]
        os.sched_setaffinity(0, {LOAD_CPU})
        uvloop.run(_bounded(soak(options, nodes, watches, tally), seconds + 3 * END_SECONDS))
        fill(table, watches, tally, warm)
    for complaint in tally.complaints:
        note(complaint)
    if wrong := missed(table.rows):
        sys.exit(f"Not as it should be: {', '.join(wrong)}.")


async def _bounded(what: Awaitable[None], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await what


if __name__ == "__main__":
    command(main)
