"""A real server on a real socket in the test's own loop, and clients that look at every byte."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.waiting import until
from tidewire import Settings, Tidewire
from tidewire.core.clock import Clock
from tidewire.core.journal import Journal
from tidewire.core.log import EventLog
from tidewire.http.hooks import Hook
from tidewire.http.tracing import Tracer
from tidewire.serve.protocol import Protocol

SECRET = "the-secret-of-these-tests-0123456789"

PROBLEM = {
    "type",
    "title",
    "status",
    "detail",
    "code",
    "category",
    "retryable",
    "retryAfter",
    "recovery",
}


def make_tidewire(
    *,
    dev: bool = True,
    secret: str | None = SECRET,
    clock: Clock | None = None,
    log: EventLog | None = None,
    journal: Journal | None = None,
    on_disconnect: Hook | None = None,
    tracer: Tracer | None = None,
    **settings: Any,
) -> Tidewire:
    """One that reads nothing from the environment of whoever runs the tests."""
    settings.setdefault("drain_seconds", 0.5)
    for address in ("log_url", "dragonfly_url", "redis_url"):
        settings.setdefault(address, None)
    given = Settings.load(sse_jwt_secret=secret, nextauth_secret=None, **settings)
    return Tidewire(
        given,
        dev=dev,
        clock=clock,
        log=log,
        journal=journal,
        on_disconnect=on_disconnect,
        tracer=tracer,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        # Uvicorn's own looks every tenth of a second whether it is to end.
        await self.on_tick(0)
        await self.ended.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are for the process that runs the tests.
        yield


@asynccontextmanager
async def serving(
    app: ASGIApp,
    before_end: Callable[[], Awaitable[None]] | None = None,
    *,
    protocol: type[asyncio.Protocol] | None = None,
) -> AsyncIterator[str]:
    """Serves on a free port; yields the URL.

    Args:
        app: what is served.
        before_end: awaited before the server ends.
        protocol: the HTTP protocol; None = that of `tidewire serve` where the loop is the one
            that it runs on, and plain uvicorn's elsewhere (see the mark ``both_sinks``).
    """
    if protocol is None:
        is_ours = isinstance(asyncio.get_running_loop(), uvloop.Loop)
        protocol = Protocol if is_ours else HttpToolsProtocol
    # As `tidewire serve`: by default uvicorn believes what is said on this machine of clients.
    config = uvicorn.Config(
        app,
        http=protocol,
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=3,
        proxy_headers=False,
    )
    server = _Server(config)
    # With the protocol named: asyncio turns Nagle's algorithm off only where it is.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await until(lambda: server.started or task.done())
            assert server.started, "the server did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            if before_end is not None:
                await before_end()
            server.ended.set()
            await task


def client(url: str) -> httpx.AsyncClient:
    # Plain HTTP: loading the certificates for TLS would take longer than most tests.
    return httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, verify=False)  # noqa: S501


@dataclass
class Live:
    """A Tidewire that is served, and a client of it."""

    tidewire: Tidewire
    url: str
    http: httpx.AsyncClient

    async def publish(self, type_: str = "news", data: Any = None, **metadata: Any) -> str:
        """Publishes over HTTP as an administrator; returns the id."""
        answer = await self.http.post(
            "/api/realtime/publish",
            params={"userId": "admin", "roles": "ADMIN"},
            json={"type": type_, "data": data, "metadata": metadata},
        )
        assert answer.status_code == 200, answer.text
        ids: list[str] = answer.json()["ids"]
        return ids[0]

    async def cursor(self) -> str:
        return await self.tidewire.cursor()

    async def poll(self, user: str = "alice", **params: Any) -> dict[str, Any]:
        answer = await self.http.get("/api/realtime/polling", params={"userId": user, **params})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def stream(
        self, user: str = "alice", headers: dict[str, str] | None = None, **params: Any
    ) -> contextlib.AbstractAsyncContextManager["Stream"]:
        return streaming(self.http, "/api/sse", {"userId": user, **params}, headers)


@asynccontextmanager
async def live(
    tidewire: Tidewire, *, protocol: type[asyncio.Protocol] | None = None
) -> AsyncIterator[Live]:
    async with (
        serving(tidewire.app, tidewire.drain, protocol=protocol) as url,
        client(url) as http,
    ):
        yield Live(tidewire, url, http)


@dataclass(frozen=True)
class Block:
    """One block of a stream, by its bytes."""

    raw: bytes

    @property
    def fields(self) -> list[tuple[str, str]]:
        pairs = [line.partition(": ") for line in self.raw.decode().split("\n")]
        return [(name, value) for name, _, value in pairs]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.fields]

    def _value(self, name: str) -> str | None:
        return dict(self.fields).get(name)

    @property
    def event(self) -> str | None:
        return self._value("event")

    @property
    def id(self) -> str | None:
        return self._value("id")

    @property
    def retry(self) -> str | None:
        return self._value("retry")

    @property
    def envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = json.loads(self._value("data") or "")
        return envelope

    @property
    def type(self) -> str:
        type_: str = self.envelope["type"]
        return type_

    @property
    def data(self) -> Any:
        return self.envelope["data"]


class Stream:
    """An open stream; ``seen`` holds every byte that came."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.seen = b""
        self._chunks = response.aiter_raw()
        self._rest = b""

    async def block(self, seconds: float = 5.0) -> Block:
        """The next block. Raises StopAsyncIteration at the end of the stream."""
        async with asyncio.timeout(seconds):
            while b"\n\n" not in self._rest:
                chunk = await anext(self._chunks)
                self.seen += chunk
                self._rest += chunk
        raw, _, self._rest = self._rest.partition(b"\n\n")
        return Block(raw)

    async def blocks(self, count: int) -> list[Block]:
        return [await self.block() for _ in range(count)]

    async def until(self, data: Any) -> list[Block]:
        """All blocks before the event with this payload."""
        before = []
        while (block := await self.block()).data != data:
            before.append(block)
        return before

    async def to_end(self) -> list[Block]:
        """All blocks until the server ends the stream."""
        found = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                found.append(await self.block())
        assert not self._rest, "the stream ended within a block"
        return found


@asynccontextmanager
async def streaming(
    http: httpx.AsyncClient,
    path: str,
    params: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Stream]:
    async with http.stream("GET", path, params=params, headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        yield Stream(response)


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks that an answer is a whole problem of this kind; returns it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert body.keys() >= PROBLEM
    assert body["status"] == status
    assert body["type"] == f"urn:tidewire:problem:{code}"
    assert body["title"]
    assert body["detail"].endswith((".", "?")), "a sentence that says what to do"
    category, recovery = RECOVERY[status]
    assert body["category"] in category
    assert body["recovery"] == recovery
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    return body


RECOVERY = {
    400: ({"validation"}, "none"),
    401: ({"authentication"}, "refresh_token"),
    403: ({"authentication"}, "none"),
    404: ({"client"}, "none"),
    405: ({"client"}, "none"),
    413: ({"validation"}, "none"),
    422: ({"validation"}, "none"),
    429: ({"rate_limit"}, "fallback_polling"),
    501: ({"server"}, "none"),
    503: ({"connection", "server"}, "retry"),
}
