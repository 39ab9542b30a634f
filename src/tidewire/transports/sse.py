"""Server-Sent Events over ASGI: one answer that does not end.

A server may offer the connection itself (`Handover`); then the answer is begun as any other and
the application returns. Everywhere else, and wherever something stands between, ``send`` is the
only way to write and the only sign of how fast the peer reads: a server whose transport is full
lets it wait.
"""

import asyncio
import contextlib
from collections.abc import Callable, MutableMapping
from typing import Any, Final, NamedTuple

from tidewire.core import notices
from tidewire.core.clock import Clock
from tidewire.core.connections import Connection
from tidewire.core.errors import TidewireError
from tidewire.core.frame import NAMED, UNNAMED, Encoding
from tidewire.core.hub import Place
from tidewire.core.keeper import Keeper, Phase
from tidewire.core.position import Cursor, Edge, Since
from tidewire.core.reader import HIGH_WATER, Reader
from tidewire.core.target import Identity
from tidewire.transports.asgi import Receive, Send, refuse, until_disconnect
from tidewire.transports.filters import EVERYTHING, Filter
from tidewire.transports.handover import HANDOVER, Handover

HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
CAPABILITIES: Final = ("resume", "polling", "types", "topics", "refresh")

FAREWELL_SECONDS: Final = 0.5
"""How long a stream that the server cancels may take to say goodbye."""


class StreamRequest(NamedTuple):
    """What a client asks of a stream.

    Attributes:
        since: where to start.
        filter: which types and topics.
        named: with ``event:`` lines, or without them for native ``onmessage`` handlers.
        client_type: what the client calls itself.
        client_info: what else it says of itself.
        instance_id: a tab's own name.
    """

    since: Since = Edge.LATEST
    filter: Filter = EVERYTHING
    named: bool = True
    client_type: str | None = None
    client_info: str | None = None
    instance_id: str | None = None


class AsgiSink:
    """A sink on ASGI ``send``."""

    __slots__ = (
        "_aborted",
        "_blocked",
        "_clock",
        "_closing",
        "_size",
        "_waiting",
        "_wake",
        "encoding",
        "on_room",
    )

    def __init__(self, encoding: Encoding, clock: Clock) -> None:
        self.encoding = encoding
        self.on_room: Callable[[], None] | None = None
        self._clock = clock
        self._waiting: list[bytes] = []
        self._size = 0
        self._closing = False
        self._aborted = asyncio.Event()
        self._blocked: float | None = None
        self._wake = asyncio.Event()

    def offer(self, data: bytes) -> bool:
        if not self.room():
            return False
        self.write(data)
        return True

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._waiting.append(data)
            self._size += len(data)
            self._wake.set()

    def room(self) -> bool:
        return self._size < HIGH_WATER

    def blocked_since(self) -> float | None:
        return self._blocked

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        self._waiting.clear()
        self.close()
        self._aborted.set()

    async def aborted(self) -> None:
        """Returns when the sink was aborted."""
        await self._aborted.wait()

    async def run(self, send: Send) -> None:
        """Sends what is written, joined, until the sink is closed and empty."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                data = b"".join(self._waiting)
                self._waiting.clear()
                self._blocked = self._clock.monotonic()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._blocked = None
                was_full = not self.room()
                self._size -= len(data)
                if was_full and self.room() and self.on_room is not None:
                    self.on_room()
            if self._closing:
                return


class _End:
    """What is to be done when a stream's connection is gone. It is there as long as the stream,
    so it is small."""

    __slots__ = ("_connection", "_keeper")

    def __init__(self, keeper: Keeper, connection: Connection) -> None:
        self._keeper = keeper
        self._connection = connection

    def __call__(self) -> None:
        self._keeper.release(self._connection)


class Stream:
    """One stream that was asked for and may be opened: an ASGI application for one request.

    Attributes:
        resumed: whether it goes on exactly where a cursor stood.
    """

    def __init__(
        self,
        keeper: Keeper,
        connection: Connection,
        sink: AsgiSink,
        opening: bytes,
        place: Place,
        *,
        resumed: bool,
    ) -> None:
        self.resumed = resumed
        self._place = place
        self._keeper = keeper
        self._connection = connection
        self._sink = sink
        self._opening = opening

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            self._keeper.admit(self._connection)
        except TidewireError as error:
            self._keeper.refused(error, self._connection)
            await refuse(error, send)
            return
        handover: Handover | None = scope.get("extensions", {}).get(HANDOVER)
        start = {"type": "http.response.start", "status": 200, "headers": list(HEADERS)}
        if handover is not None:
            handover.mark(start)
        taken = False
        try:
            await send(start)
            await send({"type": "http.response.body", "body": self._opening, "more_body": True})
            taken = handover is not None and self._take_over(handover)
            if not taken:
                await self._go_on(receive, send)
        finally:
            if not taken:
                self._keeper.release(self._connection)

    def _take_over(self, handover: Handover) -> bool:
        """Goes on without the request, if the server can do that. Returns whether it does."""
        connection = self._connection
        if connection.closing or self._keeper.phase is Phase.CLOSED:
            # Told to go meanwhile, and its goodbye waits in the other sink; or cut off there.
            return False
        sink = handover.take(
            self._opening,
            named=self._sink.encoding is NAMED,
            clock=self._keeper.clock,
            ended=_End(self._keeper, connection),
        )
        if sink is None:
            return False
        connection.reader.sink = sink
        self._keeper.opened(connection, self._place, resumed=self.resumed)
        return True

    async def _go_on(self, receive: Receive, send: Send) -> None:
        """Goes on within the request."""
        sink = self._sink
        self._keeper.opened(self._connection, self._place, resumed=self.resumed)
        writing = asyncio.create_task(sink.run(send))
        tasks = [
            writing,
            asyncio.create_task(until_disconnect(receive)),
            asyncio.create_task(sink.aborted()),
        ]
        try:
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                # Servers that do not tell of their shutdown cancel what is left at its end. A
                # stream that could still say goodbye has ended well: there is nothing to raise.
                self._keeper.departures.farewell(self._connection)
                await asyncio.wait([writing], timeout=FAREWELL_SECONDS)
                if not writing.done():
                    raise
            if writing.done():
                # Some servers raise when they write to a client who has gone.
                with contextlib.suppress(OSError):
                    writing.result()
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def open_stream(
    keeper: Keeper, identity: Identity, request: StreamRequest, *, newest: int, version: str
) -> Stream:
    """Finds where a stream starts, and makes it.

    Args:
        keeper: who will keep the connection.
        identity: who asks.
        request: what they ask.
        newest: a start that is not a cursor replays at most so many entries.
        version: what ``serverInfo`` says.

    Raises:
        Forbidden: a topic is not granted.
    """
    clock = keeper.clock
    place = await keeper.hub.locate(request.since, newest=newest)
    sink = AsgiSink(NAMED if request.named else UNNAMED, clock)
    reader = Reader(
        identity,
        sink,
        place.cursor,
        types=request.filter.types,
        topics=request.filter.topics,
    )
    connection = Connection(
        reader,
        "sse",
        connected_at=clock.now(),
        opened=clock.monotonic(),
        client_type=request.client_type,
        client_info=request.client_info,
        instance_id=request.instance_id,
    )
    resumed = isinstance(request.since, Cursor) and place.gap is None
    data: notices.ConnectedData = {
        "clientId": connection.id,
        "serverInfo": {
            "version": version,
            "capabilities": CAPABILITIES,
            "pingInterval": round(keeper.ping_interval * 1000),
        },
        "clientInfo": {
            "connectedAt": connection.connected_at,
            "authMethod": identity.method,
            "clientType": request.client_type,
        },
        "resumed": resumed,
        "degraded": keeper.hub.condition.degraded,
    }
    opening = _opening(sink.encoding, data, place, clock.now())
    return Stream(keeper, connection, sink, opening, place, resumed=resumed)


def _opening(encoding: Encoding, data: notices.ConnectedData, place: Place, now: int) -> bytes:
    gap = place.gap
    cursor = str(place.cursor) if gap is None else None
    opening = encoding.control(notices.connected(data, cursor=cursor, now=now))
    if gap is not None:
        opening += encoding.control(notices.gap(gap, cursor=place.cursor, now=now))
    return opening
