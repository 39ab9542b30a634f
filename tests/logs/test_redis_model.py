"""The Redis log beside the memory log, on one clock: the same calls have the same answers."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tests.redisserver import Redis
from tidewire.core.errors import IdempotencyConflict
from tidewire.core.event import Event
from tidewire.core.log import Entry, Gap, IdempotencyKey, Page
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.target import EVERYONE, Target
from tidewire.logs import Retention
from tidewire.logs.link import connector
from tidewire.logs.memory import MemoryLog
from tidewire.logs.redis import RedisLog

# What a run is made of


@dataclass(frozen=True)
class Append:
    """Each event by its target and how large it is; perhaps with a key."""

    batch: tuple[tuple[int, int], ...]
    key: tuple[str, str] | None = None


@dataclass(frozen=True)
class Advance:
    seconds: float


@dataclass(frozen=True)
class Clear:
    pass


@dataclass(frozen=True)
class Measure:
    pass


@dataclass(frozen=True)
class Near:
    """A position that was given, or one beside it: the ``index`` is taken modulo their number."""

    index: int
    ms: int = 0
    offset: int = 0
    strange: bool = False


@dataclass(frozen=True)
class Time:
    """The time of a position that was given, and so much more."""

    index: int
    ms: int


@dataclass(frozen=True)
class Read:
    since: Near | Time | Edge | int
    limit: int = 1000
    max_bytes: int = 1 << 20
    newest: int | None = None


Step: TypeAlias = Append | Advance | Clear | Measure | Read

STRANGE: Final = "zzzz0000"
TARGETS: Final = (EVERYONE, EVERYONE, Target.of(["ann", "bob"]), Target.of(roles=["R" * 50]))

_events = st.tuples(st.integers(0, len(TARGETS) - 1), st.sampled_from((0, 50, 400, 2000)))
_batches = st.lists(_events, min_size=1, max_size=6).map(tuple)
_keys = st.tuples(st.sampled_from("ab"), st.sampled_from("ddde"))
_places = st.one_of(
    st.builds(Near, st.integers(0, 99)),
    st.builds(
        Near,
        st.integers(0, 99),
        st.sampled_from((0, 0, -1, 1, 1500)),
        st.sampled_from((0, 1, -1, 30)),
        st.booleans(),
    ),
    st.builds(Time, st.integers(0, 99), st.sampled_from((0, 0, 1, -1, 500))),
    st.sampled_from((Edge.EARLIEST, Edge.LATEST, 0, 10**15)),
)
_reads = st.builds(
    Read,
    _places,
    st.sampled_from((0, 1, 2, 5, 1000)),
    st.sampled_from((1, 300, 1500, 1 << 20)),
    st.sampled_from((None, None, 0, 1, 3, 20)),
)
_steps: Final[tuple[st.SearchStrategy[Step], ...]] = (
    *[st.builds(Append, _batches)] * 4,
    *[st.builds(Append, st.lists(_events, min_size=1, max_size=2).map(tuple), _keys)] * 3,
    *[st.builds(Advance, st.sampled_from((0.001, 1, 8, 40, 600)))] * 3,
    *[_reads] * 6,
    st.just(Measure()),
    st.just(Clear()),
)
# `st.one_of` would count repeats once.
_runs = st.lists(
    st.integers(0, len(_steps) - 1).flatmap(_steps.__getitem__), min_size=20, max_size=50
)
_retentions = st.sampled_from(
    (
        Retention(),
        Retention(events=3),
        Retention(events=11, seconds=40),
        Retention(seconds=8),
        Retention(bytes=1200),
        Retention(events=7, bytes=3000, seconds=700),
    )
)


# The two


class Pair:
    """Both logs; the memory log says what is right."""

    def __init__(self, redis: Redis, retention: Retention) -> None:
        self.clock = FakeClock()
        self.memory = MemoryLog(retention, clock=self.clock)
        name = secrets.token_hex(8)
        # Two that share one log are one log.
        self.shared = [
            RedisLog(connector(redis.url), retention, name=name, clock=self.clock) for _ in range(2)
        ]
        self.turn = 0
        self.epochs: dict[str, str] = {}
        self.given: list[Position] = []

    async def play(self, steps: list[Step]) -> None:
        await self.shared[0].begin()
        for log, epoch in ((self.memory, "ours"), (self.shared[0], "ours")):
            origin = (await log.read(Edge.EARLIEST, limit=0)).start
            self.epochs[origin.epoch] = epoch
            self.given = [origin]
        try:
            for step in steps:
                await self.take(step)
        finally:
            for shared in self.shared:
                await shared.close()

    @property
    def redis(self) -> RedisLog:
        """Now the one and now the other."""
        self.turn += 1
        return self.shared[self.turn % 2]

    async def take(self, step: Step) -> None:
        match step:
            case Append():
                await self.append(step)
            case Advance(seconds):
                self.clock.advance(seconds)
            case Clear():
                # What is too old counts where it was not yet trimmed, and a read trims only one.
                await self.take(Measure())
                assert await self.redis.clear() == await self.memory.clear()
            case Measure():
                one, two = await self.redis.stats(), await self.memory.stats()
                assert (one.entries, one.bytes) == (two.entries, two.bytes)
                assert self.plain(one.floor) == self.plain(two.floor)
                assert self.plain(one.head) == self.plain(two.head)
            case Read():
                await self.read(step)

    async def append(self, step: Append) -> None:
        events = [
            Event("notification", {"pad": "x" * pad}, target=TARGETS[index])
            for index, pad in step.batch
        ]
        # Under one digest there is always one body.
        key = step.key and IdempotencyKey(step.key[0], f"{step.key[1]}{len(events)}")
        try:
            expected = await self.memory.append(events, key=key)
        except IdempotencyConflict:
            with pytest.raises(IdempotencyConflict):
                await self.redis.append(events, key=key)
            return
        found = await self.redis.append(events, key=key)
        assert [self.plain(position) for position in found] == [
            self.plain(position) for position in expected
        ]
        self.given += found

    async def read(self, step: Read) -> None:
        for_redis = self.since(step.since, self.given[0].epoch)
        for_memory = self.since(step.since, (await self.memory.stats()).head.epoch)
        page = await self.redis.read(
            for_redis, limit=step.limit, max_bytes=step.max_bytes, newest=step.newest
        )
        expected = await self.memory.read(
            for_memory, limit=step.limit, max_bytes=step.max_bytes, newest=step.newest
        )
        lost = isinstance(step.since, Near) and not step.since.strange
        if lost and expected.gap is not None and expected.gap.reason == "epoch":
            # Where other nodes write as well, a position of the log's own epoch that it does not
            # hold was lost by a failover: it goes on where the two parted, not from the floor.
            assert page.gap is not None
            assert page.gap.reason == "epoch"
            assert page.gap.to == page.start
            assert page.start.offset >= expected.start.offset
            start = self.in_memory(page.start)
            expected = await self.memory.read(
                Cursor(start), limit=step.limit, max_bytes=step.max_bytes
            )
            assert expected.gap is None
            expected = expected._replace(gap=Gap(str(for_memory), start, "epoch"))
        assert self.plain_page(page) == self.plain_page(expected)
        assert page.more == expected.more
        self.given += [page.start, page.head]

    def in_memory(self, position: Position) -> Position:
        return replace(position, epoch=next(iter(self.epochs)))

    def since(self, since: Near | Time | Edge | int, epoch: str) -> Since:
        match since:
            case Near():
                at = self.given[since.index % len(self.given)]
                offset = max(0, at.offset + since.offset)
                return Cursor(
                    Position(at.ms + since.ms, offset, STRANGE if since.strange else epoch)
                )
            case Time():
                return self.given[since.index % len(self.given)].ms + since.ms
        return since

    # Without the names of the epochs, which cannot be foretold

    def plain(self, position: Position) -> Position:
        return replace(position, epoch=self.epochs.get(position.epoch, position.epoch))

    def plain_text(self, text: str) -> str:
        for name, plain in self.epochs.items():
            text = text.replace(name, plain)
        return text

    def plain_page(self, page: Page) -> Page:
        gap = page.gap and Gap(
            self.plain_text(page.gap.from_), self.plain(page.gap.to), page.gap.reason
        )
        return Page(
            self.plain(page.start),
            tuple(self.plain_entry(entry) for entry in page.entries),
            self.plain(page.head),
            gap,
        )

    def plain_entry(self, entry: Entry) -> Entry:
        return replace(entry, position=self.plain(entry.position), producer="", number=0)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # To explain a failure takes longer than to find it.
    phases=(Phase.generate, Phase.shrink),
)
@given(retention=_retentions, steps=_runs)
def test_it_answers_as_the_memory_log_does(
    redis: Redis, retention: Retention, steps: list[Step]
) -> None:
    asyncio.run(Pair(redis, retention).play(steps))
