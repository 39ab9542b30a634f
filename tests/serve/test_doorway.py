"""Who leaves, or says something, is noticed a few at a time; who does neither is not read from."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.waiting import until
from tidewire.serve.doorway import Doorway
from tidewire.serve.turnstile import AT_A_TIME

pytestmark = pytest.mark.both_loops


class Told(asyncio.Protocol):
    """What a connection's protocol is told, and in which step of the loop, by its log."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.log.append(data.decode())

    def eof_received(self) -> bool:
        self.log.append("end")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.log.append("lost")


@asynccontextmanager
async def connected(number: int, log: list[str]) -> AsyncIterator[list[tuple[Told, socket.socket]]]:
    """So many connections: who serves each, and its peer."""
    loop = asyncio.get_running_loop()
    made = []
    with socket.create_server(("127.0.0.1", 0), backlog=number) as listener:
        for _ in range(number):
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
            _, protocol = await loop.connect_accepted_socket(lambda: Told(log), ours)
            made.append((protocol, theirs))
    yield made
    for protocol, theirs in made:
        protocol.transport.abort()
        theirs.close()
    await asyncio.sleep(0)


def descriptor(protocol: Told) -> int:
    number: int = protocol.transport.get_extra_info("socket").fileno()
    return number


def epolls() -> int:
    """How many are open in this process."""
    found = 0
    for opened in Path("/proc/self/fd").iterdir():
        # The one by which they are listed is closed already.
        with suppress(FileNotFoundError):
            found += opened.readlink() == Path("anon_inode:[eventpoll]")
    return found


def watch(doorway: Doorway, protocol: Told) -> None:
    doorway.watch(descriptor(protocol), protocol.transport)


async def test_who_says_nothing_is_not_read_from_and_who_does_is_read_from_then() -> None:
    log: list[str] = []
    doorway = Doorway(asyncio.get_running_loop())
    async with connected(2, log) as [(one, silent), (other, talker)]:
        watch(doorway, one)
        watch(doorway, other)
        talker.send(b"hello")
        await until(lambda: log == ["hello"])
        assert other.transport.is_reading()
        assert not one.transport.is_reading()
        # From now on as any connection.
        talker.send(b"again")
        await until(lambda: log == ["hello", "again"])
        silent.shutdown(socket.SHUT_WR)
        await until(lambda: log[2:] == ["end"])


async def test_a_crowd_that_leaves_at_once_is_noticed_a_few_at_a_time() -> None:
    size = 20 * AT_A_TIME
    log: list[str] = []
    doorway = Doorway(asyncio.get_running_loop())
    async with connected(size, log) as made:
        for protocol, _ in made:
            watch(doorway, protocol)
        for _, theirs in made:
            theirs.shutdown(socket.SHUT_WR)
        seen, steps = 0, []
        while seen < size:
            await asyncio.sleep(0)
            steps.append(len(log) - seen)
            seen = len(log)
        # One step of ours may see the end of a step of the loop and the beginning of the next.
        assert max(steps) <= 2 * AT_A_TIME
        assert log == ["end"] * size


@pytest.mark.parametrize("resets", [False, True], ids=["closes", "resets"])
async def test_so_is_a_crowd_that_breaks_off(resets: bool) -> None:
    size = 10 * AT_A_TIME
    log: list[str] = []
    doorway = Doorway(asyncio.get_running_loop())
    async with connected(size, log) as made:
        for protocol, theirs in made:
            watch(doorway, protocol)
            if resets:
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for _, theirs in made:
            theirs.close()
        await until(lambda: len(log) == size)
        assert set(log) == {"lost" if resets else "end"}


async def test_one_that_was_lost_is_forgotten_and_its_number_free_for_another() -> None:
    log: list[str] = []
    doorway = Doorway(asyncio.get_running_loop())
    async with connected(1, log) as [(protocol, _)]:
        watch(doorway, protocol)
        number = descriptor(protocol)
        doorway.forget(number)
        protocol.transport.abort()
        await until(lambda: log == ["lost"])
        doorway.forget(number)
    log.clear()
    async with connected(1, log) as [(protocol, theirs)]:
        watch(doorway, protocol)
        theirs.send(b"hello")
        await until(lambda: log == ["hello"])


async def test_a_descriptor_that_another_process_still_holds_harms_nobody() -> None:
    log: list[str] = []
    doorway = Doorway(asyncio.get_running_loop())
    async with connected(3, log) as [(stays, _), (one, gone), (other, theirs)]:
        # With one that stays it is the same epoll.
        watch(doorway, stays)
        watch(doorway, one)
        number = descriptor(one)
        held = os.dup(number)
        doorway.forget(number)
        one.transport.abort()
        await until(lambda: log == ["lost"])
        # What the system reports of it now bears a number that may be another connection's.
        doorway._silent[number] = other.transport
        other.transport.pause_reading()
        gone.close()
        await until(other.transport.is_reading)
        theirs.send(b"hello")
        await until(lambda: log == ["lost", "hello"])
        os.close(held)


async def test_where_nobody_is_watched_nothing_is_left_open() -> None:
    log: list[str] = []
    doorway = Doorway(asyncio.get_running_loop())
    before = epolls()
    async with connected(2, log) as [(one, _), (other, talker)]:
        watch(doorway, one)
        watch(doorway, other)
        assert len(doorway) == 2
        assert epolls() == before + 1
        talker.send(b"hello")
        await until(lambda: log == ["hello"])
        doorway.forget(descriptor(one))
        assert len(doorway) == 0
        assert epolls() == before
