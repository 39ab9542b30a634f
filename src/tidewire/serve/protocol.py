"""uvicorn's HTTP protocol, with small buffers, from which a stream may take its connection over.

``uvicorn --http tidewire.serve:Protocol module:app`` gives an application the fast path.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from uvicorn import Config
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl
from uvicorn.server import ServerState

from tidewire.core.clock import Clock
from tidewire.core.frame import NAMED, NAMED_CHUNKS, UNNAMED, UNNAMED_CHUNKS
from tidewire.core.reader import HIGH_WATER
from tidewire.http.extensions import DRAIN_EXTENSION
from tidewire.serve.direct import DirectSink, Streams
from tidewire.serve.doorway import Doorway
from tidewire.serve.turnstile import Turnstile
from tidewire.transports.handover import HANDOVER

SEND_BUFFER_BYTES: Final = 128 * 1024
PEER_TIMEOUT_MS: Final = 60_000

STREAMS: Final = "tidewire.streams"
"""In the state that uvicorn gives to all connections of a server: its `Streams`."""

TURNSTILE: Final = "tidewire.turnstile"
"""In the same state: its `Turnstile`."""

DOORWAY: Final = "tidewire.doorway"
"""In the same state: its `Doorway`."""

TUNED: Final = "tidewire.tuned"
"""In the same state: that connections inherit from their listener what `tune` gives."""

_ENDLESS: Final = sys.maxsize
"""The length of an answer that ends with its connection."""

_ENCODINGS: Final = {
    (True, True): NAMED_CHUNKS,
    (True, False): NAMED,
    (False, True): UNNAMED_CHUNKS,
    (False, False): UNNAMED,
}


class Protocol(HttpToolsProtocol):
    """One connection, until a stream takes it over.

    Until the turn of its first request has come it is little more than the bytes of that: of a
    crowd that connects at once, all are accepted before anything else can be done.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.config = config
        self.server_state = server_state
        self._is_in = False
        self._early = b""
        self.app_state = app_state
        self.connections = server_state.connections
        self.loop = _loop or asyncio.get_running_loop()
        # As uvicorn has it before the first request.
        self.cycle = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.connections.add(self)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._is_in:
            super().data_received(data)
            return
        is_first = not self._early
        self._early += data
        if is_first:
            self.turnstile.enter(self._let_in)
        elif len(self._early) > HIGH_WATER:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_in:
            super().connection_lost(exc)
        else:
            self.connections.discard(self)

    def _let_in(self) -> None:
        # Its turn has come.
        transport, early = self.transport, self._early
        if transport.is_closing():
            return
        self._is_in = True
        self._early = b""
        super().__init__(self.config, self.server_state, self.app_state, self.loop)
        # As uvicorn's `connection_made`, but by one socket object for all questions: the
        # transport's makes one for each, and keeps the answers as long as it lives.
        self.transport = transport
        self.flow = FlowControl(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        transport.set_write_buffer_limits(high=HIGH_WATER)
        with borrowed(transport) as peer:
            if TUNED not in self.app_state:
                tune(peer)
            self.server = _address(peer.getsockname())
            self.client = _internet_address(peer)
        transport.resume_reading()
        super().data_received(early)

    @property
    def turnstile(self) -> Turnstile:
        """That of this server."""
        found: Turnstile | None = self.app_state.get(TURNSTILE)
        if found is None:
            found = self.app_state[TURNSTILE] = Turnstile(self.loop)
        return found

    @property
    def doorway(self) -> Doorway | None:
        """That of this server; None where the system has none."""
        found: Doorway | None = self.app_state.get(DOORWAY)
        if found is None and sys.platform == "linux":
            found = self.app_state[DOORWAY] = Doorway(self.loop)
        return found

    @property
    def app(self) -> ASGI3Application:
        """The application, which is offered the connection with each request."""
        return self._offer

    @app.setter
    def app(self, app: ASGI3Application) -> None:
        self._application = app

    async def _offer(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        cycle: RequestResponseCycle = send.__self__  # type: ignore[attr-defined]
        offer = Offer(self, cycle, send)
        extensions: dict[str, Any] = scope.setdefault("extensions", {})
        extensions[DRAIN_EXTENSION] = self.streams.register
        extensions[HANDOVER] = offer
        try:
            await self._application(scope, receive, offer.send)
        finally:
            offer.withdraw()

    @property
    def streams(self) -> Streams:
        """Those of this server."""
        found = self.app_state.get(STREAMS)
        if found is None:
            found = self.app_state[STREAMS] = Streams(self.connections)
        return found

    def leave(self) -> None:
        """Lets go of the connection: what uvicorn would do with it from now on is for nobody."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.connections.discard(self)
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        # The parser knows this object: without the knot, both are gone at once.
        self.parser = None  # type: ignore[assignment]


class Offer:
    """One request's connection, for its stream to take over (a `Handover`).

    It looks at what reaches the server. Only where the start of the answer and its first body
    arrive as they were sent does nobody between change what comes after.
    """

    __slots__ = ("_cycle", "_first", "_is_marked", "_old", "_protocol", "_send", "_sink")

    def __init__(
        self, protocol: Protocol, cycle: RequestResponseCycle, send: ASGISendCallable
    ) -> None:
        self._protocol: Protocol | None = protocol
        # Not the protocol's own: that is the one of the newest request, and this may be the
        # first of several that came at once.
        self._cycle: RequestResponseCycle | None = cycle
        self._send: ASGISendCallable | None = send
        self._old = cycle.scope["http_version"] == "1.0"
        self._is_marked = False
        self._first: bytes | None = None
        self._sink: DirectSink | None = None

    async def send(self, message: Any) -> None:
        """Passes a message on to uvicorn; to nobody once the connection was taken over."""
        protocol, cycle, send = self._protocol, self._cycle, self._send
        if protocol is None or cycle is None or send is None:
            return
        if message["type"] == "http.response.start":
            self._is_marked = message.get(HANDOVER) is self and not _is_encoded(message)
            if self._is_marked and protocol.cycle is cycle:
                # The connection ends with the stream: nobody must hope to use it again.
                cycle.keep_alive = False
            if self._old:
                _end_with_connection(cycle, message)
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if self._is_marked:
                # What comes after another body is not the first.
                self._is_marked = self._first is None
                self._first = body
            if self._old and not message.get("more_body", False):
                cycle.expected_content_length = len(body)
        await send(message)

    def mark(self, start: MutableMapping[str, Any]) -> None:
        start[HANDOVER] = self

    def take(
        self, first: bytes, *, named: bool, clock: Clock, ended: Callable[[], None]
    ) -> DirectSink | None:
        protocol, cycle = self._protocol, self._cycle
        if protocol is None or cycle is None or not self._is_marked or self._first is not first:
            return None
        # Where another request waits already, its answer must come after this one.
        if protocol.cycle is not cycle or protocol.transport.is_closing():
            return None
        if cycle.disconnected or cycle.response_complete:
            return None
        if not cycle.chunked_encoding and cycle.expected_content_length < _ENDLESS - len(first):
            # Somebody has said how long it is.
            return None
        chunked = bool(cycle.chunked_encoding)
        streams = protocol.streams
        self._sink = DirectSink(
            protocol.transport,
            _ENCODINGS[named, chunked],
            chunked=chunked,
            paused=protocol.flow.write_paused,
            clock=clock,
            ended=(streams.on_end, ended),
            turnstile=protocol.turnstile,
            doorway=protocol.doorway,
        )
        protocol.leave()
        protocol.transport.set_protocol(self._sink)
        streams.began()
        self.withdraw()
        return self._sink

    def withdraw(self) -> None:
        """Lets go of the request: its scope knows this object, and must not be known by it."""
        self._protocol = self._cycle = self._send = self._first = None

    @property
    def taken(self) -> bool:
        return self._sink is not None

    def on_end(self, call: Callable[[], None]) -> None:
        if self._sink is not None:
            self._sink.on_end(call)


def _end_with_connection(cycle: RequestResponseCycle, start: Any) -> None:
    # RFC 9112 section 6.1: HTTP/1.0 has no chunks. uvicorn sends them all the same, unless it
    # takes the length for known.
    if not any(name.lower() == b"content-length" for name, _ in start.get("headers", ())):
        cycle.chunked_encoding = False
        cycle.expected_content_length = _ENDLESS


def _is_encoded(start: Any) -> bool:
    return any(name.lower() == b"content-encoding" for name, _ in start.get("headers", ()))


@contextmanager
def borrowed(transport: asyncio.Transport) -> Iterator[socket.socket]:
    """A transport's socket, for a moment."""
    peer = socket.socket(fileno=transport.get_extra_info("socket").fileno())
    try:
        yield peer
    finally:
        peer.detach()


def _address(name: Any) -> tuple[str, int | None] | None:
    # As uvicorn has it: host and port, or the path of a Unix socket.
    if isinstance(name, str):
        return name, None
    return (name[0], name[1]) if isinstance(name, tuple) else None


def _internet_address(peer: socket.socket) -> tuple[str, int] | None:
    try:
        name = peer.getpeername()
    except OSError:
        # Gone already; its transport will tell.
        return None
    return (name[0], name[1]) if isinstance(name, tuple) else None


def tune(peer: socket.socket) -> None:
    """Gives a socket small buffers: a reader who sleeps must not cost memory. What a listener
    is given, its connections inherit."""
    if peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    for name, value in (
        # asyncio sets it only on sockets that name their protocol; ours may not.
        ("TCP_NODELAY", 1),
        ("TCP_NOTSENT_LOWAT", HIGH_WATER),
        ("TCP_USER_TIMEOUT", PEER_TIMEOUT_MS),
    ):
        # Linux has both; elsewhere the system's own values must do.
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
