"""What both transports need of ASGI: its types, the sign that a client left, a refusal."""

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


async def refuse(error: TidewireError, send: Send) -> None:
    """Answers a problem (RFC 9457) where nothing was answered yet."""
    body = encode_json(error.problem())
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
