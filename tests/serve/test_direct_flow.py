"""A stream on its own transport, and a peer who reads slowly, by fits and starts, or not at all."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from tests.fakes import FakeClock, FakeJournal
from tests.http.server import Live, live, make_tidewire
from tests.serve.wire import Peer, dechunk, stream_on
from tests.waiting import until
from tidewire import Event
from tidewire.core.connections import Connection, ConnectionState
from tidewire.core.frame import NAMED
from tidewire.core.keeper import Keeper
from tidewire.core.reader import HIGH_WATER, ReaderState
from tidewire.serve import direct
from tidewire.serve.direct import DirectSink
from tidewire.serve.doorway import Doorway
from tidewire.serve.protocol import Protocol, tune
from tidewire.serve.turnstile import AT_A_TIME, Turnstile

pytestmark = pytest.mark.both_loops

TINY = 2048
"""A receive buffer that is full after two small events."""

FRAME_BYTES = 512
"""What a frame has around the data of an event, at most."""


def sink_of(connection: Connection) -> DirectSink:
    sink = connection.reader.sink
    assert isinstance(sink, DirectSink)
    return sink


def buffered(connection: Connection) -> int:
    size: int = sink_of(connection)._transport.get_write_buffer_size()
    return size


def on_its_way(connection: Connection) -> int:
    """Segments that were sent and are not acknowledged."""
    peer = sink_of(connection)._transport.get_extra_info("socket")
    told = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, direct._TCP_INFO.size)
    unacked: int = direct._TCP_INFO.unpack(told)[0]
    return unacked


async def keeper_of(server: Live) -> Keeper:
    return (await server.tidewire.start()).keeper


async def connection_of(server: Live, user: str) -> Connection:
    (found,) = (await keeper_of(server)).connections.of_user(user)
    return found


def payloads(stream: Peer) -> list[Any]:
    """The data of all events that came; the chunks are looked at strictly."""
    return [block.data for block in stream.answer.blocks if block.id and block.event == "news"]


async def publish_until_behind(server: Live, connection: Connection, data: str) -> int:
    """Publishes until a reader falls behind; returns how many that took."""
    heard = (await server.tidewire.start()).hub
    for number in count(1):
        await server.tidewire.publish(Event("news", data))
        await until(lambda number=number: heard.heard >= number)  # type: ignore[misc]
        if connection.reader.state is ReaderState.BEHIND:
            return number
    raise AssertionError


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    async with live(make_tidewire(), protocol=Protocol) as running:
        yield running


async def test_who_does_not_read_falls_behind_costs_little_and_delays_nobody(server: Live) -> None:
    async with (
        stream_on(server.url, "/api/sse?userId=sleeper", receive_buffer=TINY) as sleeper,
        stream_on(server.url, "/api/sse?userId=other") as other,
    ):
        connection = await connection_of(server, "sleeper")
        data = "x" * 1000
        published = await publish_until_behind(server, connection, data)
        assert not connection.reader.sink.room()
        assert HIGH_WATER < buffered(connection) <= 2 * HIGH_WATER + FRAME_BYTES
        at_rest = buffered(connection)
        for _ in range(20):
            await server.tidewire.publish([Event("news", data)] * 100)
        await server.tidewire.publish(Event("news", "end"))
        await other.until_data("end")
        wanted = [data] * (published + 2000) + ["end"]
        assert payloads(other) == wanted
        assert buffered(connection) == at_rest
        assert connection.reader.state is ReaderState.BEHIND
        await sleeper.until_data("end")
        assert payloads(sleeper) == wanted
        await until(lambda: connection.reader.state is ReaderState.LIVE)


@dataclass
class Reading:
    """A peer that reads sips or gulps, and now and then nothing for a while."""

    peer: Peer
    dice: random.Random
    ids: list[str] = field(default_factory=list)

    async def run(self, end: bytes) -> None:
        while b"\n\n" not in self.peer.received[-1000:].partition(end)[2]:
            match self.dice.randrange(20):
                case 0:
                    # Longer than what is published meanwhile, and not by the clock.
                    for _ in range(self.dice.randrange(200)):
                        await asyncio.sleep(0)
                case 1:
                    await self.peer.read(self.dice.randint(1, 20))
                case _:
                    await self.peer.read(self.dice.randint(1000, 200_000))


@pytest.mark.parametrize("seed", range(4))
async def test_peers_that_stop_at_random_get_everything_in_order_and_once(
    server: Live, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(
                stream_on(
                    server.url,
                    f"/api/sse?userId=u{number}",
                    receive_buffer=dice.choice([TINY, 8192, 65536]),
                    version=dice.choice(["1.0", "1.1"]),
                )
            )
            for number in range(6)
        ]
        readings = [
            asyncio.create_task(Reading(each, random.Random(seed + n)).run(b'"data":"end"'))  # noqa: S311
            for n, each in enumerate(peers)
        ]
        wanted: list[str] = []
        while sum(map(len, wanted)) < 3_000_000:
            sizes = [
                dice.choice([1, 100, 3000, 20_000, 200_000]) for _ in range(dice.randint(1, 6))
            ]
            batch = [
                f"{len(wanted) + n}:" + "x" * dice.randint(1, size) for n, size in enumerate(sizes)
            ]
            wanted += batch
            await server.tidewire.publish([Event("news", data) for data in batch])
            for _ in range(dice.randrange(10)):
                await asyncio.sleep(0)
        await server.tidewire.publish(Event("news", "end"))
        await asyncio.gather(*readings)
        for each in peers:
            assert payloads(each) == [*wanted, "end"]


# The sink alone


class Handed(asyncio.Protocol):
    """Whoever has the connection before the sink."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.is_paused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        tune(transport.get_extra_info("socket"))

    def pause_writing(self) -> None:
        self.is_paused = True


@asynccontextmanager
async def pair(family: socket.AddressFamily = socket.AF_INET) -> AsyncIterator[tuple[Handed, Peer]]:
    """A connection: who writes on it, and a peer that holds little."""
    loop = asyncio.get_running_loop()
    if family is socket.AF_INET:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.socket()
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY)
            theirs.connect(listener.getsockname())
            ours, _ = listener.accept()
    else:
        ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        if family is socket.AF_INET:
            transport, handed = await loop.connect_accepted_socket(Handed, ours)
        else:
            transport, handed = await loop.create_unix_connection(Handed, sock=ours)
        yield handed, Peer(theirs)
        if not transport.is_closing():
            transport.abort()
        await asyncio.sleep(0)


def take_over(handed: Handed, clock: FakeClock | None = None, **options: Any) -> DirectSink:
    loop = asyncio.get_running_loop()
    options = {
        "chunked": False,
        "ended": (),
        "paused": False,
        "turnstile": Turnstile(loop),
        "doorway": Doorway(loop),
        **options,
    }
    sink = DirectSink(handed.transport, NAMED, clock=clock or FakeClock(), **options)
    handed.transport.set_protocol(sink)
    return sink


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was to be written past the transport, and how much of it was."""
    made: list[tuple[int, int]] = []

    def write(descriptor: int, data: bytes) -> int:
        made.append((len(data), 0))
        sent = os.write(descriptor, data)
        made[-1] = (len(data), sent)
        return sent

    monkeypatch.setattr(direct, "write_now", write)
    return made


@pytest.mark.parametrize("seed", range(3))
async def test_what_goes_past_the_transport_and_what_goes_through_it_stay_in_order(
    seed: int, writes: list[tuple[int, int]]
) -> None:
    dice = random.Random(seed)  # noqa: S311
    async with pair() as (handed, peer):
        handed.transport.write(b"the beginning")
        sink = take_over(handed)
        given = bytearray(b"the beginning")
        refused = 0
        for _ in range(2000):
            data = dice.randbytes(dice.choice([1, 60, 1000, dice.randint(1, 256 * 1024)]))
            match dice.randrange(12):
                case 0:
                    data = data[:1000]
                    sink.write(data)
                    given += data
                case 1 | 2 | 3:
                    if sink.offer(data):
                        given += data
                    else:
                        refused += 1
                case 4:
                    await peer.read(dice.randint(1, 5)) if len(peer.received) < len(given) else None
                case _:
                    if len(peer.received) < len(given):
                        await peer.read(dice.choice([100, 4096, 200_000]))
        sink.close()
        await peer.to_the_end(200_000)
        assert peer.received == given
    assert refused
    assert any(sent == size for size, sent in writes)
    assert any(0 < sent < size for size, sent in writes)


async def test_a_stream_that_reads_along_goes_past_the_transport(
    writes: list[tuple[int, int]],
) -> None:
    async with pair() as (handed, peer):
        sink = take_over(handed)
        for number in range(10):
            assert sink.offer(b"%d;" % number)
            await peer.until(b"%d;" % number)
    assert writes == [(2, 2)] * 10


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_offered_to_many_at_once_is_what_each_would_have_taken(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(pair()) for _ in range(4)]
        peers = [peer for _, peer in pairs]
        sinks = [take_over(handed) for handed, _ in pairs]
        given = [bytearray() for _ in sinks]
        refusals = 0
        for _ in range(1500):
            data = dice.randbytes(dice.choice([1, 300, dice.randint(1, 64 * 1024)]))
            had_room = [sink.room() for sink in sinks]
            refused = sinks[0].offer_all(sinks, data)
            assert refused == [(n, None) for n, room in enumerate(had_room) if not room]
            refusals += len(refused)
            for number, room in enumerate(had_room):
                if room:
                    given[number] += data
            # The first never reads until the end; the others in their own time.
            for number in range(1, len(peers)):
                if dice.randrange(3) and len(peers[number].received) < len(given[number]):
                    await peers[number].read(dice.choice([100, 4096, 200_000]))
        assert refusals
        for sink, peer, expected in zip(sinks, peers, given, strict=True):
            sink.close()
            await peer.to_the_end(200_000)
            assert peer.received == expected


async def test_a_transport_that_fails_keeps_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing:
        def write(self, data: bytes) -> None:
            raise RuntimeError("broken")

        def get_write_buffer_size(self) -> int:
            return 1

    async with pair() as (handed, _), pair() as (other, peer):
        broken, sink = take_over(handed), take_over(other)
        monkeypatch.setattr(broken, "_transport", Failing())
        [(index, error)] = broken.offer_all([broken, sink], b"hello;")
        assert (index, str(error)) == (0, "broken")
        await peer.until(b"hello;")


async def test_of_a_crowd_that_a_write_finds_gone_each_ends_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(descriptor: int, data: bytes) -> int:
        raise BrokenPipeError

    turnstile = Turnstile(asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        handed = [(await stack.enter_async_context(pair()))[0] for _ in range(3 * AT_A_TIME)]
        sinks = [take_over(each, turnstile=turnstile) for each in handed]
        assert not DirectSink.offer_all(sinks, b"x")
        monkeypatch.setattr(direct, "write_now", broken)
        DirectSink.offer_all(sinks, b"y")
        assert not any(sink.room() for sink in sinks)
        assert sum(each.transport.is_closing() for each in handed) <= AT_A_TIME
        await until(lambda: all(each.transport.is_closing() for each in handed))


async def test_it_is_not_read_from_until_its_peer_goes_and_then_nobody_watches_over_it() -> None:
    doorway = Doorway(asyncio.get_running_loop())
    async with pair() as (stays, _), pair() as (handed, peer):
        sinks = [take_over(each, doorway=doorway) for each in (stays, handed)]
        assert not handed.transport.is_reading()
        peer.reset()
        await until(lambda: sinks[1]._gone)
        assert len(doorway) == 1
        sinks[0].abort()
        await until(lambda: sinks[0]._gone)
        assert len(doorway) == 0


async def test_one_who_is_gone_keeps_nothing_from_the_others() -> None:
    async with pair() as (gone, goner), pair() as (handed, peer):
        lost, sink = take_over(gone), take_over(handed)
        for _ in range(2):
            lost.offer_all([lost, sink], b"hello;")
            await peer.until(b"hello;")
        goner.reset()
        number = 0
        while not gone.transport.is_closing():
            number += 1
            lost.offer_all([lost, sink], b"%d;" % number)
            await peer.until(b"%d;" % number)
        assert lost.offer_all([lost, sink], b"end;") == [(0, None)]
        await peer.until(b"end;")


async def test_a_writer_that_is_paused_is_handed_over_as_paused() -> None:
    async with pair() as (handed, peer):
        given = 0
        while not handed.is_paused:
            handed.transport.write(b"x" * 1000)
            given += 1000
        clock = FakeClock()
        sink = take_over(handed, clock, paused=True)
        rooms: list[int] = []
        sink.on_room = lambda: rooms.append(len(peer.received))
        assert not sink.room()
        assert not sink.offer(b"y")
        # How much it has taken before, nobody knows.
        since = clock.monotonic()
        assert sink.blocked_since() is None
        clock.advance(1)
        assert sink.blocked_since() == since
        while not rooms:
            await peer.read(4096)
        assert sink.room()
        assert sink.offer(b"y")
        while len(peer.received) < given + 1:
            await peer.read()
        assert peer.received == b"x" * given + b"y"


async def test_nothing_is_written_after_the_end() -> None:
    async with pair() as (handed, peer):
        ends: list[str] = []
        sink = take_over(handed, chunked=True, ended=[lambda: ends.append("made with it")])
        sink.on_end(lambda: ends.append("added"))
        sink.write(b"goodbye")
        sink.close()
        sink.close()
        sink.write(b"more")
        assert not sink.offer(b"more")
        assert not sink.room()
        await peer.to_the_end()
        assert peer.received == b"goodbye0\r\n\r\n"
        await until(lambda: len(ends) == 2)
        sink.abort()
        assert not sink.offer(b"more")
        sink.on_end(lambda: ends.append("late"))
        assert ends == ["made with it", "added", "late"]


async def test_what_is_asked_of_it_between_the_end_and_the_turn_to_tell_it_is_harmless() -> None:
    turnstile = Turnstile(asyncio.get_running_loop())
    async with pair() as (handed, peer):
        ends: list[str] = []
        sink = take_over(handed, turnstile=turnstile, ended=[lambda: ends.append("told")])
        while sink.offer(b"x" * 1000):
            pass
        sink.close()
        # It closes once this has left, and asyncio's transports forget that they did.
        reading = asyncio.create_task(peer.to_the_end())
        while not sink._gone:
            for _ in range(2 * AT_A_TIME):
                turnstile.enter(lambda: None)
            await asyncio.sleep(0)
        assert not ends
        assert sink.blocked_since() is None
        sink.abort()
        assert not sink.offer(b"more")
        await until(lambda: ends == ["told"])
        await reading


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["TCP", "Unix"])
async def test_a_peer_is_blocked_from_when_it_last_took_something(
    family: socket.AddressFamily,
) -> None:
    clock = FakeClock()
    async with pair(family) as (handed, peer):
        sink = take_over(handed, clock)
        given = 0
        while sink.offer(b"x" * 1000):
            given += 1000
        since = clock.monotonic()
        clock.advance(10)
        # The first look sees how much it has taken, the second that it was no more.
        sink.blocked_since()
        clock.advance(10)
        first = sink.blocked_since()
        assert first in (since, since + 10)
        clock.advance(10)
        assert sink.blocked_since() == first
        before = sink._progress()[1]
        while sink._progress()[1] == before:
            await peer.read(4096)
        assert sink.blocked_since() is None
        clock.advance(10)
        while len(peer.received) < given:
            await peer.read()
        await until(lambda: not sink._progress()[0])
        assert sink.blocked_since() is None
        clock.advance(10)
        assert sink.blocked_since() is None


# The keeper's eyes


@dataclass
class Timed:
    """A server whose time the test moves."""

    server: Live
    clock: FakeClock
    journal: FakeJournal
    keeper: Keeper

    async def sweep(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(31)
            self.keeper.tick()
            # What was cut off is gone before the next look.
            for _ in range(3):
                await asyncio.sleep(0)


@pytest.fixture
async def timed() -> AsyncIterator[Timed]:
    clock, journal = FakeClock(), FakeJournal()
    tidewire = make_tidewire(clock=clock, journal=journal)
    async with live(tidewire, protocol=Protocol) as server:
        yield Timed(server, clock, journal, await keeper_of(server))


STALE = "a stale stream was closed"


async def gone(timed: Timed, stream: Peer) -> None:
    """Checks that a stream was cut off, and that this can be seen."""
    assert timed.journal.notes.count(STALE) == 1
    await until(lambda: len(timed.keeper.connections) == 0)
    with suppress(ConnectionResetError):
        await stream.to_the_end()


async def test_a_peer_that_has_stopped_reading_is_stale_and_then_cut_off(timed: Timed) -> None:
    async with stream_on(timed.server.url, receive_buffer=TINY) as stream:
        connection = await connection_of(timed.server, "alice")
        await publish_until_behind(timed.server, connection, "x" * 1000)
        await timed.sweep()
        assert connection.state is not ConnectionState.DISCONNECTING
        await timed.sweep()
        await timed.sweep()
        assert timed.keeper.connections.states()["stale"] in (0, 1)
        await timed.sweep()
        await gone(timed, stream)
    assert not dechunk(stream.answer.rest).ended


async def test_so_is_one_who_has_stopped_with_so_little_that_the_system_holds_it_all(
    timed: Timed,
) -> None:
    async with stream_on(timed.server.url, receive_buffer=TINY) as stream:
        connection = await connection_of(timed.server, "alice")
        for _ in range(8):
            await timed.server.tidewire.publish(Event("news", "x" * 1000))
        hub = (await timed.server.tidewire.start()).hub
        await until(lambda: hub.heard == 8)
        assert connection.reader.state is ReaderState.LIVE
        assert buffered(connection) == 0
        # What was refused goes back to what was never sent: nothing is on its way.
        await until(lambda: on_its_way(connection) == 0)
        await timed.sweep(4)
        await gone(timed, stream)
    # There was room for the goodbye, for who wakes up and reads on.
    assert stream.answer.blocks[-1].data["reason"] == "stale"


async def test_a_peer_that_reads_slowly_but_steadily_is_never_stale(timed: Timed) -> None:
    async with stream_on(timed.server.url, receive_buffer=TINY) as stream:
        connection = await connection_of(timed.server, "alice")
        await publish_until_behind(timed.server, connection, "x" * 1000)
        await timed.server.tidewire.publish([Event("news", "y" * 1000)] * 200)
        sink = sink_of(connection)
        for _ in range(15):
            before = sink._progress()[1]
            while sink._progress()[1] == before:
                await stream.read(1000)
            await timed.sweep()
            assert connection.state in (ConnectionState.CONNECTED, ConnectionState.IDLE)
            assert connection.reader.state is ReaderState.BEHIND
    assert STALE not in timed.journal.notes


async def test_a_quiet_stream_that_takes_its_pings_is_never_stale(timed: Timed) -> None:
    async with stream_on(timed.server.url) as stream:
        connection = await connection_of(timed.server, "alice")
        sink = sink_of(connection)
        for number in range(10):
            await until(lambda: not sink._progress()[0])
            await timed.sweep()
            assert connection.state in (ConnectionState.CONNECTED, ConnectionState.IDLE)
            await stream.until(b'"sequence":%d' % (number + 1))
    assert connection.state is not ConnectionState.STALE
    assert STALE not in timed.journal.notes
