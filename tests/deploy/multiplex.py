"""Many streams on one connection of HTTP/2, as a browser with many tabs has them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.faults.clients import Block, Blocks

CHUNK: Final = 65536


class Multiplex:
    """One connection. ``take`` gets what comes, with the number of its stream."""

    def __init__(self, host: str, take: Callable[[int, Block], None]) -> None:
        self.statuses: dict[int, str] = {}
        """Of each stream whose answer has begun."""
        self.ended: list[int] = []
        self._host = host
        self._take = take
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._blocks: dict[int, Blocks] = {}

    def begin(self, path: str, headers: Mapping[str, str]) -> bytes:
        """What is to be sent to open one more stream."""
        if not self._blocks:
            self._http.initiate_connection()
        number = self._http.get_next_available_stream_id()
        self._blocks[number] = Blocks()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", self._host)]
        fields = [(name.lower(), value) for name, value in headers.items()]
        self._http.send_headers(number, [*head, (":path", path), *fields], end_stream=True)
        return self._http.data_to_send()

    def feed(self, data: bytes) -> bytes:
        """Takes what came; returns what is to be sent."""
        for event in self._http.receive_data(data):
            match event:
                case ResponseReceived():
                    fields = {str(name): str(value) for name, value in event.headers or []}
                    self.statuses[event.stream_id] = fields[":status"]
                case DataReceived():
                    length = event.flow_controlled_length
                    self._http.acknowledge_received_data(length, event.stream_id)
                    for block in self._blocks[event.stream_id].feed(event.data or b""):
                        self._take(event.stream_id, block)
                case StreamEnded() | StreamReset():
                    self.ended.append(event.stream_id)
        return self._http.data_to_send()


@asynccontextmanager
async def multiplexed(
    url: str,
    count: int,
    take: Callable[[int, Block], None],
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext,
) -> AsyncIterator[Multiplex]:
    """A connection with as many streams."""
    address = urlsplit(url)
    tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", address.port, ssl=tls, server_hostname="localhost"
    )
    chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    assert chosen == "h2", f"a browser would speak {chosen or 'HTTP/1.1'}"
    shared = Multiplex(address.netloc, take)

    async def read() -> None:
        while data := await reader.read(CHUNK):
            writer.write(shared.feed(data))

    reading = asyncio.create_task(read())
    try:
        for _ in range(count):
            writer.write(shared.begin("/api/sse", headers))
        yield shared
    finally:
        reading.cancel()
        writer.transport.abort()
        with suppress(asyncio.CancelledError):
            await reading
        with suppress(OSError):
            await writer.wait_closed()
