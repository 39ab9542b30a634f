"""Many streams from one test, over plain sockets: what comes is kept as bytes."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.serve.wire import Received

GOODBYE = re.compile(rb"event: disconnecting\ndata: (\{.*\})\nretry: ([0-9]+)\n")


class RawStream(Received):
    """One stream: the answer as it came, chunk sizes included."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self.reader = reader
        self.writer = writer

    async def _read(self, size: int) -> bytes:
        return await self.reader.read(size)

    @property
    def reconnect_after(self) -> int:
        """The time to come back that the server gave, ms."""
        match = GOODBYE.search(self.received)
        assert match is not None, bytes(self.received[-300:])
        after = json.loads(match[1])["data"]["reconnectAfter"]
        assert after == int(match[2])
        return int(after)


@asynccontextmanager
async def open_stream(
    url: str, path: str, *, receive_buffer: int | None = None
) -> AsyncIterator[RawStream]:
    """Opens a stream and sends its request; a small receive buffer makes a slow peer."""
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    try:
        yield RawStream(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def open_streams(url: str, count: int) -> AsyncIterator[list[RawStream]]:
    """Opens streams of as many users and waits until each is connected."""
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(open_stream(url, f"/api/sse?userId=user-{n}"))
            for n in range(count)
        ]
        await asyncio.gather(*(stream.until(b"event: connected") for stream in streams))
        yield streams
