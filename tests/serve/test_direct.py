"""A stream takes its connection over where it may, and is the same stream everywhere."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.fakes import FakeClock
from tests.http.server import Live, client, live, make_tidewire, serving
from tests.serve.wire import Peer, answer_in, dechunk, peer, stream_on
from tests.waiting import until
from tidewire import Event, Tidewire, Visit
from tidewire.core.connections import Connection
from tidewire.serve.direct import DirectSink, Streams
from tidewire.serve.protocol import Protocol
from tidewire.transports.handover import HANDOVER

pytestmark = pytest.mark.both_loops

ALICE = "/api/sse?userId=alice"


class Marker:
    """Something in the scope of a request that can be looked for."""


@dataclass
class Watch:
    """What is left of the connections and requests of one server."""

    states: list[ServerState] = field(default_factory=list)
    protocols: "weakref.WeakSet[Protocol]" = field(default_factory=weakref.WeakSet)
    markers: "weakref.WeakSet[Marker]" = field(default_factory=weakref.WeakSet)

    @property
    def state(self) -> ServerState:
        return self.states[-1]

    @property
    def protocol(self) -> type[Protocol]:
        watch = self

        class Watched(Protocol):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                watch.protocols.add(self)
                watch.states.append(self.server_state)

        return Watched

    def marking(self, app: ASGIApp) -> ASGIApp:
        async def marked(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope["tests.marker"] = Marker()
                self.markers.add(scope["tests.marker"])
            await app(scope, receive, send)

        return marked


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    async with live(make_tidewire(), protocol=Protocol) as running:
        yield running


async def connections(tidewire: Tidewire) -> list[Connection]:
    return list((await tidewire.start()).keeper.connections)


async def is_direct(tidewire: Tidewire) -> bool:
    """Whether the streams of this Tidewire, all of one kind, have taken their connections."""
    kinds = {type(each.reader.sink) for each in await connections(tidewire)}
    assert len(kinds) == 1
    return kinds == {DirectSink}


async def test_what_belonged_to_the_request_is_gone_while_the_stream_is_open() -> None:
    watch, tidewire = Watch(), make_tidewire()
    async with (
        serving(watch.marking(tidewire.app), tidewire.drain, protocol=watch.protocol) as url,
        stream_on(url) as stream,
    ):
        assert await is_direct(tidewire)
        await until(lambda: not watch.state.tasks)
        gc.collect()
        assert not watch.protocols
        assert not watch.markers
        assert not any(isinstance(each, Protocol) for each in watch.state.connections)
        assert watch.state.total_requests == 1
        await tidewire.publish(Event("news", "still here"))
        await stream.until(b"still here")


async def test_the_protocol_of_a_request_is_gone_without_a_collection() -> None:
    watch, tidewire = Watch(), make_tidewire()
    async with serving(tidewire.app, tidewire.drain, protocol=watch.protocol) as url:
        # The first request finds and keeps things for all that follow.
        async with stream_on(url):
            pass
        await until(lambda: not watch.state.tasks)
        gc.collect()
        gc.disable()
        try:
            async with stream_on(url):
                await until(lambda: not watch.state.tasks)
                assert not watch.protocols
        finally:
            gc.enable()


async def test_an_ordinary_request_leaves_nothing_that_has_to_be_collected() -> None:
    watch, tidewire = Watch(), make_tidewire()
    async with serving(watch.marking(tidewire.app), tidewire.drain, protocol=watch.protocol) as url:
        for _ in range(2):
            # The first request finds and keeps things for all that follow.
            gc.collect()
            gc.disable()
            try:
                async with httpx.AsyncClient(base_url=url) as http:
                    assert (await http.get("/livez")).status_code == 200
                await until(lambda: not watch.protocols)
                left = len(watch.markers)
            finally:
                gc.enable()
        assert left == 0


# Shutdown, as any uvicorn tells it


async def test_a_stream_that_was_asked_for_before_a_shutdown_and_opens_after_it_ends() -> None:
    connections: set[object] = set()
    streams = Streams(connections)
    assert connections == {streams}
    streams.shutdown()
    assert connections == set()
    drained = asyncio.Event()
    go_on = asyncio.Event()

    async def drain() -> None:
        drained.set()
        await go_on.wait()

    streams.register(drain)
    streams.register(drain)
    streams.began()
    await drained.wait()
    assert connections == {streams}
    streams.ended()
    assert connections == {streams}
    go_on.set()
    await until(lambda: not connections)


async def test_each_application_is_told_of_a_shutdown_once_and_all_are_waited_for() -> None:
    connections: set[object] = set()
    streams = Streams(connections)
    told: list[str] = []

    def drains(name: str) -> Callable[[], Awaitable[None]]:
        async def drain() -> None:
            told.append(name)
            await asyncio.sleep(0)

        return drain

    streams.register(drains("first"))
    streams.shutdown()
    streams.shutdown()
    streams.register(drains("late"))
    assert connections == {streams}
    await until(lambda: not connections)
    assert told == ["first", "late"]


# Middleware


class PassOn(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def changing(change: Callable[[Message, Send], Awaitable[None]]) -> Callable[[ASGIApp], ASGIApp]:
    """Middleware that sees each message on its way to the server."""

    def middleware(app: ASGIApp) -> ASGIApp:
        async def changed(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_changed(message: Message) -> None:
                await change(message, send)

            await app(scope, receive, send_changed if scope["type"] == "http" else send)

        return changed

    return middleware


@changing
async def adds_a_header(message: Message, send: Send) -> None:
    if message["type"] == "http.response.start":
        message = {**message, "headers": [*message["headers"], (b"x-added", b"yes")]}
    await send(message)


@changing
async def rewrites_the_body(message: Message, send: Send) -> None:
    if message["type"] == "http.response.body":
        body = message.get("body", b"").replace(b'"source":"server"', b'"source":"proxy"')
        message = {**message, "body": body}
    await send(message)


def rewrites_some(app: ASGIApp) -> ASGIApp:
    """Leaves the first bytes as they are, so it must say that others will not be."""

    @changing
    async def rewrites_events(message: Message, send: Send) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": message.get("body", b"").replace(b"news", b"NEWS")}
        await send(message)

    rewriting = rewrites_events(app)

    async def rewritten(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            del scope["extensions"][HANDOVER]
        await rewriting(scope, receive, send)

    return rewritten


@changing
async def puts_something_before(message: Message, send: Send) -> None:
    await send(message)
    if message["type"] == "http.response.start":
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})


@changing
async def encodes_by_its_own_way(message: Message, send: Send) -> None:
    if message["type"] == "http.response.start":
        message["headers"].append((b"content-encoding", b"identity"))
    await send(message)


@changing
async def starts_anew(message: Message, send: Send) -> None:
    if message["type"] == "http.response.start":
        message = {name: message[name] for name in ("type", "status", "headers")}
    await send(message)


def delays_the_start(app: ASGIApp) -> ASGIApp:
    async def delayed(scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            while held:
                await asyncio.sleep(0)
                await send(held.pop())
            await send(message)

        await app(scope, receive, send_later)

    return delayed


def sends_from_a_task_of_its_own(app: ASGIApp) -> ASGIApp:
    async def queued(scope: Scope, receive: Receive, send: Send) -> None:
        waiting: asyncio.Queue[Message | None] = asyncio.Queue()

        async def sender() -> None:
            while (message := await waiting.get()) is not None:
                await send(message)

        task = asyncio.create_task(sender())
        try:
            await app(scope, receive, waiting.put)
        finally:
            await waiting.put(None)
            await task

    return queued


MIDDLEWARE: dict[str, tuple[list[Any], bool | None]] = {
    "none": ([], True),
    "CORSMiddleware": ([(CORSMiddleware, {"allow_origins": ["*"]})], True),
    "adds a header": ([(adds_a_header, {})], True),
    "delays the start": ([(delays_the_start, {})], True),
    "GZipMiddleware": ([(GZipMiddleware, {"minimum_size": 1})], None),
    "BaseHTTPMiddleware": ([(PassOn, {})], False),
    "rewrites the body": ([(rewrites_the_body, {})], False),
    "rewrites some": ([(rewrites_some, {})], False),
    "puts something before": ([(puts_something_before, {})], False),
    "encodes": ([(encodes_by_its_own_way, {})], False),
    "starts anew": ([(starts_anew, {})], False),
    "sends from a task": ([(sends_from_a_task_of_its_own, {})], False),
    "all that keeps it": (
        [(CORSMiddleware, {"allow_origins": ["*"]}), (adds_a_header, {}), (delays_the_start, {})],
        True,
    ),
}


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("name", MIDDLEWARE)
async def test_under_whatever_middleware_each_event_comes_once_and_the_end_is_proper(
    name: str, version: str
) -> None:
    middleware, expected = MIDDLEWARE[name]
    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)
    for each, options in middleware:
        app.add_middleware(each, **options)
    async with (
        serving(app, tidewire.drain, protocol=Protocol) as url,
        stream_on(
            url,
            version=version,
            Origin="http://localhost:3000",
            Accept_Encoding="gzip",
            Connection="close",
        ) as stream,
    ):
        if expected is not None:
            assert await is_direct(tidewire) is expected
        for number in range(50):
            await tidewire.publish(Event("news", number))
        await stream.until_data(49)
        await tidewire.drain()
        await stream.to_the_end()
    answer = stream.answer
    assert answer.is_chunked is (version == "1.1")
    if answer.is_chunked:
        assert dechunk(answer.rest).ended
        assert not dechunk(answer.rest).rest
    blocks = [block for block in answer.blocks if block.event is not None]
    assert (blocks[0].event, blocks[-1].event) == ("connected", "disconnecting")
    assert [block.data for block in blocks[1:-1]] == list(range(50))
    assert (b'"server"' in answer.body) is (name != "rewrites the body")
    assert (b"news" in answer.body) is (name != "rewrites some")


async def included(tidewire: Tidewire) -> ASGIApp:
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, prefix="/live")
    return app


async def mounted(tidewire: Tidewire) -> ASGIApp:
    app = FastAPI(lifespan=tidewire.lifespan)
    app.mount("/live", tidewire.app)
    return app


async def mounted_in_starlette(tidewire: Tidewire) -> ASGIApp:
    app = Starlette()
    app.mount("/live", tidewire.app)
    return app


@pytest.mark.parametrize("within", [included, mounted, mounted_in_starlette])
async def test_within_another_application_it_is_handed_over_too(
    within: Callable[[Tidewire], Awaitable[ASGIApp]],
) -> None:
    tidewire = make_tidewire()
    async with (
        serving(await within(tidewire), tidewire.drain, protocol=Protocol) as url,
        stream_on(url, "/live" + ALICE) as stream,
    ):
        assert await is_direct(tidewire)
        await tidewire.publish(Event("news", 1))
        await stream.until_data(1)
        await tidewire.drain()
        await stream.to_the_end()
        assert stream.answer.blocks[-1].event == "disconnecting"
    await tidewire.stop()


async def test_the_call_of_the_application_returns_and_the_closing_call_comes_at_the_end() -> None:
    tidewire = make_tidewire()
    happened: list[str] = []

    def looking(app: ASGIApp) -> ASGIApp:
        async def looked(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            if scope["type"] == "http":
                happened.append("returned")
                handover = scope["extensions"][HANDOVER]
                assert handover.taken
                assert (await receive())["type"] == "http.disconnect"
                # Who still sends is neither heard nor stopped.
                await send({"type": "http.response.body", "body": b"late", "more_body": False})
                handover.on_end(lambda: happened.append("ended"))
                if scope["query_string"].endswith(b"leaves"):
                    await until(lambda: not tuple(node.keeper.connections))
                    handover.on_end(lambda: happened.append("ended before"))

        return looked

    async with serving(looking(tidewire.app), tidewire.drain, protocol=Protocol) as url:
        node = await tidewire.start()
        async with stream_on(url) as stream:
            await until(lambda: bool(happened))
            await tidewire.publish(Event("news", 1))
            await stream.until_data(1)
            assert happened == ["returned"]
        await until(lambda: happened == ["returned", "ended"])
        assert b"late" not in stream.received
        happened.clear()
        async with stream_on(url, ALICE + "&clientType=leaves"):
            pass
        await until(lambda: len(happened) == 3)
        assert happened == ["returned", "ended", "ended before"]


# HTTP


async def test_http_1_0_has_no_chunks_and_ends_with_the_connection(server: Live) -> None:
    async with stream_on(server.url, version="1.0") as stream:
        assert await is_direct(server.tidewire)
        await server.publish("news", "x" * 100_000)
        await stream.until(b'xxx"')
        await server.tidewire.drain()
        await stream.to_the_end()
    answer = stream.answer
    assert "transfer-encoding" not in answer.headers
    assert "content-length" not in answer.headers
    assert answer.headers["connection"] == "close"
    assert answer.rest.startswith(b"event: connected\n")
    assert answer.rest.endswith(b"\n\n")
    assert [block.event for block in answer.blocks] == ["connected", "news", "disconnecting"]


async def test_a_second_http_1_0_request_in_the_same_packet_brings_no_chunks_either(
    server: Live,
) -> None:
    async with peer(server.url) as found:
        one = f"GET {ALICE} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        await found.send(one + one)
        await found.until(b"\n\n")
        await server.tidewire.drain()
        await found.to_the_end()
    assert not found.answer.is_chunked
    assert found.answer.rest.startswith(b"event: connected\n")


async def test_other_answers_are_those_of_plain_uvicorn() -> None:
    tidewire = make_tidewire()
    app = Starlette()
    app.mount("/", tidewire.app)
    async with (
        serving(app, protocol=Protocol) as ours,
        serving(app, protocol=HttpToolsProtocol) as plain,
    ):
        for version in ("1.0", "1.1"):
            for method in ("GET", "HEAD", "POST"):
                for path in ("/livez", "/nothing", "/openapi.json", "/api/sse"):
                    answers = [await answer_to(url, path, method, version) for url in (ours, plain)]
                    assert answers[0] == answers[1], (version, method, path)
    await tidewire.stop()


async def answer_to(url: str, path: str, method: str, version: str) -> list[bytes]:
    async with peer(url) as found:
        await found.ask(path, method=method, version=version, Connection="close")
        await found.to_the_end()
    return [line for line in bytes(found.received).split(b"\r\n") if not line.startswith(b"date:")]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_answer_of_unknown_length_ends_as_its_version_can(version: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200})
        for part in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    async with serving(app, protocol=Protocol) as url, peer(url) as found:
        await found.ask("/", version=version, Connection="close")
        await found.to_the_end()
    assert found.answer.is_chunked is (version == "1.1")
    assert found.answer.body == b"onetwothree"


async def test_the_answer_says_that_the_connection_ends_with_it(server: Live) -> None:
    async with stream_on(server.url) as stream:
        assert stream.answer.headers["connection"] == "close"
    async with stream_on(server.url, Connection="close") as stream:
        assert stream.answer.headers["connection"] == "close"
        await until_one_is_left(server)
        assert await is_direct(server.tidewire)


async def until_one_is_left(server: Live) -> None:
    keeper = (await server.tidewire.start()).keeper
    await until(lambda: len(keeper.connections) == 1)


async def revoke(server: Live) -> None:
    await server.tidewire.revoke(user_id="alice")


async def disconnect(server: Live) -> None:
    await server.tidewire.disconnect_user("alice")


async def drain(server: Live) -> None:
    await server.tidewire.drain()


@pytest.mark.parametrize("end", [drain, revoke, disconnect])
async def test_a_regular_end_is_a_last_chunk(
    server: Live, end: Callable[[Live], Awaitable[None]]
) -> None:
    async with stream_on(server.url) as stream:
        await server.publish("news", 1)
        await end(server)
        await stream.to_the_end()
    found = dechunk(stream.answer.rest)
    assert found.ended
    assert found.rest == b""
    assert stream.answer.blocks[-1].event == "disconnecting"


async def test_the_end_of_a_credential_is_a_last_chunk() -> None:
    clock = FakeClock()
    tidewire = make_tidewire(clock=clock, ping_interval=100_000)
    async with live(tidewire, protocol=Protocol) as server, stream_on(server.url) as stream:
        clock.advance(3601)
        await stream.to_the_end()
    assert dechunk(stream.answer.rest).ended
    assert [block.event for block in stream.answer.blocks][-2:] == ["problem", "disconnecting"]


async def test_an_end_that_is_none_has_no_last_chunk(server: Live) -> None:
    async with stream_on(server.url) as stream:
        (connection,) = await connections(server.tidewire)
        connection.reader.sink.abort()
        with suppress(ConnectionResetError):
            await stream.to_the_end()
    assert not dechunk(stream.answer.rest).ended


async def test_a_request_that_came_with_the_streams_is_answered_after_it(server: Live) -> None:
    async with peer(server.url) as found:
        second = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        await found.send(f"GET {ALICE} HTTP/1.1\r\nHost: localhost\r\n\r\n{second}".encode())
        await found.until(b"\n\n")
        assert not await is_direct(server.tidewire)
        await server.publish("news", 1)
        await found.until_data(1)
        await server.tidewire.drain()
        await found.to_the_end()
    stream = dechunk(found.answer.rest)
    assert stream.ended
    assert answer_in(stream.rest).status == 200


async def test_a_request_that_comes_on_an_open_stream_is_not_heard(server: Live) -> None:
    async with stream_on(server.url) as stream:
        await stream.ask("/livez")
        await server.publish("news", 1)
        await stream.until_data(1)
        assert bytes(stream.received).count(b"HTTP/1.1") == 1


# What a client does


async def test_so_much_input_is_passed_over_and_more_ends_the_stream(server: Live) -> None:
    async with stream_on(server.url) as stream:
        (connection,) = await connections(server.tidewire)
        await stream.send(b"x" * 4096)
        await server.publish("news", 1)
        await stream.until_data(1)
        await stream.send(b"x")
        await stream.to_the_end()
        assert dechunk(stream.answer.rest).ended
    await until(lambda: connection.closing)


async def test_a_client_who_closes_its_half_ends_the_stream(server: Live) -> None:
    node = await server.tidewire.start()
    async with stream_on(server.url) as stream:
        stream.half_close()
        await stream.to_the_end()
        await until(lambda: len(node.keeper.connections) == 0)


async def test_peers_that_reset_during_writes_are_forgotten_once_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left: list[str | None] = []

    async def remember(visit: Visit) -> None:
        left.append(visit.client_id)

    tidewire = make_tidewire(on_disconnect=remember)
    async with live(tidewire, protocol=Protocol) as server:
        node = await tidewire.start()
        for _ in range(3):
            async with AsyncExitStack() as stack:
                peers = [
                    await stack.enter_async_context(
                        stream_on(server.url, f"/api/sse?userId=u{n}", receive_buffer=2048)
                    )
                    for n in range(10)
                ]
                for number in range(40):
                    await tidewire.publish([Event("news", "x" * 1000)] * 5)
                    if number == 20:
                        for each in peers:
                            each.reset()
            await until(lambda: len(node.keeper.connections) == 0)
        await until(lambda: len(left) == 30)
    assert len(set(left)) == 30
    assert not caplog.records


# The same bytes


async def test_the_bytes_are_those_of_the_portable_stream() -> None:
    clock = FakeClock()
    tidewire = make_tidewire(clock=clock, ping_interval=1000)
    app = Starlette()
    app.mount("/", tidewire.app)
    for named in ("1", "0"):
        async with (
            serving(app, protocol=Protocol) as direct,
            serving(app, protocol=HttpToolsProtocol) as portable,
        ):
            cursor = await tidewire.cursor()
            for number in range(300):
                await tidewire.publish(
                    Event("new s" if number % 3 else "x", {"ü": "\u2028" * number})
                )
            path = f"/api/sse?userId=alice&named={named}&since={cursor}"
            async with (
                stream_on(direct, path) as one,
                stream_on(portable, path) as two,
                stream_on(direct, path + "&types=x") as three,
                stream_on(portable, path + "&types=x") as four,
                stream_on(direct, f"/api/sse?userId=alice&named={named}&since=1-2-abcd") as five,
                stream_on(portable, f"/api/sse?userId=alice&named={named}&since=1-2-abcd") as six,
            ):
                both = [one, two, three, four, five, six]
                for _ in range(50):
                    await tidewire.publish([Event("x", "y" * 3000)] * 2)
                await tidewire.publish(Event("x", "live"))
                for each in both:
                    await each.until_data("live")
                clock.advance(1000)
                for each in both:
                    await each.until(b'"type":"ping"')
                clock.advance(2400)
                for each in both:
                    await each.until(b'"type":"authExpiring"')
                await tidewire.revoke(user_id="alice")
                for each in both:
                    if each in (one, three, five):
                        await each.to_the_end()
                    else:
                        await each.until(b"0\r\n\r\n")
                for left, right in ((one, two), (three, four), (five, six)):
                    assert after_connected(left) == after_connected(right)
            await tidewire.stop()


def after_connected(stream: Peer) -> bytes:
    """The body; the first block names the client."""
    body = dechunk(stream.answer.rest)
    assert body.ended
    return body.body.partition(b"\n\n")[2]


async def test_streams_of_every_kind_are_served_side_by_side() -> None:
    tidewire = make_tidewire()
    app = Starlette()
    app.mount("/", tidewire.app)
    async with (
        serving(app, protocol=Protocol) as direct,
        serving(app, protocol=HttpToolsProtocol) as portable,
        stream_on(direct, "/api/sse?userId=a") as one,
        stream_on(direct, "/api/sse?userId=b", version="1.0") as two,
        stream_on(portable, "/api/sse?userId=c") as three,
        stream_on(direct, "/api/sse?userId=d&named=0") as four,
    ):
        for number in range(20):
            await tidewire.publish(Event("news", number))
        await tidewire.publish(Event("news", "end"))
        for each in (one, two, three, four):
            await each.until_data("end")
            assert [block.data for block in each.answer.blocks][1:] == [*range(20), "end"]
        await tidewire.drain()
        for each in (one, two, four):
            await each.to_the_end()
    await tidewire.stop()


async def test_keep_alive_goes_on_after_other_answers(server: Live) -> None:
    async with peer(server.url) as found:
        for _ in range(3):
            found.received.clear()
            await found.ask("/livez")
            await found.until(b"}")
        found.received.clear()
        await found.ask(ALICE)
        await found.until(b"\n\n")
        assert await is_direct(server.tidewire)
        async with client(server.url) as http:
            assert (await http.get("/livez")).status_code == 200
