"""What both transports need of ASGI: its types, the sign that a client left, a refusal."""

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from tidewire.core.errors import TidewireError
from tidewire.core.event import encode_json

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


async def until_disconnect(receive: Receive) -> None:
    """Returns when the client has gone, or the server says so."""
    while (await receive())["type"] != "http.disconnect":
        pass


def problem_headers(error: TidewireError) -> dict[str, str]:
    """The headers of an answer that tells of an error."""
    headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
    if error.status == 401:
        # RFC 9110 section 15.5.2: a 401 names a way to authenticate.
        headers["www-authenticate"] = 'Bearer realm="tidewire"'
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after / 1000))
    return headers


async def refuse(error: TidewireError, send: Send) -> None:
    """Answers a problem (RFC 9457) where nothing was answered yet."""
    body = encode_json(error.problem())
    headers = {**problem_headers(error), "content-length": str(len(body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
