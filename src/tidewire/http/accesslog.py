"""The access log, and what must never stand in any log: tokens, cookies, passwords."""

import contextlib
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_plus

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire.http.gate import client_of, user_of

LOGGER: Final = "tidewire.access"
REDACTED: Final = "[redacted]"
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# In the names of parameters, whatever else they are called: access_token, X-Amz-Signature.
_SECRET_PARTS: Final = re.compile(
    r"token|secret|passw|pwd|auth|session|cookie|jwt|credential|signature|key", re.IGNORECASE
)
_SECRET_NAMES: Final = frozenset({"code", "sig", "sid", "ticket", "otp"})

# RFC 7515 and 7516: the JSON of a header begins with {", so its base64url with eyJ.
_JOSE: Final = re.compile(r"eyJ[\w-]{4,}(?:\.[\w-]*){1,4}")
_QUERY: Final = re.compile(r"\?([^\s\"'<>]+)")
_PAIR: Final = re.compile(
    r"\b([\w.-]*(?:token|secret|password)[\w.-]*=)[^\s&\"',;]+", re.IGNORECASE
)
_HEADER: Final = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie)(b?[\"']?\s*[:=,]\s*b?[\"']?)[^\"'\r\n]+",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)

_TAKEN_APART: Final = "uvicorn.access"
"""Its formatter wants the arguments, not the message."""

_SHOWN_IN_PATH: Final = "/:@!$&'()*+,;=~-._"
_SHOWN_IN_QUERY: Final = _SHOWN_IN_PATH + "%?[]"


def redact_query(query: str) -> str:
    """A query without the values that may be secret; what is no visible ASCII is encoded."""
    return quote("&".join(map(_redact_pair, query.split("&"))), safe=_SHOWN_IN_QUERY)


def redact(text: str) -> str:
    """A text without what looks like a secret: in queries, in headers, or by itself."""
    text = _QUERY.sub(lambda match: "?" + redact_query(match[1]), text)
    text = _HEADER.sub(rf"\1\2{REDACTED}", text)
    text = _PAIR.sub(rf"\1{REDACTED}", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return _JOSE.sub(REDACTED, text)


def _redact_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    # As the application will read it: %74oken is token.
    read = unquote_plus(name)
    if equals and (_SECRET_PARTS.search(read) or read.lower() in _SECRET_NAMES):
        return f"{name}={REDACTED}"
    if _JOSE.search(unquote_plus(pair)):
        return REDACTED
    return f"{name}{equals}{value}"


class RedactSecrets(logging.Filter):
    """Redacts what a logger or handler is about to write: for those who keep the access log of
    their server, or write requests into logs of their own.

    logging.getLogger("uvicorn.access").addFilter(RedactSecrets())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; lets every one through."""
        if isinstance(record.args, Mapping):
            record.args = {name: _redacted(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(map(_redacted, record.args))
        if record.name != _TAKEN_APART:
            with contextlib.suppress(TypeError, ValueError, KeyError):
                # What is secret may show only where the text and its arguments meet.
                message = record.getMessage()
                if (safe := redact(message)) != message:
                    record.msg, record.args = safe, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def _redacted(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else redact(str(value))


class AccessLog:
    """Writes a line for each request that has ended, on the logger ``tidewire.access``; for a
    stream also one when it opens, since it may be open for days.

    A line: client address, user id (``-``: nobody proved to be one), method and path, status,
    milliseconds or ``opened``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logger = logging.getLogger(LOGGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._logger.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = "-"
        # What the application learns of the request is left here by it.
        scope.setdefault("state", {})

        async def send_and_look(message: Message) -> None:
            nonlocal status
            await send(message)
            if message["type"] == "http.response.start":
                status = str(message["status"])
                if _is_stream(message):
                    self._write(scope, status, "opened")

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            self._write(scope, status, f"{(time.monotonic() - began) * 1000:.1f} ms")

    def _write(self, scope: Scope, status: str, took: str) -> None:
        request = HTTPConnection(scope)
        client = client_of(request) or (request.client.host if request.client else "-")
        user = quote(user_of(request) or "-", safe="@:|+")
        target = quote(scope["path"], safe=_SHOWN_IN_PATH)
        if scope["query_string"]:
            target += "?" + redact_query(scope["query_string"].decode("latin-1"))
        method = scope["method"]
        self._logger.info('%s %s "%s %s" %s %s', client, user, method, target, status, took)


def _is_stream(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )


def configure() -> None:
    """Lets the access log be written, and nothing secret by what writes it: where the
    application has not set its logging up itself, to the standard error."""
    logging.basicConfig(format=FORMAT)
    logger = logging.getLogger(LOGGER)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, RedactSecrets) for each in handler.filters):
            handler.addFilter(RedactSecrets())
