"""uvicorn's HTTP protocol, with small buffers, from which a stream may take its connection over.

``uvicorn --http tidewire.serve:Protocol module:app`` gives an application the fast path.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidewire.core.clock import Clock
from tidewire.core.frame import NAMED, NAMED_CHUNKS, UNNAMED, UNNAMED_CHUNKS
from tidewire.core.reader import HIGH_WATER
from tidewire.http.extensions import DRAIN_EXTENSION
from tidewire.serve.direct import DirectSink, Streams
from tidewire.transports.handover import HANDOVER

SEND_BUFFER_BYTES: Final = 128 * 1024
PEER_TIMEOUT_MS: Final = 60_000

STREAMS: Final = "tidewire.streams"
"""In the state that uvicorn gives to all connections of a server: its `Streams`."""

_ENCODINGS: Final = {
    (True, True): NAMED_CHUNKS,
    (True, False): NAMED,
    (False, True): UNNAMED_CHUNKS,
    (False, False): UNNAMED,
}


class Protocol(HttpToolsProtocol):
    """One connection, until a stream takes it over."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=HIGH_WATER)
        tune(transport.get_extra_info("socket"))
        super().connection_made(transport)

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
        offer = Offer(self, scope, send)
        extensions: dict[str, Any] = scope.setdefault("extensions", {})
        extensions[DRAIN_EXTENSION] = self.streams.register
        extensions[HANDOVER] = offer
        await self._application(scope, receive, offer.send)

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


class Offer:
    """One request's connection, for its stream to take over (a `Handover`).

    It looks at what reaches the server. Only where the start of the answer and its first body
    arrive as they were sent does nobody between change what comes after.
    """

    __slots__ = (
        "_chunked",
        "_ended",
        "_first",
        "_protocol",
        "_scope",
        "_send",
        "_started",
        "taken",
    )

    def __init__(
        self, protocol: Protocol, scope: HTTPScope, send: ASGISendCallable
    ) -> None:
        self.taken = False
        self._protocol = protocol
        self._scope = scope
        self._send = send
        self._chunked = scope["http_version"] != "1.0"
        self._started = False
        self._first: bytes | None = None
        self._ended: list[Callable[[], None]] = []

    async def send(self, message: Any) -> None:
        """Passes a message on to uvicorn."""
        if message["type"] == "http.response.start":
            self._started = message.get(HANDOVER) is self and not _is_encoded(message)
            if not self._chunked:
                self._end_with_connection(message)
        elif message["type"] == "http.response.body":
            self._first = message.get("body")
            if not self._chunked and not message.get("more_body", False):
                self._protocol.cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)

    def _end_with_connection(self, start: Any) -> None:
        # RFC 9112 section 6.1: HTTP/1.0 has no chunks. uvicorn sends them all the same, unless
        # it takes the length for known.
        if not any(name.lower() == b"content-length" for name, _ in start.get("headers", ())):
            self._protocol.cycle.chunked_encoding = False
            self._protocol.cycle.expected_content_length = sys.maxsize

    def mark(self, start: MutableMapping[str, Any]) -> None:
        start[HANDOVER] = self

    def take(
        self, first: bytes, *, named: bool, clock: Clock, ended: Callable[[], None]
    ) -> DirectSink | None:
        protocol, cycle = self._protocol, self._protocol.cycle
        if not self._started or self._first is not first or cycle.scope is not self._scope:
            return None
        if cycle.disconnected or cycle.response_complete or protocol.transport.is_closing():
            return None
        streams = protocol.streams
        self._ended += [streams.ended, ended]
        sink = DirectSink(
            protocol.transport,
            _ENCODINGS[named, self._chunked],
            chunked=self._chunked,
            paused=protocol.flow.write_paused,
            clock=clock,
            ended=self._ended,
        )
        protocol.leave()
        protocol.transport.set_protocol(sink)
        streams.began()
        self.taken = True
        return sink

    def on_end(self, call: Callable[[], None]) -> None:
        self._ended.append(call)


def _is_encoded(start: Any) -> bool:
    return any(name.lower() == b"content-encoding" for name, _ in start.get("headers", ()))


def tune(peer: socket.socket | None) -> None:
    """Gives a socket small buffers: a reader who sleeps must not cost memory."""
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
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
