"""The same small application twice: with `EventSourceResponse` of sse-starlette, and with
Starlette's own `StreamingResponse`.

``GET /sub`` and ``/sub/USER`` open a stream; ``POST /pub`` publishes each line of its body to all,
``POST /pub/USER`` to one user. No authentication, no log, no limits: what a stream has not taken
waits in its queue.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

Queue: TypeAlias = "asyncio.Queue[Any]"


class Streams:
    """Who is there."""

    def __init__(self, encode: Callable[[int, str], Any]) -> None:
        self._encode = encode
        self._all: set[Queue] = set()
        self._of: dict[str, set[Queue]] = defaultdict(set)
        self._count = 0

    async def publish(self, request: Request) -> Response:
        body = (await request.body()).decode()
        user = request.path_params.get("user")
        for line in body.split("\n"):
            self._count += 1
            event = self._encode(self._count, line)
            for queue in self._all if user is None else self._of.get(user, ()):
                queue.put_nowait(event)
        return Response('{"accepted": true}', media_type="application/json")

    async def listen(self, user: str | None) -> AsyncIterator[Any]:
        queue: Queue = asyncio.Queue()
        self._all.add(queue)
        if user is not None:
            self._of[user].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._all.discard(queue)
            if user is not None:
                self._of[user].discard(queue)


def envelope(number: int, data: str) -> str:
    return json.dumps({"id": str(number), "type": "notification", "data": data})


def as_dict(number: int, data: str) -> dict[str, str]:
    return {"id": str(number), "event": "notification", "data": envelope(number, data)}


def as_bytes(number: int, data: str) -> bytes:
    return f"event: notification\ndata: {envelope(number, data)}\nid: {number}\n\n".encode()


def with_sse_starlette() -> Starlette:
    streams = Streams(as_dict)

    async def events(user: str | None) -> AsyncIterator[dict[str, str]]:
        yield {"comment": "hi"}
        async for event in streams.listen(user):
            yield event

    async def sub(request: Request) -> Response:
        # Named, for a check where the peers are not installed.
        answer: Response = EventSourceResponse(events(request.path_params.get("user")), ping=30)
        return answer

    return _application(streams, sub)


def with_starlette() -> Starlette:
    streams = Streams(as_bytes)

    async def events(user: str | None) -> AsyncIterator[bytes]:
        yield b": hi\n\n"
        async for event in streams.listen(user):
            yield event

    async def sub(request: Request) -> Response:
        user = request.path_params.get("user")
        return StreamingResponse(events(user), media_type="text/event-stream")

    return _application(streams, sub)


def _application(streams: Streams, sub: Callable[[Request], Any]) -> Starlette:
    return Starlette(
        routes=[
            Route("/sub", sub),
            Route("/sub/{user}", sub),
            Route("/pub", streams.publish, methods=["POST"]),
            Route("/pub/{user}", streams.publish, methods=["POST"]),
        ]
    )
