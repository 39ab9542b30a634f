"""Requests from a test, each on a connection of its own, whose answers are read as they come."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

import httptools

from tests.faults.clients import Block, Blocks

OK: Final = 200
OPEN_SECONDS: Final = 20.0
"""Within these an answer has begun, also where a thousand begin at once."""


class Refused(Exception):
    """The answer is not the one that was asked for, or the connection was lost before it.

    ``status`` is that of the answer; 0 if there is none.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}" if status else reason)
        self.status = status


class Exchange(asyncio.Protocol):
    """One request and its answer. ``take`` gets the bytes of the body as they come, if the status
    is 200."""

    def __init__(self, request: bytes, take: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.status: asyncio.Future[int] = loop.create_future()
        """Fails with `Refused` if there is no answer."""
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the answer is complete, or the connection gone."""
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the connection is gone."""
        self._request = request
        self._take = take
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def begin(
        cls,
        url: str,
        path: str,
        take: Callable[[bytes], None],
        *,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        body: bytes | None = None,
        source: str | None = None,
    ) -> Self:
        """Sends a GET, or a POST if there is a body; returns when the answer has begun.
        ``source`` is the address that the connection comes from.

        Raises:
            Refused: there is none, or its status is not 200.
            OSError: there is no connection.
        """
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        method = "GET" if body is None else "POST"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {address.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        request = "\r\n".join([*lines, "", ""]).encode() + (body or b"")
        loop = asyncio.get_running_loop()
        _, exchange = await loop.create_connection(
            lambda: cls(request, take),
            address.hostname,
            address.port,
            ssl=tls,
            family=socket.AF_INET,
            local_addr=None if source is None else (source, 0),
            # The rest of an answer that nobody waits for is not worth a goodbye of 30 seconds.
            ssl_shutdown_timeout=1 if tls else None,
        )
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                status = await asyncio.shield(exchange.status)
            if status != OK:
                raise Refused(status, f"{method} {path.partition('?')[0]}")
        except BaseException:
            exchange.drop()
            raise
        return exchange

    def drop(self) -> None:
        """Ends the connection without a goodbye, as a network that is gone does."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Closes the connection, as a page that is left does."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # That of uvloop is one in all but its class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(Refused(0, f"no answer of HTTP: {error!r}"))
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Refused(0, f"the connection was lost: {exc!r}"))
        self.gone.set_result(None)

    # httptools

    def on_headers_complete(self) -> None:
        if not self.status.done():
            self.status.set_result(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() == OK:
            self._take(body)

    def on_message_complete(self) -> None:
        self._end(Refused(0, "an answer without a status"))
        self.leave()

    def _end(self, error: Exception) -> None:
        if not self.status.done():
            self.status.set_exception(error)
            # Whoever still waits for it is told; that nobody does is no fault.
            self.status.exception()
        if not self.ended.done():
            self.ended.set_result(None)


async def open_stream(
    url: str,
    take: Callable[[Block], None],
    *,
    headers: Mapping[str, str],
    path: str = "/api/sse",
    tls: ssl.SSLContext | None = None,
) -> Exchange:
    """Opens a stream, whose events are handed over as they come.

    Raises:
        Refused: it was not opened.
        OSError: there is no connection.
    """
    blocks = Blocks()

    def feed(data: bytes) -> None:
        for block in blocks.feed(data):
            take(block)

    return await Exchange.begin(url, path, feed, headers=headers, tls=tls)


async def fetch(
    url: str,
    path: str,
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    body: Any = None,
    source: str | None = None,
    seconds: float = OPEN_SECONDS,
) -> Any:
    """The JSON of an answer; with a body, which becomes JSON, of that to a POST.

    Raises:
        Refused: it is not 200, not whole, or not there in time.
        OSError: there is no connection.
    """
    answer = bytearray()
    sent = None if body is None else json.dumps(body).encode()
    try:
        async with asyncio.timeout(seconds):
            exchange = await Exchange.begin(
                url, path, answer.extend, headers=headers, tls=tls, body=sent, source=source
            )
            try:
                await exchange.ended
            finally:
                exchange.drop()
        return json.loads(answer)
    except TimeoutError:
        raise Refused(0, f"no answer within {seconds} s") from None
    except ValueError as error:
        raise Refused(OK, f"not whole: {error}") from None
