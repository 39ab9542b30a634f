"""Direct writes: a stream on the connection's own transport, without the request that opened it.

Once its first bytes have left, a stream needs neither the request nor its task. A `DirectSink`
takes the transport over: it is the protocol that the transport talks to, and the sink that the
hub writes to. What is for many is the same bytes object, framed once, and goes straight to the
socket as long as nothing waits in the transport.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from os import write as write_now
from typing import Any, Final

from tidewire.core.clock import Clock
from tidewire.core.frame import Encoding
from tidewire.core.reader import Refusal
from tidewire.serve.doorway import Doorway
from tidewire.serve.turnstile import Turnstile

MAX_INPUT_BYTES: Final = 4 * 1024
"""What a client may send on a stream that is open. Nobody reads it."""

LAST_CHUNK: Final = b"0\r\n\r\n"

_TCP_INFO: Final = struct.Struct("=24xI92xQ16xI")
"""``tcpi_unacked`` (segments on their way), ``tcpi_bytes_acked`` and ``tcpi_notsent_bytes`` in
``struct tcp_info`` (Linux 4.6 and later)."""


class DirectSink(asyncio.Protocol):
    """A sink on an asyncio transport, and the transport's protocol.

    ``pause_writing`` and ``resume_writing`` are the transport's own sign that the reader is
    behind.
    """

    __slots__ = (
        "_blocked",
        "_chunked",
        "_clock",
        "_closing",
        "_doorway",
        "_empty",
        "_ended",
        "_fd",
        "_full",
        "_gone",
        "_input",
        "_taken",
        "_transport",
        "_turnstile",
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
        ended: Iterable[Callable[[], None]],
        turnstile: Turnstile,
        doorway: Doorway | None,
    ) -> None:
        """Makes a sink; the caller lets the transport talk to it.

        Args:
            transport: an open connection, on which an answer has begun.
            encoding: how it is written to.
            chunked: whether the answer ends with a last chunk, or with the connection.
            paused: whether the transport has no room now.
            clock: where the time comes from.
            ended: called when the connection is gone.
            turnstile: where that waits for its turn.
            doorway: where the end of the connection is noticed; None: by the transport.
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
        self._closing = self._gone = False
        self._blocked: float | None = clock.monotonic() if paused else None
        self._taken = 0
        self._input = 0
        self._clock = clock
        self._ended: list[Callable[[], None]] | None = list(ended)
        self._turnstile = turnstile
        self._doorway = None if encrypted else doorway
        if self._doorway is not None:
            self._doorway.watch(self._fd, transport)

    # The sink

    @staticmethod
    def offer_all(sinks: Sequence["DirectSink"], data: bytes) -> list[Refusal]:
        # The loop in which most of the time is spent: no call but the system's.
        refused: list[Refusal] = []
        size = len(data)
        for index, sink in enumerate(sinks):
            try:
                if not sink._empty:
                    if not sink.offer(data):
                        refused.append((index, None))
                    continue
                try:
                    sent = write_now(sink._fd, data)
                except BlockingIOError:
                    sent = 0
                if sent != size:
                    sink._empty = False
                    sink._transport.write(data[sent:])
            except OSError:
                sink._miss()
            except Exception as error:
                refused.append((index, error))
        return refused

    def offer(self, data: bytes) -> bool:
        if self._empty:
            try:
                sent = write_now(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._miss()
                return True
            if sent == len(data):
                return True
            self._empty = False
            self._transport.write(data[sent:])
            return True
        if self._full:
            return False
        # What the transport holds goes first; once that is nothing, it is passed by.
        self._empty = self._fd >= 0 and not self._transport.get_write_buffer_size()
        if self._empty:
            return self.offer(data)
        self._transport.write(data)
        return True

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._empty = False
            self._transport.write(data)

    def room(self) -> bool:
        return not self._full

    def blocked_since(self) -> float | None:
        if self._gone:
            return None
        now = self._clock.monotonic()
        waits, taken = self._progress()
        if not waits:
            self._blocked = None
        elif self._blocked is None or taken > self._taken:
            self._blocked = now
        self._taken = taken
        # What was taken until now, or seen to wait only now, has not been refused yet.
        return self._blocked if self._blocked != now else None

    def close(self) -> None:
        if not self._closing:
            if self._chunked:
                self._transport.write(LAST_CHUNK)
            self._leave()
            self._transport.close()

    def abort(self) -> None:
        self._leave()
        self._end()

    def _miss(self) -> None:
        # Of a crowd that has gone at once the others must not wait for the end of each.
        self._leave()
        self._turnstile.enter(self._end)

    def _end(self) -> None:
        # asyncio's transports may not be aborted when their connection is gone.
        if not self._gone:
            self._transport.abort()

    def _leave(self) -> None:
        self._closing = self._full = True
        self._empty = False

    def _progress(self) -> tuple[bool, int]:
        """Whether anything waits for the peer, and a number that grows when it takes some.

        What the peer's TCP has acknowledged it has taken. Where that cannot be known, it has
        taken what has left the transport.
        """
        waiting = self._transport.get_write_buffer_size()
        peer = self._transport.get_extra_info("socket")
        if hasattr(socket, "TCP_INFO") and peer.family in (socket.AF_INET, socket.AF_INET6):
            with contextlib.suppress(OSError):
                told = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
                if len(told) == _TCP_INFO.size:
                    unacked, acked, not_sent = _TCP_INFO.unpack(told)
                    return bool(waiting or unacked or not_sent), acked
        return bool(waiting), -waiting

    # The protocol

    def data_received(self, data: bytes) -> None:
        self._input += len(data)
        if self._input > MAX_INPUT_BYTES:
            self.close()

    def eof_received(self) -> bool:
        # Who sends nothing more is leaving; half a connection is of no use to a stream, and
        # nobody is told goodbye who has gone.
        self._leave()
        if self._fd < 0:
            # TLS has no half connections; the transport closes itself.
            return False
        self._turnstile.enter(self._end)
        return True

    def pause_writing(self) -> None:
        self._full = True
        if self._blocked is None:
            self._blocked = self._clock.monotonic()

    def resume_writing(self) -> None:
        if self._closing:
            return
        self._full = False
        self._blocked = None
        if self.on_room is not None:
            self.on_room()

    def connection_lost(self, error: Exception | None) -> None:
        if self._doorway is not None:
            self._doorway.forget(self._fd)
        self._leave()
        self._gone = True
        self.on_room = None
        self._turnstile.enter(self._tell_end)

    def _tell_end(self) -> None:
        ended, self._ended = self._ended, None
        for call in ended or ():
            call()

    def on_end(self, call: Callable[[], None]) -> None:
        """Calls when the connection is gone; at once if it is already."""
        if self._ended is None:
            call()
        else:
            self._ended.append(call)


class Streams:
    """The streams of one server that uvicorn does not know of, and who ends them.

    It stands in uvicorn's set of connections, in their place: so that a shutdown is told to it,
    and waits until all are gone. What is open within requests, streams and held polls, is ended
    with them: uvicorn by itself would wait for that, too, but tell nobody.
    """

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self._open = 0
        self._drains: dict[Callable[[], Awaitable[None]], None] = {}
        self._ending = False
        self._draining: set[asyncio.Task[None]] = set()
        connections.add(self)
        self.on_end: Final = self.ended
        """One object for all streams to call."""

    def register(self, drain: Callable[[], Awaitable[None]]) -> None:
        """Takes what ends the streams of one application; it is called at once where they are
        to end already."""
        if drain not in self._drains:
            self._drains[drain] = None
            if self._ending:
                self._begin(drain)

    def began(self) -> None:
        """One more stream is open."""
        self._open += 1
        self._connections.add(self)

    def ended(self) -> None:
        """One is gone."""
        self._open -= 1
        self._leave()

    async def drain(self) -> None:
        """Ends them all, each with its goodbye."""
        await asyncio.gather(*(drain() for drain in self._drains))

    def shutdown(self) -> None:
        """Begins to end them; uvicorn calls it, as it does for its own connections."""
        if not self._ending:
            self._ending = True
            for drain in self._drains:
                self._begin(drain)
            self._leave()

    def _begin(self, drain: Callable[[], Awaitable[None]]) -> None:
        async def end() -> None:
            await drain()

        task = asyncio.create_task(end())
        self._connections.add(self)
        self._draining.add(task)
        task.add_done_callback(self._drained)

    def _drained(self, task: asyncio.Task[None]) -> None:
        self._draining.discard(task)
        self._leave()

    def _leave(self) -> None:
        if self._ending and not self._draining and not self._open:
            self._connections.discard(self)
