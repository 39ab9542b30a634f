"""Direct writes: a stream on the connection's own transport, without the request that opened it.

Once its first bytes have left, a stream needs neither the request nor its task. A `DirectSink`
takes the transport over: it is the protocol that the transport talks to, and the sink that the
hub writes to. What is for many is the same bytes object, framed once, and goes straight to the
socket as long as nothing waits in the transport.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tidewire.core.clock import Clock
from tidewire.core.frame import Encoding

MAX_INPUT_BYTES: Final = 4 * 1024
"""What a client may send on a stream that is open. Nobody reads it."""

LAST_CHUNK: Final = b"0\r\n\r\n"

_TCP_INFO_BYTES: Final = 128
_UNACKED: Final = 24
_BYTES_ACKED: Final = 120
"""Where ``tcpi_unacked`` (segments on their way) and ``tcpi_bytes_acked`` stand in ``struct
tcp_info`` (Linux 4.1 and later)."""


class DirectSink(asyncio.Protocol):
    """A sink on an asyncio transport, and the transport's protocol.

    ``pause_writing`` and ``resume_writing`` are the transport's own sign that the reader is
    behind.
    """

    __slots__ = (
        "_acked",
        "_blocked",
        "_chunked",
        "_clock",
        "_closing",
        "_empty",
        "_ended",
        "_fd",
        "_full",
        "_input",
        "_transport",
        "encoding",
        "on_room",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        encoding: Encoding,
        *,
        chunked: bool,
        paused: bool,
        clock: Clock,
        ended: list[Callable[[], None]],
    ) -> None:
        """Makes a sink; the caller lets the transport talk to it.

        Args:
            transport: an open connection, on which an answer has begun.
            encoding: how it is written to.
            chunked: whether the answer ends with a last chunk, or with the connection.
            paused: whether the transport has no room now.
            clock: where the time comes from.
            ended: called when the connection is gone.
        """
        self.encoding = encoding
        self.on_room: Callable[[], None] | None = None
        self._transport = transport
        # Through TLS only the transport can write.
        encrypted = transport.get_extra_info("sslcontext") is not None
        self._fd = -1 if encrypted else transport.get_extra_info("socket").fileno()
        self._chunked = chunked
        self._full = paused
        self._empty = False
        self._closing = False
        self._blocked: float | None = clock.monotonic() if paused else None
        self._acked = -1
        self._input = 0
        self._clock = clock
        self._ended = ended

    # The sink

    def offer(self, data: bytes) -> bool:
        if self._full:
            return False
        if self._empty:
            try:
                sent = os.write(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # Whoever went is missed by the transport as well, which tells of it.
                self.abort()
                return True
            if sent == len(data):
                return True
            data = data[sent:]
            self._empty = False
            self._transport.write(data)
        else:
            self._transport.write(data)
            # What the transport holds goes first; once that is nothing, it is passed by.
            self._empty = self._fd >= 0 and not self._transport.get_write_buffer_size()
        return True

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._empty = False
            self._transport.write(data)

    def room(self) -> bool:
        return not self._full

    def blocked_since(self) -> float | None:
        if self._transport.get_write_buffer_size() or self._unacknowledged():
            if self._blocked is None:
                self._blocked = self._clock.monotonic()
        else:
            self._blocked = None
        return self._blocked

    def close(self) -> None:
        if not self._closing:
            if self._chunked:
                self._transport.write(LAST_CHUNK)
            self._leave()
            self._transport.close()

    def abort(self) -> None:
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        self._closing = self._full = True
        self._empty = False

    def _unacknowledged(self) -> bool:
        """Whether the peer's TCP has acknowledged nothing new since the last look, although
        something is on its way."""
        peer = self._transport.get_extra_info("socket")
        if peer.family == getattr(socket, "AF_UNIX", None) or not hasattr(socket, "TCP_INFO"):
            return False
        try:
            told = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return False
        return False if len(told) < _TCP_INFO_BYTES else self._progress(told)

    def _progress(self, told: bytes) -> bool:
        unacked: int = struct.unpack_from("=I", told, _UNACKED)[0]
        acked: int = struct.unpack_from("=Q", told, _BYTES_ACKED)[0]
        stands_still = unacked > 0 and acked == self._acked
        self._acked = acked
        return stands_still

    # The protocol

    def data_received(self, data: bytes) -> None:
        self._input += len(data)
        if self._input > MAX_INPUT_BYTES:
            self.close()

    def eof_received(self) -> None:
        """The transport closes itself."""

    def pause_writing(self) -> None:
        self._full = True
        self._blocked = self._clock.monotonic()

    def resume_writing(self) -> None:
        if self._closing:
            return
        self._full = False
        self._blocked = None
        if self.on_room is not None:
            self.on_room()

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self.on_room = None
        ended, self._ended = self._ended, []
        for call in ended:
            call()


class Streams:
    """The streams of one server that uvicorn no longer knows of, and who ends them.

    While there are any, it stands in uvicorn's set of connections in their place: so that a
    shutdown is told to it, and waits for it.
    """

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self._open = 0
        self._drains: dict[Callable[[], Awaitable[None]], None] = {}
        self._drain: asyncio.Future[list[None]] | None = None

    def register(self, drain: Callable[[], Awaitable[None]]) -> None:
        """Takes what ends the streams of one application."""
        self._drains[drain] = None

    def began(self) -> None:
        """One more stream is open."""
        self._open += 1
        self._connections.add(self)

    def ended(self) -> None:
        """One is gone."""
        self._open -= 1
        if not self._open:
            self._connections.discard(self)

    async def drain(self) -> None:
        """Ends them all, each with its goodbye."""
        await asyncio.gather(*(drain() for drain in self._drains))

    def shutdown(self) -> None:
        """Begins to end them; uvicorn calls it, as it does for its own connections."""
        self._drain = asyncio.gather(*(drain() for drain in self._drains))
