"""Clients that look at an HTTP answer as it stands on the wire, and read only when told to."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.http.server import Block
from tests.waiting import PATIENCE

SIZE_LINE = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass(frozen=True)
class Answer:
    """The beginning of an answer, and what came after it."""

    status: int
    headers: dict[str, str]
    rest: bytes

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding") == "chunked"

    @property
    def body(self) -> bytes:
        """The body as far as it came."""
        return dechunk(self.rest).body if self.is_chunked else self.rest

    @property
    def blocks(self) -> list[Block]:
        """The whole blocks of a stream; what is cut off at the end is no block."""
        return [Block(raw) for raw in self.body.split(b"\n\n")[:-1]]


def answer_in(data: bytes) -> Answer:
    head, end, rest = bytes(data).partition(b"\r\n\r\n")
    assert end, data[:500]
    status, *lines = head.decode().split("\r\n")
    pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    assert len(dict(pairs)) == len(pairs), "a header came twice"
    match = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) .*", status)
    assert match is not None, status
    return Answer(int(match[1]), dict(pairs), rest)


@dataclass(frozen=True)
class Dechunked:
    """A body that came in chunks: whether its last chunk came, and what came after that."""

    body: bytes
    ended: bool
    rest: bytes = b""


def dechunk(data: bytes) -> Dechunked:
    """Takes chunks apart; whatever RFC 9112 section 7.1 does not know is an error."""
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        line = SIZE_LINE.match(data, at)
        if line is None:
            assert re.fullmatch(rb"[0-9a-f]*\r?", data[at:]), data[at : at + 100]
            break
        size, start = int(line[1], 16), line.end()
        end = data[start + size : start + size + 2]
        assert b"\r\n".startswith(end), f"no end of a chunk: {data[at : at + 100]!r}"
        if size == 0 and end == b"\r\n":
            return Dechunked(b"".join(parts), ended=True, rest=data[start + 2 :])
        parts.append(data[start : start + size])
        at = start + size + 2
    return Dechunked(b"".join(parts), ended=False)


class Received:
    """A connection that is read by hand; ``received`` holds every byte that came."""

    def __init__(self) -> None:
        self.received = bytearray()

    async def read(self, size: int = 65536) -> bytes:
        """Reads what there is, up to a size; nothing at the end."""
        data = await asyncio.wait_for(self._read(size), PATIENCE)
        self.received += data
        return data

    async def _read(self, size: int) -> bytes:
        raise NotImplementedError

    async def until(self, text: bytes, start: int = 0) -> int:
        """Reads until a text has come, and returns where it begins; what stands before a start
        is not looked at."""
        while (found := self.received.find(text, start)) < 0:
            start = max(start, len(self.received) - len(text) + 1)
            assert await self.read(), f"ended before {text!r}: {self.received[-300:]!r}"
        return found

    async def until_data(self, data: object) -> None:
        """Reads until an event with this data has come, to its last byte."""
        found = await self.until(b'"data":' + json.dumps(data).encode())
        await self.until(b"\n\n", found)

    async def to_the_end(self, size: int = 65536) -> None:
        while await self.read(size):
            pass

    @property
    def answer(self) -> Answer:
        return answer_in(bytes(self.received))


class Peer(Received):
    """One that reads and writes a socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def ask(
        self, path: str, *, version: str = "1.1", method: str = "GET", **more: str
    ) -> None:
        """Sends a request; ``more`` are headers."""
        lines = [f"{method} {path} HTTP/{version}", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def _read(self, size: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, size)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leaves without a word: what is still on its way is refused."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@asynccontextmanager
async def peer(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[Peer]:
    """Connects; a small receive buffer makes a peer that holds little for who does not read."""
    address = urlsplit(url)
    with socket.socket() as sock:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
        yield Peer(sock)


@asynccontextmanager
async def stream_on(
    url: str,
    path: str = "/api/sse?userId=alice",
    *,
    receive_buffer: int | None = None,
    version: str = "1.1",
    **headers: str,
) -> AsyncIterator[Peer]:
    """Connects and opens a stream."""
    async with peer(url, receive_buffer=receive_buffer) as found:
        await found.ask(path, version=version, **headers)
        await found.until(b"\n\n")
        yield found
        with suppress(OSError):
            found.sock.close()
