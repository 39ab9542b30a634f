"""A TCP proxy between a test's processes and what they talk to, which fails as networks do.

It runs in a thread of its own. What is asked of it is in effect when the call returns, for
connections that are open already too. Within a connection that goes on no byte is ever left out:
TCP does not do that. So what a black hole holds back comes late, when the hole is closed, and a
connection whose answers were thrown away or cut is reset.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeAlias, TypeVar

Value = TypeVar("Value")

CHUNK: Final = 65536
RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: on, no seconds."""

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


class Mode(Enum):
    """What the proxy does with what comes."""

    PASS = auto()
    REFUSE = auto()
    BLACK_HOLE = auto()
    NO_ANSWERS = auto()


@dataclass(slots=True)
class Cut:
    """Which answers are cut, and where.

    Attributes:
        request: only an answer to a request with these bytes in it.
        longer_than: only an answer of more bytes than this.
        keep: how much of it passes, of 1.
        left: how many are still to be cut.
    """

    request: bytes
    longer_than: int
    keep: float
    left: int


class Proxy:
    """The proxy. ``port`` is where it listens, ``target`` the port that it connects to."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target
        self.mode = Mode.PASS
        self.cut: Cut | None = None
        self.cuts = 0
        """Answers that were cut."""
        self.gate = asyncio.Event()
        """Open where bytes pass."""
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.pass_on()

    def end(self) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def pass_on(self) -> None:
        """Lets everything pass. What a black hole held back passes now, late; connections of
        which answers were thrown away are reset."""
        self._do(self._set, Mode.PASS)

    def refuse(self) -> None:
        """Resets all connections and takes no more."""
        self._do(self._set, Mode.REFUSE)

    def black_hole(self) -> None:
        """Takes connections and keeps those there are, and lets no byte pass either way."""
        self._do(self._set, Mode.BLACK_HOLE)

    def swallow_answers(self) -> None:
        """Lets requests pass, and no answer come back."""
        self._do(self._set, Mode.NO_ANSWERS)

    def cut_answers(
        self, *, request: bytes = b"", longer_than: int = 0, keep: float = 0.5, times: int = 1
    ) -> None:
        """Cuts the next answers that fit in the middle, and resets their connections.

        Args:
            request: only answers to requests with these bytes in them.
            longer_than: only answers of more bytes than this.
            keep: how much of the answer passes, of 1; with 0 the request has its effect and
                nobody is told.
            times: how many answers.
        """
        self._do(self._arm, Cut(request, longer_than, keep, times))

    def switch(self, target: int) -> None:
        """Connects to another port from now on; what is connected to the old one is reset."""
        self._do(self._switch, target)

    async def _set(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.REFUSE:
            await self._refuse()
            return
        if self._listener is None:
            # The first time any port; later the same, which others know.
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
            self._loop.add_reader(self._listener, self._take)
        if mode is Mode.BLACK_HOLE:
            self.gate.clear()
        else:
            self.gate.set()
        if mode is Mode.PASS:
            for connection in list(self._connections):
                if connection.lost_answers:
                    connection.reset()

    async def _refuse(self) -> None:
        if self._listener is not None:
            # By hand: a server of asyncio's leaves a connection open that it takes in the step in
            # which it is closed (python/cpython#109564).
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await asyncio.gather(*self._opening, return_exceptions=True)
        await self._reset_all()

    async def _arm(self, cut: Cut) -> None:
        self.cut = cut

    async def _switch(self, target: int) -> None:
        self.target = target
        await self._reset_all()

    async def _reset_all(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        await asyncio.gather(
            *(connection.task for connection in connections), return_exceptions=True
        )

    def _take(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            taken, _ = self._listener.accept()
            task = self._loop.create_task(self._serve(taken))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _serve(self, taken: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=taken)
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        connection.task.add_done_callback(lambda _: self._connections.discard(connection))

    def _do(self, what: Callable[[Value], Coroutine[Any, Any, None]], value: Value) -> None:
        asyncio.run_coroutine_threadsafe(what(value), self._loop).result(10)


class _Connection:
    """One connection of a client, and the one that it causes."""

    def __init__(self, proxy: Proxy, reader: Reader, writer: Writer) -> None:
        self.lost_answers = False
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._was_asked = False
        """Whether a request has passed whose answer is to be cut."""
        self._tail = b""
        self._is_over = False
        """Whether nothing more may be asked."""
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Carries bytes until both sides have ended, or one of them fails."""
        writers = [self._writer]
        try:
            # Where packets vanish, nobody learns whether somebody would have listened.
            await self._proxy.gate.wait()
            reader, writer = await self._open()
            writers.append(writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry_requests(writer))
                group.create_task(self._carry_answers(reader, writer))
        except* (OSError, _WasCut):
            _reset_at_close(self._writer)
        finally:
            for each in writers:
                each.transport.abort()
            for each in writers:
                with suppress(OSError):
                    await each.wait_closed()

    async def _open(self) -> tuple[Reader, Writer]:
        opening = asyncio.create_task(asyncio.open_connection("127.0.0.1", self._proxy.target))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A connection that is there in the very step in which it is not wanted any more.
            opening.add_done_callback(_abort_opened)
            raise

    def reset(self) -> None:
        _reset_at_close(self._writer)
        self.task.cancel()

    async def _carry_requests(self, target: Writer) -> None:
        while data := await self._reader.read(CHUNK):
            await self._proxy.gate.wait()
            self._look_at(data)
            if self._is_over:
                return
            target.write(data)
            await target.drain()
        await self._proxy.gate.wait()
        target.write_eof()

    async def _carry_answers(self, reader: Reader, target: Writer) -> None:
        while data := await reader.read(CHUNK):
            await self._proxy.gate.wait()
            if self._proxy.mode is Mode.NO_ANSWERS:
                self.lost_answers = True
                continue
            cut = self._proxy.cut
            if cut is not None and self._is_cut(cut, data):
                self._writer.write(data[: int(len(data) * cut.keep)])
                # What was asked has its effect: the other side hears an end, and no reset.
                self._is_over = True
                target.write_eof()
                _reset_at_close(self._writer)
                self._writer.transport.abort()
                while await reader.read(CHUNK):
                    pass
                raise _WasCut
            self._writer.write(data)
            await self._writer.drain()
        await self._proxy.gate.wait()
        self._writer.write_eof()

    def _look_at(self, request: bytes) -> None:
        cut = self._proxy.cut
        if cut is None:
            return
        seen = self._tail + request
        if cut.request in seen:
            self._was_asked = True
        # The bytes may be spread over two pieces.
        self._tail = seen[-len(cut.request) :] if cut.request else b""

    def _is_cut(self, cut: Cut, answer: bytes) -> bool:
        if (cut.request and not self._was_asked) or len(answer) <= cut.longer_than:
            return False
        cut.left -= 1
        if cut.left == 0:
            self._proxy.cut = None
        self._proxy.cuts += 1
        return True


def _abort_opened(opening: "asyncio.Task[tuple[Reader, Writer]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[1].transport.abort()


class _WasCut(Exception):
    """The connection is at its end, by our will."""


def _reset_at_close(writer: Writer) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)


@contextmanager
def tcp_proxy(target: int) -> Iterator[Proxy]:
    """A proxy in front of a port, which lets everything pass at first."""
    proxy = Proxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.end()
