"""Tidewire within somebody's application, and several of it in one process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from tests.http.server import (
    SECRET,
    Live,
    check_problem,
    client,
    live,
    make_tidewire,
    serving,
    streaming,
)
from tests.waiting import until
from tidewire import Event, Settings, Tidewire, create_app, notification
from tidewire.core.errors import Draining, Unavailable

ALICE = {"userId": "alice"}


async def test_a_router_is_included_in_an_application_with_a_lifespan_of_its_own() -> None:
    tidewire = make_tidewire()
    happened = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with tidewire.lifespan(app):
            happened.append("started" if tidewire.ready else "not ready")
            yield
        happened.append("ready" if tidewire.ready else "stopped")

    app = FastAPI(lifespan=lifespan)
    app.include_router(tidewire.router)

    @app.get("/order")
    async def order() -> dict[str, str]:
        return {"id": await tidewire.publish(notification("Order", "made", users=["alice"]))}

    async with serving(app) as url, client(url) as http:
        assert happened == ["started"]
        async with streaming(http, "/api/sse", ALICE) as stream:
            await stream.block()
            made = (await http.get("/order")).json()
            block = await stream.block()
            assert (block.id, block.type) == (made["id"], "notification")
    assert happened == ["started", "stopped"]


async def test_the_lifespan_itself_may_be_the_applications() -> None:
    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, prefix="/live")
    async with serving(app) as url, client(url) as http:
        assert tidewire.ready
        assert (await http.get("/live/readyz")).json() == {"status": "ready"}
    assert not tidewire.ready


async def test_it_is_mounted_where_no_lifespan_runs_and_starts_when_it_is_used() -> None:
    tidewire = make_tidewire()
    app = Starlette()
    app.mount("/live", tidewire.app)
    async with serving(app) as url, client(url) as http:
        before = tidewire.ready
        async with streaming(http, "/live/api/sse", ALICE) as stream:
            await stream.block()
            assert (before, tidewire.ready) == (False, True)
            await tidewire.publish(Event("news", 1))
            assert (await stream.block()).data == 1
        answer = await http.get("/live/api/realtime/polling", params={**ALICE, "limit": "0"})
        check_problem(answer, 400, "VALIDATION_PARAMETER")
        check_problem(await http.get("/live/nothing"), 404, "CLIENT_NOT_FOUND")
    await tidewire.stop()


@pytest.mark.parametrize(
    ("status", "detail"), [(418, "a teapot"), (401, {"code": "TEAPOT"}), (404, "No such tenant.")]
)
async def test_what_a_session_raises_for_starlette_is_answered_as_by_fastapi(
    status: int, detail: Any
) -> None:
    async def session(request: HTTPConnection) -> None:
        raise HTTPException(status, detail, {"x-pot": "tea"})

    settings = Settings.load(sse_jwt_secret=SECRET, nextauth_secret=None, log_url=None)
    tidewire = Tidewire(settings, session=session)
    async with serving(tidewire.app) as url, client(url) as http:
        answer = await http.get("/api/sse")
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert answer.headers["x-pot"] == "tea"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert tidewire.measures.requests.recent().failed == 1


async def test_a_route_that_somebody_adds_refuses_as_starlette_does() -> None:
    tidewire = make_tidewire()
    tidewire.app.add_route("/own", lambda request: Response(), methods=["POST"])
    async with serving(tidewire.app) as url, client(url) as http:
        assert (await http.post("/own")).status_code == 200
        refused = await http.get("/own")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_paths_are_found_by_the_names_of_their_endpoints() -> None:
    app, tidewire = Starlette(), make_tidewire()
    app.mount("/live", tidewire.app, name="live")
    assert tidewire.app.url_path_for("sse") == "/api/sse"
    assert app.url_path_for("live:client", client_id="x") == "/live/api/realtime/clients/x"


async def test_the_document_of_a_mounted_application_says_where_it_is() -> None:
    app = Starlette()
    tidewire = make_tidewire()
    app.mount("/live", tidewire.app)
    app.mount("/", tidewire.app)
    async with serving(app) as url, client(url) as http:
        within, outside = [
            (await http.get(f"{prefix}/openapi.json")).json() for prefix in ("/live", "")
        ]
    assert within.pop("servers") == [{"url": "/live"}]
    assert within == outside == tidewire.openapi()


async def test_many_first_uses_at_once_start_it_once() -> None:
    tidewire = make_tidewire()
    nodes = await asyncio.gather(*(tidewire.start() for _ in range(20)))
    assert all(node is nodes[0] for node in nodes)
    await tidewire.stop()


async def test_two_in_one_process_do_not_see_each_other() -> None:
    one, two = make_tidewire(), make_tidewire()
    app = Starlette()
    app.mount("/one", one.app)
    app.mount("/two", two.app)
    async with (
        serving(app) as url,
        client(url) as http,
        streaming(http, "/one/api/sse", ALICE) as first,
        streaming(http, "/two/api/sse", ALICE) as second,
    ):
        cursor = str((await first.block()).id)
        await second.block()
        await one.publish(Event("news", "of one"))
        await two.publish(Event("news", "of two"))
        assert (await first.block()).data == "of one"
        assert (await second.block()).data == "of two"
        answer = await http.get(
            "/two/api/realtime/polling", params={**ALICE, "since": cursor or ""}
        )
        assert answer.json()["gap"]["reason"] == "epoch"
    await one.stop()
    await two.stop()


async def test_problems_stay_problems_within_an_application_that_handles_errors() -> None:
    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)

    @app.exception_handler(Exception)
    async def theirs(request: Request, error: Exception) -> Response:
        return Response("theirs", 500)

    @app.get("/theirs")
    async def their_route(number: int) -> int:
        return number

    async with serving(app) as url, client(url) as http:
        check_problem(await http.get("/api/sse"), 401, "AUTH_REQUIRED")
        answer = await http.get("/api/realtime/polling", params={**ALICE, "limit": "x"})
        check_problem(answer, 400, "VALIDATION_PARAMETER")
        answer = await http.post("/api/realtime/publish", params=ALICE, content=b"{")
        check_problem(answer, 403, "AUTH_FORBIDDEN")
        check_problem(await http.post("/api/sse"), 405, "CLIENT_METHOD_NOT_ALLOWED")
        # And theirs stay theirs.
        assert (await http.get("/theirs", params={"number": "x"})).status_code == 422
        assert (await http.get("/nothing")).json() == {"detail": "Not Found"}


async def test_a_fault_in_the_server_is_a_problem_that_tells_nothing_of_itself() -> None:
    tidewire = make_tidewire()

    async def fail(*_: Any, **__: Any) -> str:
        raise RuntimeError(f"the secret is {SECRET}")

    async with live(tidewire) as server:
        tidewire.cursor = fail  # type: ignore[method-assign]
        answer = await server.http.get("/api/realtime/cursor", params=ALICE)
        assert answer.status_code == 500
        problem = answer.json()
        assert (problem["code"], problem["category"]) == ("SERVER_ERROR", "server")
        assert problem["recovery"] == "restart_connection"
        assert "RuntimeError" not in answer.text
        assert SECRET not in answer.text


class PassOn(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response


MIDDLEWARE: dict[str, list[tuple[Any, dict[str, Any]]]] = {
    "BaseHTTPMiddleware": [(PassOn, {})],
    "CORSMiddleware": [(CORSMiddleware, {"allow_origins": ["*"]})],
    "GZipMiddleware": [(GZipMiddleware, {"minimum_size": 1})],
    "all of them": [
        (PassOn, {}),
        (CORSMiddleware, {"allow_origins": ["*"]}),
        (GZipMiddleware, {"minimum_size": 1}),
    ],
}


@pytest.mark.both_sinks
@pytest.mark.parametrize("name", MIDDLEWARE)
async def test_a_stream_passes_through_middleware_as_it_comes(name: str) -> None:
    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)
    for middleware, options in MIDDLEWARE[name]:
        app.add_middleware(middleware, **options)
    async with serving(app, tidewire.drain) as url, client(url) as http:
        began = time.monotonic()
        headers = {"Origin": "http://localhost:3000", "Accept-Encoding": "gzip"}
        async with streaming(http, "/api/sse", ALICE, headers) as stream:
            assert (await stream.block()).event == "connected"
            assert time.monotonic() - began < 3
            assert "content-encoding" not in stream.response.headers
            for number in range(3):
                await tidewire.publish(Event("news", number))
                assert (await stream.block()).data == number
        keeper = (await tidewire.start()).keeper
        await until(lambda: len(keeper.connections) == 0)
        async with streaming(http, "/api/sse", ALICE, headers) as stream:
            await stream.block()
            await tidewire.drain()
            assert [block.event for block in await stream.to_end()] == ["disconnecting"]


async def test_publishing_from_another_event_loop_says_what_to_do(server: Live) -> None:
    cursor = await server.cursor()

    def elsewhere() -> str:
        return asyncio.run(server.tidewire.publish(Event("news", 1)))

    with pytest.raises(Unavailable, match="run_coroutine_threadsafe"):
        await asyncio.to_thread(elsewhere)
    assert await server.cursor() == cursor

    def as_it_says(loop: asyncio.AbstractEventLoop) -> str:
        publishing = server.tidewire.publish(Event("news", 1))
        return asyncio.run_coroutine_threadsafe(publishing, loop).result(5)

    id_ = await asyncio.to_thread(as_it_says, asyncio.get_running_loop())
    assert id_ == await server.cursor() != cursor


async def test_it_starts_again_after_it_was_stopped() -> None:
    tidewire = make_tidewire()
    first = await tidewire.publish(Event("news", 1))
    await tidewire.drain()
    with pytest.raises(Draining):
        await tidewire.publish(Event("news", 2))
    await tidewire.stop()
    await tidewire.stop()
    second = await tidewire.publish(Event("news", 3))
    assert tidewire.ready
    assert first.rpartition("-")[2] != second.rpartition("-")[2], "another log, another epoch"
    await tidewire.stop()


def test_it_starts_again_on_another_event_loop() -> None:
    tidewire = make_tidewire()

    async def life() -> None:
        async with tidewire.lifespan():
            await asyncio.gather(*(tidewire.publish(Event("news", n)) for n in range(5)))

    asyncio.run(life())
    asyncio.run(life())


async def test_an_application_publishes_one_or_several(server: Live) -> None:
    one = await server.tidewire.publish(Event("news", 1))
    several = await server.tidewire.publish([Event("news", 2), Event("news", 3)])
    assert [event["id"] for event in (await server.poll(since="earliest"))["events"]] == [
        one,
        *several,
    ]


async def test_administrators_are_those_whom_the_settings_name() -> None:
    async with live(make_tidewire(admin_roles=("ROOT",))) as server:
        for role, status in (("ROOT", 200), ("ADMIN", 403)):
            answer = await server.http.post(
                "/api/realtime/publish",
                params={"userId": "x", "roles": role},
                json={"type": "news"},
            )
            assert answer.status_code == status


def test_create_app_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSE_JWT_SECRET", SECRET)
    assert "/api/sse" in {route.path for route in create_app().routes if isinstance(route, Route)}


def test_nothing_runs_before_it_is_used() -> None:
    tidewire = Tidewire(Settings.load(sse_jwt_secret=SECRET))
    assert not tidewire.ready
    assert not tidewire.draining
