"""Readers who go from node to node, over random failures of the ways to Redis, which itself goes
on: each gets every event once, each producer's in order, and nobody a gap."""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import pytest

from tests.fakes import FakeJournal, FakeSink, live_readers
from tests.nodes.logs import Node, a_node, held
from tests.redisserver import Redis
from tests.tcpproxy import Proxy, tcp_proxy
from tests.waiting import until, until_told
from tidewire.core import notices
from tidewire.core.clock import SystemClock
from tidewire.core.control import LocalBus
from tidewire.core.errors import LogAway
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.keeper import Keeper
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Cursor
from tidewire.core.reader import Reader
from tidewire.core.target import Identity
from tidewire.transports.asgi import Message
from tidewire.transports.filters import Filter
from tidewire.transports.polling import PollRequest, poll

PRODUCERS: Final = 2
"""Publishers at each node; each waits for its answer before it publishes again."""

TYPES: Final = ("notification", "own")
WANTED: Final = (
    frozenset[str](),
    frozenset({"own"}),
    frozenset[str](),
    frozenset({"notification"}),
)


class Traveller:
    """A client that goes from node to node with the last cursor that it read, as clients do: what
    was written and not read when it left is lost."""

    def __init__(self, start: Cursor, types: frozenset[str]) -> None:
        self.types = types
        self.got: list[int] = []
        self.story: list[str] = []
        self.gaps: list[object] = []
        self.cursor = start
        self.at: Hub | None = None
        self._reader: Reader | None = None
        self._sink = FakeSink()
        self._read = 0

    def leave(self) -> None:
        if self.at is not None and self._reader is not None:
            self.at.detach(self._reader)
            self.read()
        self.at = self._reader = None
        self._sink, self._read = FakeSink(), 0

    async def open(self, hub: Hub) -> None:
        """As the opening of a stream does; where the cursor cannot be looked at now, a client
        comes again later."""
        self.leave()
        try:
            place = await hub.locate(self.cursor)
        except LogAway:
            return
        self.story.append(f"open {place.cursor} where the hub is at {hub.cursor}")
        if place.gap is not None:
            self.gaps.append(place.gap)
        self._reader = Reader(Identity("ann"), self._sink, place.cursor, types=self.types)
        self.at = hub
        hub.attach(self._reader)

    async def poll(self, keeper: Keeper, limit: int) -> None:
        self.leave()
        try:
            request = PollRequest(self.cursor, limit, filter=Filter(self.types))
            answer = await poll(keeper, Identity("ann"), request, _stays)
        except LogAway:
            return
        if answer.gap is not None:
            self.gaps.append(answer.gap)
        self.got += [entry.event().data["n"] for entry in answer.entries]
        self.cursor = Cursor.parse(str(answer.cursor))
        self.story.append(f"poll {self.cursor}")

    def stop_reading(self) -> None:
        self._sink.stop_reading()

    def read_on(self) -> None:
        self._sink.read_on()

    def read(self) -> None:
        """Reads all whole blocks that have come."""
        *blocks, _ = self._sink.taken[self._read :].split(b"\n\n")
        for block in blocks:
            self._read += len(block) + 2
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if fields["event"] == "gap":
                self.gaps.append(fields["data"])
            elif fields["event"] in TYPES:
                envelope = json.loads(fields["data"])
                self.got.append(envelope["data"]["n"])
                self.story.append(f"  {self.got[-1]} {envelope['id']}")
            self.cursor = Cursor.parse(fields["id"])
            self.story.append(f"{fields['event']} {self.cursor}")


async def _stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class World:
    """Two nodes on one Redis, each by a way of its own that fails as the random numbers say."""

    def __init__(self, seed: int, nodes: list[Node], hubs: list[Hub], start: Cursor) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self.nodes = nodes
        self.hubs = hubs
        self.keepers = [
            Keeper(hub, LocalBus(), clock=SystemClock(), journal=FakeJournal()) for hub in hubs
        ]
        self.travellers = [Traveller(start, wanted) for wanted in WANTED]
        self.accepted: dict[int, str] = {}
        """By the number of the event, its type."""
        self.published = 0
        self.by_producer: dict[tuple[int, int], list[int]] = {}
        self.waiting: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.steps: list[str] = []
        self.spooled = self.again = 0
        self.failures: list[Exception] = []

    async def step(self) -> None:
        draw = self.random
        kind = draw.choices(
            ("publish", "hop", "poll", "link", "slow", "read on", "ping", "rest"),
            (30, 12, 4, 6, 3, 4, 3, 10),
        )[0]
        traveller = draw.choice(self.travellers)
        where = draw.randrange(len(self.nodes))
        self.steps.append(f"{kind} {where} {self.travellers.index(traveller)}")
        traveller.read()
        match kind:
            case "publish":
                self.publish(where, draw.randrange(PRODUCERS))
            case "hop":
                await traveller.open(self.hubs[where])
            case "poll":
                await traveller.poll(self.keepers[where], draw.randint(1, 8))
            case "link":
                self.change(self.nodes[where].proxy)
            case "slow":
                traveller.stop_reading()
            case "read on":
                traveller.read_on()
            case "ping":
                self.ping(where)
            case "rest":
                await asyncio.sleep(draw.choice((0, 0.001, 0.005, 0.05)))
        await asyncio.sleep(0)

    def publish(self, where: int, number: int) -> None:
        before = self.waiting.get((where, number))
        if before is None or before.done():
            batch = []
            for _ in range(self.random.choice((1, 1, 1, 3, 12))):
                self.published += 1
                type_ = self.random.choice(TYPES)
                pad = self.random.choice((0, 0, 100, 3_000))
                data = {"n": self.published, "pad": "x" * pad}
                batch.append(Event(type_, data))
                self.by_producer.setdefault((where, number), []).append(self.published)
            self.waiting[where, number] = asyncio.create_task(self._publish(where, batch))

    async def _publish(self, where: int, batch: list[Event]) -> None:
        log = self.nodes[where].log
        key = IdempotencyKey(secrets.token_hex(8), "digest")
        while True:
            try:
                positions = await log.append(batch, key=key)
                break
            except LogAway as error:
                # What got no good answer is sent again.
                if not error.in_doubt:
                    self.failures.append(error)
                    return
                self.again += 1
        if self.random.random() < 0.3 and (again := await log.append(batch, key=key)) != positions:
            self.failures.append(AssertionError(f"{positions[0]} was {again[0]} when repeated"))
        self.spooled += sum(not log.durable(position) for position in positions)
        for one in batch:
            self.accepted[one.data["n"]] = one.type

    def change(self, proxy: Proxy) -> None:
        kind = self.random.choices(
            ("pass", "refuse", "cut", "cut often", "swallow", "hole"), (12, 6, 3, 2, 1, 1)
        )[0]
        self.steps[-1] += f" {kind}"
        match kind:
            case "pass":
                proxy.pass_on()
            case "refuse":
                proxy.refuse()
            case "cut":
                proxy.cut_answers(request=b"EVALSHA", keep=self.random.choice((0.0, 0.5)))
            case "cut often":
                proxy.cut_answers(keep=self.random.choice((0.0, 0.5)), times=5)
            case "swallow":
                proxy.swallow_answers()
            case "hole":
                proxy.black_hole()

    def ping(self, where: int) -> None:
        hub = self.hubs[where]
        hub.tell(live_readers(hub), lambda cursor: notices.ping(cursor, sequence=1, now=0))

    async def settle(self) -> None:
        """All is well again, everybody is somewhere and reads, and nothing is under way."""
        for node in self.nodes:
            node.proxy.cut_answers(longer_than=1 << 40)
            node.proxy.pass_on()
        if self.waiting:
            await asyncio.gather(*self.waiting.values())
        for node in self.nodes:
            await node.home()
        for traveller in self.travellers:
            traveller.read_on()
            while traveller.at is None:
                await traveller.open(self.random.choice(self.hubs))
        # What a black hole held back comes late, and may be an append.
        await until_told(self.all_is_heard)
        # What is owed all the same, the checks that follow say.
        with suppress(AssertionError):
            await until(lambda: not self.owed())

    async def all_is_heard(self) -> bool:
        with suppress(LogAway):
            return {hub.cursor for hub in self.hubs} == {Cursor(await self.hubs[0].head())}
        return False

    def owed(self) -> list[set[int]]:
        for traveller in self.travellers:
            traveller.read()
        return [owed for owed in map(self.missing, self.travellers) if owed]

    def missing(self, traveller: Traveller) -> set[int]:
        return {n for n, type_ in self.accepted.items() if self.wants(traveller, type_)}.difference(
            traveller.got
        )

    @staticmethod
    def wants(traveller: Traveller, type_: str) -> bool:
        return not traveller.types or type_ in traveller.types

    async def check(self) -> None:
        assert not self.failures, f"seed {self.seed}: {self.failures}"
        in_log = [n for _, n in await held(self.nodes[0].log)]
        self.check_one("the log", in_log, set(self.accepted))
        for index, traveller in enumerate(self.travellers):
            wanted = {n for n, type_ in self.accepted.items() if self.wants(traveller, type_)}
            assert not traveller.gaps, f"seed {self.seed}: traveller {index}: {traveller.gaps}"
            self.check_one(f"traveller {index}", traveller.got, wanted)

    def check_one(self, who: str, got: list[int], wanted: set[int]) -> None:
        context = f"seed {self.seed}: {who}"
        twice = sorted({n for n in got if got.count(n) > 1}) if len(set(got)) < len(got) else []
        assert not twice, f"{context} got twice: {twice}"
        assert not wanted - set(got), f"{context} never got: {sorted(wanted - set(got))}"
        assert not set(got) - wanted, f"{context} was owed none of: {sorted(set(got) - wanted)}"
        for producer, published in self.by_producer.items():
            theirs = [n for n in published if n in wanted]
            mine = set(theirs)
            order = [n for n in got if n in mine]
            assert order == theirs, f"{context}: the order of producer {producer}"


@asynccontextmanager
async def a_world(redis: Redis, seed: int) -> AsyncIterator[World]:
    name = secrets.token_hex(8)
    async with AsyncExitStack() as stack:
        nodes, hubs = [], []
        for _ in range(2):
            proxy = stack.enter_context(tcp_proxy(redis.port))
            node = await stack.enter_async_context(a_node(proxy, name))
            hub = Hub(node.log, clock=SystemClock(), journal=node.journal)
            await hub.start()
            stack.push_async_callback(hub.stop)
            nodes.append(node)
            hubs.append(hub)
        yield World(seed, nodes, hubs, hubs[0].cursor)


async def run_world(redis: Redis, seed: int, steps: int) -> World:
    async with a_world(redis, seed) as world:
        for _ in range(steps):
            await world.step()
        try:
            await world.settle()
            await world.check()
        except (AssertionError, TimeoutError) as error:
            error.add_note("; ".join(world.steps))
            for traveller in world.travellers:
                error.add_note("\n".join(["traveller", *traveller.story]))
            raise
        return world


@pytest.mark.parametrize("first", [0, 8])
async def test_readers_who_go_from_node_to_node_get_everything_once_while_redis_comes_and_goes(
    redis: Redis, first: int
) -> None:
    # Side by side: most of the time each waits.
    worlds = await asyncio.gather(*(run_world(redis, first + n, 500) for n in range(8)))
    assert sum(world.published for world in worlds) > 500
    assert sum(world.spooled for world in worlds) > 100, "Redis was never away"
