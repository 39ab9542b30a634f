"""The access log."""

import logging
import re
import time
from typing import Final
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.http.gate import client_of, user_of
from tidewire.http.redaction import (
    LOGGER,
    LONGEST,
    SAFE,
    SHOWN_IN_PATH,
    redact_query,
    redact_words,
)
from tidewire.transports.handover import HANDOVER, Handover

# What most of them are, and nothing in it would be quoted.
_USER: Final = re.compile(r"[\w.~@:|+-]+", re.ASCII)
_PATH: Final = re.compile(r"[\w/:@.~-]+", re.ASCII)

_logger: Final = logging.getLogger(LOGGER)


class AccessLog:
    """Writes a line for each request that has ended, on the logger ``tidewire.access``; for a
    stream also one when it opens, since it may be open for days.

    A line: client address, user id (``-``: nobody proved to be one), method and path, status,
    milliseconds or ``opened``; of a path and of a query the first 4,096 characters. Of a stream
    that was handed over (`tidewire.transports.handover`) the last one is written when its
    connection ends, which is after its request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _logger.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        # What the application learns of the request is left here by it.
        scope.setdefault("state", {})
        line = _Line()

        async def send_and_look(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                line.status = message["status"]
                if _is_stream(message):
                    line.request = _request(scope)
                    line.write("opened")

        try:
            await self._app(scope, receive, send_and_look)
        except BaseException:
            line.end(scope)
            raise
        handover: Handover | None = scope.get("extensions", {}).get(HANDOVER)
        if handover is not None and handover.taken:
            handover.on_end(line)
        else:
            line.end(scope)


class _Line:
    """What is known of a request for its line. Of all that belongs to one, this is what stays
    while a stream that was handed over is open."""

    __slots__ = ("began", "request", "status")

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.request = ""
        self.status: int | None = None

    def __call__(self) -> None:
        self.write(f"{(time.monotonic() - self.began) * 1000:.1f} ms")

    def end(self, scope: Scope) -> None:
        self.request = self.request or _request(scope)
        self()

    def write(self, took: str) -> None:
        text = f"{self.request} {self.status or '-'} {took}"
        # Not by `Logger.info`: it would look for the line of code that calls it.
        record = logging.getLogRecordFactory()(LOGGER, logging.INFO, "", 0, text, (), None)
        setattr(record, SAFE, text)
        _logger.handle(record)


def _request(scope: Scope) -> str:
    request = HTTPConnection(scope)
    client = client_of(request) or (request.client.host if request.client else "-")
    user = _shown((user_of(request) or "-")[:LONGEST], _USER, "@:|+")
    target = _shown(scope["path"][:LONGEST], _PATH, SHOWN_IN_PATH)
    if scope["query_string"]:
        target += "?" + redact_query(scope["query_string"][:LONGEST].decode("latin-1"))
    return redact_words(f'{client} {user} "{scope["method"][:LONGEST]} {target}"')


def _shown(text: str, plain: "re.Pattern[str]", safe: str) -> str:
    return text if plain.fullmatch(text) else quote(text, safe=safe)


def _is_stream(start: Message) -> bool:
    for name, value in start.get("headers", ()):
        if name.lower() == b"content-type":
            return bool(value.startswith(b"text/event-stream"))
    return False
