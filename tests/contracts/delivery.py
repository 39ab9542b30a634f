"""What every reader gets, over random interleavings of all that can happen to it.

A run is drawn as plain data, then played against the real hub and keeper on a log from a
factory, beside a model that knows only the published events, the retention rules and who is
who. Everything that is written to a stream or answered to a poll is checked as it comes:

- the next event is the next one that the reader's identity may see after its cursor;
- a gap comes if and only if the model's floor passed that cursor, or the epoch changed, with
  the model's own bounds;
- whoever is live has everything.

Most steps are followed by settling, so that the model knows exactly what was owed. Where some
are not, what comes is still checked, only the moment of a gap is free within these steps.
"""

import asyncio
import json
import re
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.log import MakeLog
from tests.fakes import FakeClock, FakeJournal, FakeSink
from tidewire.core import notices
from tidewire.core.connections import Connection
from tidewire.core.control import LocalBus
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.keeper import Keeper, Phase
from tidewire.core.log import Clearable, EventLog, Gap, Page, Recalling
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.core.reader import HIGH_WATER, Reader, ReaderState
from tidewire.core.target import Identity
from tidewire.logs import Retention
from tidewire.transports.asgi import Message
from tidewire.transports.filters import Filter
from tidewire.transports.polling import PollAnswer, PollRequest, poll

PATIENCE: Final = 10.0
"""Seconds within which everything must have settled."""

# What a run is made of


@dataclass(frozen=True)
class Publish:
    """Appends a batch; each event names a target, a type and how large it is."""

    batch: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class Connect:
    """Opens a stream: from the cursor where there is one, else from an edge, or from now."""

    client: int
    start: Edge | None
    forgets: bool = False
    """Comes as somebody new, without a cursor."""


@dataclass(frozen=True)
class Leave:
    client: int


@dataclass(frozen=True)
class Poll:
    client: int
    limit: int


@dataclass(frozen=True)
class Switch:
    """From a stream to a poll and back to a stream, with the one cursor."""

    client: int
    limit: int


@dataclass(frozen=True)
class Hold:
    """A long poll, which stays until there is something to see."""

    client: int
    limit: int


@dataclass(frozen=True)
class StopReading:
    client: int


@dataclass(frozen=True)
class ReadOn:
    client: int


@dataclass(frozen=True)
class Sip:
    """Takes what waits, and stops again."""

    client: int


@dataclass(frozen=True)
class Become:
    client: int
    variant: int


@dataclass(frozen=True)
class Advance:
    seconds: float


@dataclass(frozen=True)
class JumpBack:
    ms: int


@dataclass(frozen=True)
class Ping:
    pass


@dataclass(frozen=True)
class Lag:
    """The hub hears nothing during the next steps."""

    steps: int


@dataclass(frozen=True)
class Clear:
    pass


@dataclass(frozen=True)
class BeginAnew:
    """The node starts again on a new log."""


Step: TypeAlias = (
    Publish
    | Connect
    | Leave
    | Poll
    | Switch
    | Hold
    | StopReading
    | ReadOn
    | Sip
    | Become
    | Advance
    | JumpBack
    | Ping
    | Lag
    | Clear
    | BeginAnew
)


@dataclass(frozen=True)
class Run:
    retention: Retention
    steps: tuple[tuple[Step, bool], ...]
    """Each step, and whether everything settles after it."""
    slow: frozenset[int]
    """The clients that take something only when they are told to."""


@dataclass(frozen=True)
class Who:
    """An identity, as the model knows it: with the topics that are subscribed."""

    user: str
    roles: frozenset[str]
    topics: frozenset[str]


CLIENTS: Final = ("ann", "ann", "bob", "cid")
VARIANTS: Final = (
    (frozenset[str](), frozenset[str]()),
    (frozenset({"A"}), frozenset({"x"})),
    (frozenset({"B"}), frozenset({"x", "y"})),
    (frozenset({"A", "B"}), frozenset({"y"})),
)
TYPES: Final = (frozenset[str](), frozenset({"notification"}), frozenset[str](), frozenset({"own"}))
TARGETS: Final[tuple[dict[str, list[str]], ...]] = (
    {},
    {},
    {"userIds": ["ann"]},
    {"userIds": ["bob", "cid"]},
    {"roles": ["A"]},
    {"roles": ["A", "B"], "userIds": ["cid"]},
    {"topics": ["x"]},
    {"topics": ["y"]},
    {"topics": ["x", "y"], "roles": ["B"]},
    {"userIds": ["nobody"]},
)

_clients = st.integers(0, len(CLIENTS) - 1)
_specs = st.tuples(
    st.integers(0, len(TARGETS) - 1),
    st.sampled_from(("notification", "own")),
    st.sampled_from((0, 900, 9_000, 18_000)),
)
_publishes = st.one_of(
    st.lists(_specs, min_size=1, max_size=1), st.lists(_specs, min_size=1, max_size=12)
).map(lambda batch: Publish(tuple(batch)))
_bursts = st.lists(_specs, min_size=6, max_size=12).map(lambda batch: Publish(tuple(batch)))
_connects = st.builds(
    Connect,
    _clients,
    st.sampled_from((Edge.LATEST, Edge.EARLIEST, None)),
    st.sampled_from((False, False, False, True)),
)
_CALM: Final[tuple[st.SearchStrategy[Step], ...]] = (
    *[_publishes] * 6,
    _connects,
    _connects,
    st.builds(Leave, _clients),
    st.builds(Poll, _clients, st.integers(1, 8)),
    st.builds(Switch, _clients, st.integers(1, 8)),
    st.builds(Hold, _clients, st.integers(1, 8)),
    st.builds(StopReading, _clients),
    st.builds(StopReading, _clients),
    st.builds(StopReading, _clients),
    st.builds(Sip, _clients),
    st.builds(Sip, _clients),
    st.builds(ReadOn, _clients),
    *[st.builds(Become, _clients, st.integers(0, len(VARIANTS) - 1))] * 2,
    st.builds(Advance, st.sampled_from((0.001, 1, 60))),
    st.builds(JumpBack, st.integers(1, 100_000)),
    st.just(Ping()),
    st.builds(Lag, st.integers(1, 8)),
)
_ROUGH: Final[tuple[st.SearchStrategy[Step], ...]] = (
    *_CALM,
    *[st.builds(Advance, st.sampled_from((200, 400, 4_000)))] * 2,
    *[_bursts] * 3,
    st.just(Clear()),
    st.just(BeginAnew()),
)
_WIDE: Final = (Retention(), Retention(events=400, seconds=3600), Retention(bytes=4_000_000))
_TIGHT: Final = (Retention(events=5), Retention(seconds=300), Retention(bytes=40_000))


def _one_of(kinds: tuple[st.SearchStrategy[Step], ...]) -> st.SearchStrategy[Step]:
    """One of these, each as often as it stands there; `st.one_of` counts repeats once."""
    return st.integers(0, len(kinds) - 1).flatmap(kinds.__getitem__)


@st.composite
def runs(draw: st.DrawFn, *, rough: bool) -> Run:
    """A calm run is on a log wide enough; a rough one has it trimmed, cleared, replaced."""
    steps = draw(
        st.lists(
            st.tuples(_one_of(_ROUGH if rough else _CALM), st.integers(0, 4).map(bool)),
            min_size=20,
            max_size=60,
        )
    )
    retention = draw(st.sampled_from(_TIGHT if rough else _WIDE))
    return Run(retention, tuple(steps), draw(st.frozensets(_clients, max_size=2)))


# The model


@dataclass(frozen=True)
class Published:
    """An event, as the model remembers it: for ever, also when the log trimmed it."""

    position: Position
    type: str
    target: dict[str, list[str]]
    number: int
    size: int

    def visible(self, who: Who, types: frozenset[str]) -> bool:
        """The rule of the wire contract, in its own words."""
        if types and self.type not in types:
            return False
        return (
            not self.target
            or who.user in self.target.get("userIds", ())
            or any(role in who.roles for role in self.target.get("roles", ()))
            or any(topic in who.topics for topic in self.target.get("topics", ()))
        )


class ModelLog:
    """Where the head and the floor of a log must be, by the retention rules alone."""

    def __init__(self, retention: Retention, clock: FakeClock, birth: Position) -> None:
        self.retention = retention
        self.clock = clock
        self.birth = self.floor = self.head = birth
        self.all: list[Published] = []
        self.kept: deque[Published] = deque()
        self.floors = [birth]
        """Where the floor was since everything was settled."""

    def append(self, events: list[tuple[Event, dict[str, list[str]], int]]) -> list[Position]:
        ms = max(self.head.ms, self.clock.now())
        for event, target, number in events:
            self.head = Position(ms, self.head.offset + 1, self.head.epoch)
            published = Published(self.head, event.type, target, number, event.size)
            self.all.append(published)
            self.kept.append(published)
        self.trim()
        return [published.position for published in self.all[-len(events) :]]

    def trim(self) -> None:
        oldest = self.clock.now() - self.retention.seconds * 1000
        while self.kept and (
            len(self.kept) > self.retention.events
            or sum(published.size for published in self.kept) > self.retention.bytes
            or self.kept[0].position.ms < oldest
        ):
            self.floor = self.kept.popleft().position
        self.floors.append(self.floor)

    def clear(self) -> None:
        self.kept.clear()
        self.floor = self.head
        self.floors.append(self.floor)

    def at(self, offset: int) -> Position:
        return self.all[offset - 1].position if offset else self.birth

    def missed(self, cursor: Position) -> Gap | None:
        """The gap that a cursor must be told of."""
        if cursor.epoch != self.floor.epoch:
            return Gap(str(cursor), self.floor, "epoch")
        if cursor.offset < self.floor.offset:
            return Gap(str(cursor), self.floor, "expired")
        return None


# Reading what was written


@dataclass(frozen=True)
class Block:
    event: str
    data: dict[str, Any]
    id: str | None


_BLOCK: Final = re.compile(
    r"event: ([^\n]+)\ndata: ([^\n]+)(?:\nretry: [0-9]+)?(?:\nid: ([^\n]+))?\n\n"
)


def blocks(data: bytes) -> Iterator[Block]:
    """Reads SSE as strictly as we write it; whatever is left over is an error."""
    text = data.decode()
    at = 0
    while at < len(text):
        match = _BLOCK.match(text, at)
        assert match is not None, f"not an SSE block: {text[at : at + 80]!r}"
        yield Block(match[1], json.loads(match[2]), match[3])
        at = match.end()


def last_id(data: bytes) -> Position | None:
    ids = re.findall(rb"\nid: ([^\n]+)\n\n", data)
    return Position.parse(ids[-1].decode()) if ids else None


# The players


@dataclass
class Stream:
    """An open stream and what was verified of it."""

    sink: FakeSink
    connection: Connection
    reached: Position
    """Where the reader stood when everything was last settled."""
    seen: Position
    """Everything written up to here was verified."""
    topics: frozenset[str]
    """What it subscribed to when it opened."""
    judged: list[tuple[int, Who]]
    """From which offset on (exclusive) the reader is whom."""
    parsed: int = 0
    gaps: int = 0
    """Written since everything was last settled."""
    fell_behind: bool = False

    @property
    def reader(self) -> Reader:
        return self.connection.reader

    def who(self, offset: int) -> Who:
        return next(who for after, who in reversed(self.judged) if offset > after)


@dataclass
class Held:
    """A poll that waits."""

    task: asyncio.Task[PollAnswer]
    gone: asyncio.Event
    since: Position
    limit: int
    who: Who


@dataclass
class Client:
    user: str
    types: frozenset[str]
    slow: bool
    variant: int = 1
    cursor: Position | None = None
    """What it would come back with: the last id that it took."""
    stream: Stream | None = None
    held: Held | None = None
    polled: bool = False

    @property
    def identity(self) -> Identity:
        roles, topics = VARIANTS[self.variant]
        return Identity(self.user, roles, topics=topics)

    @property
    def topics(self) -> frozenset[str]:
        """Subscribes to all that is granted when it comes."""
        return VARIANTS[self.variant][1]

    @property
    def who(self) -> Who:
        roles, topics = VARIANTS[self.variant]
        return Who(self.user, roles, topics)


@dataclass
class Tally:
    """What happened over all runs."""

    runs: int = 0
    without_gap: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    def add(self, happened: Counter[str]) -> None:
        self.runs += 1
        self.without_gap += not any(name.startswith("gap") for name in happened)
        self.happened += happened

    def check(self) -> None:
        """At least 80 % of the runs have no gap, and nothing of what is to be shown is absent."""
        assert self.runs >= 100
        assert self.without_gap * 5 >= self.runs * 4, f"{self.without_gap} of {self.runs}"
        for name in (
            "event over SSE",
            "event by poll",
            "event by held poll",
            "gap expired",
            "gap epoch",
            "caught up after falling behind",
            "resumed",
            "SSE after a poll",
            "poll after SSE",
            "another identity, live",
            "another identity, behind",
            "ping",
        ):
            assert self.happened[name] >= 5, f"{name}: {self.happened[name]} times"


class LaggingLog:
    """A log whose follower hears nothing while the gate is shut."""

    def __init__(self, log: EventLog) -> None:
        self.name = log.name
        self.append = log.append
        self.read = log.read
        self.close = log.close
        if isinstance(log, Recalling):
            self.recall = log.recall
        self.log = log
        self.gate = asyncio.Event()
        self.gate.set()

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        while True:
            async with aclosing(self.log.follow(after)) as pages:
                if await anext(pages, None) is None:
                    return
            await self.gate.wait()
            page = await self.log.read(Cursor(after))
            after = page.end
            yield page


class World:
    """One run as it is played."""

    log: LaggingLog
    hub: Hub
    keeper: Keeper
    model: ModelLog

    def __init__(self, make_log: MakeLog, run: Run) -> None:
        self.make_log = make_log
        self.run = run
        self.clock = FakeClock()
        self.clients = [
            Client(user, TYPES[index], index in run.slow) for index, user in enumerate(CLIENTS)
        ]
        self.number = 0
        self.unsettled = 0
        self.settled_head = 0
        self.lag = 0
        self.happened: Counter[str] = Counter()

    async def play(self) -> Counter[str]:
        await self.start()
        for client in self.clients:
            await self.connect(client, Edge.LATEST)
        for step, settles in self.run.steps:
            await self.take(step)
            self.model.trim()
            self.unsettled += 1
            self.verify_all()
            self.lag -= 1
            if self.lag > 0:
                # Who catches up meanwhile does so while the hub stands still.
                for _ in range(8):
                    await asyncio.sleep(0)
            elif settles:
                await self.settle()
        # Whoever was slow or away comes back and gets the rest.
        for index in range(len(self.clients)):
            for step in (ReadOn(index), Connect(index, Edge.EARLIEST)):
                await self.take(step)
                self.unsettled += 1
                await self.settle()
        await self.stop()
        return self.happened

    async def start(self) -> None:
        log = await self.make_log(self.run.retention, self.clock)
        self.log = LaggingLog(log)
        # Only its name cannot be foretold.
        epoch = (await log.read(Edge.LATEST, limit=0)).head.epoch
        self.model = ModelLog(self.run.retention, self.clock, Position(self.clock.now(), 0, epoch))
        journal = FakeJournal()
        self.hub = Hub(self.log, clock=self.clock, journal=journal)
        await self.hub.start()
        self.keeper = Keeper(self.hub, LocalBus(), clock=self.clock, journal=journal)
        # Opened without its ticks, which come by the real clock.
        self.keeper.phase = Phase.OPEN
        self.journal = journal
        self.settled_head = 0

    async def stop(self) -> None:
        for client in self.clients:
            await self.leave(client)
        await self.hub.stop()
        await self.log.close()
        assert self.journal.notes == []
        assert len(self.keeper.connections) == 0
        assert self.hub.live == 0

    # Steps

    async def take(self, step: Step) -> None:
        match step:
            case Publish(batch):
                await self.publish(batch)
            case Connect(index, start, forgets):
                client = self.clients[index]
                await self.leave(client)
                if forgets:
                    client.cursor = None
                await self.connect(client, start)
            case Leave(index):
                await self.leave(self.clients[index])
            case Poll(index, limit):
                await self.poll(self.clients[index], limit)
            case Switch(index, limit):
                await self.poll(self.clients[index], limit)
                await self.connect(self.clients[index], None)
            case Hold(index, limit):
                await self.hold(self.clients[index], limit)
            case StopReading(index):
                if stream := self.clients[index].stream:
                    stream.sink.stop_reading()
            case ReadOn(index):
                if stream := self.clients[index].stream:
                    stream.sink.read_on()
            case Sip(index):
                if stream := self.clients[index].stream:
                    stream.sink.read_on()
                    stream.sink.stop_reading()
            case Become(index, variant):
                self.become(self.clients[index], variant)
            case Advance(seconds):
                self.clock.advance(seconds)
            case JumpBack(ms):
                self.clock.jump(-ms)
            case Ping():
                self.keeper.ping()
            case Lag(steps):
                self.lag = steps + 1
                self.log.gate.clear()
            case Clear():
                if isinstance(self.log.log, Clearable):
                    await self.log.log.clear()
                    self.model.clear()
            case BeginAnew():
                await self.stop()
                await self.start()

    async def publish(self, batch: tuple[tuple[int, str, int], ...]) -> None:
        made = []
        for target_index, type_, pad in batch:
            self.number += 1
            target = TARGETS[target_index]
            data = {"number": self.number, "pad": "x" * pad}
            made.append((Event(type_, data, metadata=target), target, self.number))
        positions = await self.hub.publish([event for event, _, _ in made])
        assert positions == self.model.append(made)

    async def connect(self, client: Client, start: Edge | None) -> None:
        since: Since
        if client.cursor is not None:
            since = Cursor(client.cursor)
            gap = self.model.missed(client.cursor)
            expected = gap.to if gap else client.cursor
        elif start is Edge.EARLIEST:
            since, gap, expected = start, None, self.model.floor
        elif start is Edge.LATEST:
            since, gap = start, None
            expected = self.model.at(max(self.settled_head, self.hub.position.offset))
        else:
            since = self.clock.now()
            later = [p for p in self.model.all if p.position.ms >= since]
            expected = self.model.at(later[0].position.offset - 1) if later else self.model.head
            gap = None
            if expected.offset < self.model.floor.offset:
                expected = self.model.floor
                gap = Gap(str(since), expected, "expired")
        place = await self.hub.locate(since)
        start_at = place.cursor.position
        assert (place.cursor, place.gap) == (Cursor(expected), gap)
        now = self.clock.now()
        sink = FakeSink()
        cursor = None if place.gap else str(place.cursor)
        sink.write(sink.encoding.control(notices.connected({}, cursor=cursor, now=now)))
        if place.gap is not None:
            sink.write(sink.encoding.control(notices.gap(place.gap, cursor=place.cursor, now=now)))
            self.happened[f"gap {place.gap.reason}"] += 1
        elif client.cursor is not None:
            self.happened["resumed"] += 1
        self.happened["SSE after a poll"] += client.polled
        client.polled = False
        reader = Reader(
            client.identity, sink, place.cursor, types=client.types, topics=client.topics
        )
        connection = Connection(reader, "sse", connected_at=now, opened=self.clock.monotonic())
        if client.slow:
            sink.stop_reading()
        # What it has missed may be written in the very step that opens it.
        opening = len(sink.taken)
        self.keeper.admit(connection)
        self.keeper.opened(connection)
        client.stream = Stream(
            sink,
            connection,
            reached=start_at,
            seen=start_at,
            topics=client.topics,
            judged=[(-1, client.who)],
            parsed=opening,
        )
        client.cursor = start_at

    async def leave(self, client: Client) -> None:
        """Goes away as a client does: what it did not take is lost to it."""
        if (stream := client.stream) is not None:
            self.verify(client, stream)
            client.cursor = last_id(stream.sink.taken) or client.cursor
            self.keeper.release(stream.connection)
            client.stream = None
        if (held := client.held) is not None:
            held.gone.set()
            answer = await asyncio.wait_for(held.task, PATIENCE)
            self.verify_held(client, held, answer)

    async def poll(self, client: Client, limit: int) -> None:
        self.happened["poll after SSE"] += client.stream is not None
        await self.leave(client)
        since = client.cursor or self.model.floor
        self.model.trim()
        answer = await poll(self.keeper, client.identity, self.request(client, since, limit), never)
        self.verify_answer(client, answer, since, limit)

    def verify_answer(
        self, client: Client, answer: PollAnswer, since: Position, limit: int
    ) -> None:
        """Whether an answer given just now is exactly what is owed."""
        gap = self.model.missed(since)
        assert answer.gap == gap
        start = gap.to if gap else since
        visible = self.visible_after(start, client.who, client.types)
        assert [entry.position for entry in answer.entries] == [
            published.position for published in visible[:limit]
        ]
        if len(visible) > limit:
            assert answer.more
            assert visible[limit - 1].position.offset <= answer.cursor.position.offset
            assert answer.cursor.position.offset < visible[limit].position.offset
        else:
            assert not answer.more
            assert answer.cursor == Cursor(self.model.head)
        assert answer.cursor == Cursor(self.model.at(answer.cursor.position.offset))
        client.cursor = answer.cursor.position
        client.polled = True
        self.happened["event by poll"] += len(answer.entries)
        if gap:
            self.happened[f"gap {gap.reason}"] += 1

    async def hold(self, client: Client, limit: int) -> None:
        await self.leave(client)
        since = client.cursor or self.model.floor
        if self.model.missed(since) or self.visible_after(since, client.who, client.types):
            # There is something to see, so nothing is held.
            await self.poll(client, limit)
            return
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        request = self.request(client, since, limit, wait=3600)
        task = asyncio.create_task(poll(self.keeper, client.identity, request, receive))
        client.held = Held(task, gone, since, limit, client.who)

    def request(self, client: Client, since: Position, limit: int, wait: float = 0) -> PollRequest:
        return PollRequest(Cursor(since), limit, wait, filter=Filter(client.types, client.topics))

    def become(self, client: Client, variant: int) -> None:
        """Another identity of the same user; a held poll keeps the one it was asked with."""
        if client.held is not None:
            return
        client.variant = variant
        stream = client.stream
        if stream is None:
            return
        self.verify(client, stream)
        live = stream.reader.state is ReaderState.LIVE
        self.happened[f"another identity, {'live' if live else 'behind'}"] += 1
        fence = self.hub.become(stream.reader, client.identity).position
        self.verify_nothing_between(client, stream, fence)
        # Nothing is subscribed anew: that is asked for when a stream opens.
        subscribed = stream.topics & client.identity.topics
        stream.judged.append((fence.offset, Who(client.user, client.identity.roles, subscribed)))

    # Settling

    async def settle(self) -> None:
        """Waits until there is nothing more to do, then checks what was owed."""
        self.log.gate.set()
        end = time.monotonic() + PATIENCE
        while not self.is_settled():
            assert time.monotonic() < end, "not everything that could be delivered was"
            await asyncio.sleep(0)
        self.verify_all()
        for client in self.clients:
            if (stream := client.stream) is not None:
                self.verify_settled(client, stream)
            if (held := client.held) is not None:
                await self.verify_waiting(client, held)
        self.model.floors = [self.model.floor]
        self.unsettled = 0
        self.settled_head = self.model.head.offset

    def is_settled(self) -> bool:
        if self.hub.position != self.model.head:
            return False
        for connection in self.keeper.connections:
            reader = connection.reader
            if reader.behind() and (reader.sink.room() or reader.catching_up):
                return False
            if connection.transport == "polling" and not reader.sink.room():
                return False
        waiting = [c.held for c in self.clients if c.held and not c.held.task.done()]
        polls = [c for c in self.keeper.connections if c.transport == "polling"]
        return len(waiting) == len(polls)

    # Verifying

    def visible_after(self, start: Position, who: Who, types: frozenset[str]) -> list[Published]:
        return [p for p in self.model.all[start.offset :] if p.visible(who, types)]

    def next_visible(self, client: Client, stream: Stream) -> Published | None:
        for published in self.model.all[stream.seen.offset :]:
            if published.visible(stream.who(published.position.offset), client.types):
                return published
        return None

    def verify_nothing_between(self, client: Client, stream: Stream, until: Position) -> None:
        """That a reader may be said to stand at a position, from what was written to it."""
        assert until == self.model.at(until.offset)
        assert until.offset >= stream.seen.offset
        following = self.next_visible(client, stream)
        assert following is None or following.position.offset > until.offset, (
            f"{following} was passed over before {until}"
        )

    def verify_all(self) -> None:
        for client in self.clients:
            if client.stream is not None:
                self.verify(client, client.stream)

    def verify(self, client: Client, stream: Stream) -> None:
        """Checks all that was written since the last look, taken by the peer or not."""
        written = stream.sink.taken + stream.sink.waiting
        for block in blocks(written[stream.parsed :]):
            self.verify_block(client, stream, block)
        stream.parsed = len(written)
        # However much passes a slow reader, little waits for it.
        assert len(stream.sink.waiting) < 4 * HIGH_WATER

    def verify_block(self, client: Client, stream: Stream, block: Block) -> None:
        assert block.id is not None
        position = Position.parse(block.id)
        data = block.data["data"]
        if block.event == "ping":
            self.verify_nothing_between(client, stream, position)
            self.happened["ping"] += 1
        elif block.event == "gap":
            from_ = Position.parse(data["from"])
            self.verify_nothing_between(client, stream, from_)
            assert data["reason"] == "expired"
            assert data["to"] == block.id
            assert from_.offset < position.offset
            assert position in self.model.floors
            if self.unsettled <= 1:
                assert from_ == stream.reached
                assert position == self.model.floor
            stream.gaps += 1
            self.happened["gap expired"] += 1
        else:
            expected = self.next_visible(client, stream)
            assert expected is not None, f"{block} is not for {client}"
            assert position == expected.position
            assert block.event == block.data["type"] == expected.type
            assert data["number"] == expected.number
            assert (block.data["id"], block.data["timestamp"]) == (block.id, position.ms)
            assert "userIds" not in json.dumps(block.data)
            self.happened["event over SSE"] += 1
        stream.seen = position

    def verify_settled(self, client: Client, stream: Stream) -> None:
        reached = self.hub.reached(stream.reader).position
        if stream.reader.state is ReaderState.LIVE:
            assert reached == self.model.head
            if stream.fell_behind:
                self.happened["caught up after falling behind"] += 1
        else:
            assert not stream.sink.room()
        stream.fell_behind = stream.reader.behind()
        self.verify_nothing_between(client, stream, reached)
        if self.unsettled <= 1:
            owed = self.model.missed(stream.reached) is not None
            if stream.gaps:
                assert owed
                assert stream.gaps == 1
            elif owed:
                # It is told when there is room; until then it stands where it stood.
                assert stream.reader.behind()
                assert reached == stream.reached
        stream.reached = reached
        stream.gaps = 0

    async def verify_waiting(self, client: Client, held: Held) -> None:
        """A poll is held as long as there is nothing to see, and no longer."""
        if self.visible_after(held.since, held.who, client.types):
            answer = await asyncio.wait_for(held.task, PATIENCE)
            self.verify_held(client, held, answer)
        elif held.task.done():
            self.verify_held(client, held, held.task.result())

    def verify_held(self, client: Client, held: Held, answer: PollAnswer) -> None:
        client.held = None
        start = held.since
        if answer.gap is not None:
            # A held poll stands where nothing had been left to see when it was asked.
            from_ = Position.parse(answer.gap.from_)
            assert not [
                p
                for p in self.visible_after(start, held.who, client.types)
                if p.position.offset <= from_.offset
            ]
            assert from_.offset < answer.gap.to.offset
            assert answer.gap.to in self.model.floors
            assert answer.gap.reason == "expired"
            start = answer.gap.to
            self.happened["gap expired"] += 1
        assert answer.cursor == Cursor(self.model.at(answer.cursor.position.offset))
        visible = [
            published.position
            for published in self.visible_after(start, held.who, client.types)
            if published.position.offset <= answer.cursor.position.offset
        ]
        assert [entry.position for entry in answer.entries] == visible
        assert len(visible) <= held.limit
        # Without an answer only to a client who went away.
        assert not answer.empty or held.gone.is_set()
        self.happened["event by held poll"] += len(visible)
        client.cursor = answer.cursor.position
        client.polled = True


async def never() -> Message:
    """A client who stays."""
    await asyncio.Event().wait()
    raise AssertionError


def deliveries(make_log: MakeLog, *, calm: int = 200, rough: int = 40) -> Tally:
    """Plays so many calm and rough runs on logs of this factory, always the same ones."""
    tally = Tally()

    def every_reader_gets_what_is_its_own(run: Run) -> None:
        tally.add(asyncio.run(World(make_log, run).play()))

    for examples, drawn in ((calm, runs(rough=False)), (rough, runs(rough=True))):
        play: Callable[[], None] = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(given(drawn)(every_reader_gets_what_is_its_own))
        play()
    return tally
