"""What a connect costs before its stream is made: from the head of the request to
`Service.open_stream`, in one process and without sockets.

    python -m bench.connect_path [--users 5000]

Each user comes with a token and a cursor of their own. The stream itself is a stand-in, so what
is measured is middleware, routing, validation, authentication, limits, problems and the access
log. Each is handed over: its connection outlives its request, as under `tidewire serve`.
"""

import argparse
import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidewire import Settings, Tidewire
from tidewire.core.target import Identity
from tidewire.http.accesslog import AccessLog
from tidewire.http.redaction import FORMAT, configure
from tidewire.transports.handover import HANDOVER
from tidewire.transports.sse import HEADERS, StreamRequest

SECRET: Final = "a-secret-that-is-only-for-benchmarks"

Make = Callable[[], Scope]


class Stream:
    """Stands for a stream: it opens, and is handed over."""

    resumed = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        await send({"type": "http.response.body", "body": b"opening", "more_body": True})


class HandedOver:
    taken = True

    def on_end(self, call: Callable[[], None]) -> None:
        self.call = call


def request(token: str, cursor: str, *, in_query: bool) -> Scope:
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"accept", b"text/event-stream"),
        (b"last-event-id", cursor.encode()),
    ]
    if not in_query:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "method": "GET",
        "path": "/api/sse",
        "raw_path": b"/api/sse",
        "query_string": f"token={token}".encode() if in_query else b"",
        "headers": headers,
        "state": {},
        "extensions": {HANDOVER: HandedOver()},
    }


async def microseconds(app: ASGIApp, requests: Sequence[Make]) -> float:
    """Of processor time for each request; making the scope, which a server does, not counted."""

    async def receive() -> Message:
        raise AssertionError("nothing is received")

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...

    async def run(app: ASGIApp) -> float:
        gc.collect()
        began = time.process_time()
        for make in requests:
            await app(make(), receive, send)
        return time.process_time() - began

    return (await run(app) - await run(nothing)) / len(requests) * 1e6


async def measure(users: int) -> None:
    settings = Settings.load(
        sse_jwt_secret=SECRET,
        nextauth_secret=None,
        log_url=None,
        dragonfly_url=None,
        redis_url=None,
        rate_limits="connect=1000/minute,resume=1000/minute",
    )
    tidewire = Tidewire(settings)

    async def open_stream(identity: Identity, asked: StreamRequest) -> Any:
        return Stream()

    async with tidewire.lifespan():
        cursor = await tidewire.cursor()
        roles, topics = frozenset({"customer"}), frozenset({"orders", "prices"})
        tokens = [
            tidewire.issue_token(Identity(f"user-{number}", roles=roles, topics=topics)).token
            for number in range(users)
        ]
        tidewire.open_stream = open_stream  # type: ignore[method-assign, assignment]
        plain: ASGIApp = tidewire.app
        logged = AccessLog(plain)
        print(f"{'us per connect':<16}{'first':>8}{'again':>8}{'with the log':>14}")
        for name, in_query in (("bearer", False), ("?token=", True)):
            requests = [partial(request, token, cursor, in_query=in_query) for token in tokens]
            first = await microseconds(plain, requests)
            again = await microseconds(plain, requests)
            with_log = await microseconds(logged, requests)
            print(f"{name:<16}{first:>8.1f}{again:>8.1f}{with_log:>14.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5000)
    users = parser.parse_args().users
    # Where lines go costs a server as much as anything else; here it is to nowhere.
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        logging.basicConfig(stream=nowhere, format=FORMAT)
        configure()
        asyncio.run(measure(users))


if __name__ == "__main__":
    main()
