"""In an application of FastAPI, endpoints are called at once where it has nothing to do for them,
and by it where it has. Either way they answer the same."""

import asyncio
from typing import Any

import fastapi.routing
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Response
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import HTTPConnection, Request

from tests.http.server import SECRET, check_problem, client, make_tidewire, serving, streaming
from tidewire import Settings, Tidewire
from tidewire.http import router

PATHS = ("/api/sse", "/api/realtime/sse", "/api/realtime/polling")
ALICE = {"userId": "alice"}
PUBLISHER = {**ALICE, "permissions": "publish"}


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request was answered at once."""
    seen: list[bool] = []
    ask = router.stands_alone

    def stands_alone(*asked: Any) -> bool:
        seen.append(ask(*asked))
        return seen[-1]

    monkeypatch.setattr(router, "stands_alone", stands_alone)
    return seen


def included(tidewire: Tidewire) -> Any:
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)
    return app


def included_twice(tidewire: Tidewire) -> Any:
    app, between = FastAPI(lifespan=tidewire.lifespan), APIRouter()
    between.include_router(tidewire.router)
    app.include_router(between, tags=["live"])
    return app


@pytest.mark.parametrize("way", [included, included_twice])
@pytest.mark.parametrize("path", PATHS)
async def test_it_is_answered_at_once_where_nothing_stands_before_it(
    way: Any, path: str, straight: list[bool]
) -> None:
    tidewire = make_tidewire()
    async with serving(way(tidewire), tidewire.drain) as url, client(url) as http:
        async with streaming(http, path, {**ALICE, "since": "latest"}) as answer:
            assert answer.response.headers["x-content-type-options"] == "nosniff"
            assert int(answer.response.headers["ratelimit-remaining"]) > 0
        assert (await http.get(path)).status_code == 401
        refused = await http.post(path, params=ALICE)
        check_problem(refused, 405, "CLIENT_METHOD_NOT_ALLOWED")
        assert refused.headers["allow"] == "GET"
        refused = await http.put("/api/sse/health", params=ALICE)
        assert refused.headers["allow"] == "GET, POST"
    assert straight == [True, True]


class Door:
    """A dependency that somebody puts before our routes."""

    def __init__(self) -> None:
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        raise HTTPException(418)


def by_the_inclusion(app: FastAPI, router: APIRouter, door: Door) -> None:
    app.include_router(router, dependencies=[Depends(door.check)])


def by_a_router_between(app: FastAPI, router: APIRouter, door: Door) -> None:
    between = APIRouter(dependencies=[Depends(door.check)])
    between.include_router(router)
    app.include_router(between)


def by_an_inclusion_between(app: FastAPI, router: APIRouter, door: Door) -> None:
    between = APIRouter()
    between.include_router(router, dependencies=[Depends(door.check)])
    app.include_router(between)


def by_the_application(app: FastAPI, router: APIRouter, door: Door) -> None:
    app.router.dependencies.append(Depends(door.check))
    app.include_router(router)


@pytest.mark.parametrize(
    "put", [by_the_inclusion, by_a_router_between, by_an_inclusion_between, by_the_application]
)
@pytest.mark.parametrize("path", PATHS)
async def test_no_dependency_is_passed_by(put: Any, path: str, straight: list[bool]) -> None:
    tidewire, door = make_tidewire(), Door()
    app = FastAPI(lifespan=tidewire.lifespan)
    put(app, tidewire.router, door)
    async with serving(app, tidewire.drain) as url, client(url) as http:
        assert (await http.get(path, params=ALICE)).status_code == 418
    assert door.asked == 1
    assert straight == [False]


@pytest.mark.parametrize("path", [*PATHS, "/api/realtime/cursor", "/livez", "/tidewire.js"])
async def test_what_a_dependency_sets_is_sent(path: str) -> None:
    async def renew(response: Response) -> None:
        response.headers["x-renewed"] = "yes"
        response.set_cookie("session", "longer")

    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, dependencies=[Depends(renew)])
    async with (
        serving(app, tidewire.drain) as url,
        client(url) as http,
        http.stream("GET", path, params=ALICE) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["x-renewed"] == "yes"
        assert answer.cookies["session"] == "longer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert len(answer.headers.get_list("content-type")) == 1


@pytest.mark.parametrize("path", ["/api/realtime/polling", "/livez"])
async def test_what_a_dependency_leaves_for_later_is_done(path: str) -> None:
    done = asyncio.Event()

    async def leave(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.set)

    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, dependencies=[Depends(leave)])
    async with serving(app, tidewire.drain) as url, client(url) as http:
        assert (await http.get(path, params=ALICE)).status_code == 200
        await asyncio.wait_for(done.wait(), 5)


async def test_a_limit_on_bodies_holds(straight: list[bool]) -> None:
    tidewire = make_tidewire()
    app, between = FastAPI(lifespan=tidewire.lifespan), APIRouter(max_body_size=10)
    between.include_router(tidewire.router)
    app.include_router(between)
    async with serving(app) as url, client(url) as http:
        body = {"type": "news", "data": "more than ten bytes"}
        answer = await http.post("/api/realtime/publish", params=PUBLISHER, json=body)
    assert answer.status_code == 413
    assert straight == [False]


async def test_a_request_that_is_traced_is_traced_as_any(straight: list[bool]) -> None:
    spans, provider, tidewire = InMemorySpanExporter(), TracerProvider(), make_tidewire()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app = FastAPI(lifespan=tidewire.lifespan, telemetry={"tracer_provider": provider})
    app.include_router(tidewire.router)
    async with serving(app) as url, client(url) as http:
        assert (await http.get("/api/realtime/polling", params=ALICE)).status_code == 200
    assert "GET /api/realtime/polling" in {span.name for span in spans.get_finished_spans()}
    assert straight == [False]


async def test_what_somebody_puts_around_endpoints_is_called(
    straight: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    make = fastapi.routing.get_request_handler

    def make_watched(dependant: Any, *given: Any, **options: Any) -> Any:
        endpoint = dependant.call

        async def watch(request: Request, **given: Any) -> Any:
            asked.append(request.url.path)
            return await endpoint(request=request, **given)

        dependant.call = watch
        return make(dependant, *given, **options)

    # So do those who report errors and times.
    monkeypatch.setattr(fastapi.routing, "get_request_handler", make_watched)
    tidewire = make_tidewire()
    async with serving(included(tidewire), tidewire.drain) as url, client(url) as http:
        assert (await http.get("/livez")).json() == {"status": "alive"}
    assert asked == ["/livez"]
    assert straight == [False]


async def test_routes_of_an_application_that_is_mounted_in_a_router_are_called_by_it(
    straight: list[bool],
) -> None:
    tidewire = make_tidewire()
    app, between = FastAPI(lifespan=tidewire.lifespan), APIRouter()
    within = FastAPI(routes=tidewire.router.routes)
    between.mount("/within", within)
    app.include_router(between)
    async with serving(app) as url, client(url) as http:
        assert (await http.get("/within/livez")).json() == {"status": "alive"}
    assert straight == [False]


async def test_an_override_of_a_dependency_counts(straight: list[bool]) -> None:
    tidewire, door = make_tidewire(), Door()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, dependencies=[Depends(door.check)])
    app.dependency_overrides[door.check] = lambda: None
    async with (
        serving(app, tidewire.drain) as url,
        client(url) as http,
        streaming(http, "/api/sse", ALICE) as stream,
    ):
        assert (await stream.block()).event == "connected"
    assert (door.asked, straight) == (0, [False])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "query",
    [
        *(
            "named=2",
            "limit=0",
            "limit=x",
            "wait=-1",
            "wait=nan",
            "limit=&wait=",
            "clientType=&x=1",
        ),
        *("types=", "types=a&types=b", "type=a", "user_id=x", "last_event_id=1", "lastEventID=1"),
        *("topics=a", "since=x", "lastEventId=x", "since=", "token=x", "instanceId=" + "x" * 129),
    ],
)
async def test_a_query_is_told_the_same_where_something_stands_before_it(
    path: str, query: str, straight: list[bool]
) -> None:
    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router)
    app.include_router(tidewire.router, prefix="/solved", dependencies=[Depends(lambda: None)])
    bodies = []
    async with serving(app, tidewire.drain) as url, client(url) as http:
        for before in ("", "/solved"):
            async with http.stream("GET", f"{before}{path}?userId=alice&{query}") as answer:
                told = await answer.aread() if answer.status_code != 200 else b""
                bodies.append((answer.status_code, told))
    assert bodies[0] == bodies[1]
    assert straight == [True, False]


async def test_what_a_dependency_raises_of_ours_is_a_problem() -> None:
    async def teacher(number: int) -> None:
        raise AssertionError("there is no number")

    tidewire = make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(
        tidewire.router, prefix="/known", dependencies=[Depends(tidewire.authenticate)]
    )
    app.include_router(tidewire.router, prefix="/numbered", dependencies=[Depends(teacher)])
    async with serving(app) as url, client(url) as http:
        check_problem(await http.get("/known/tidewire.js"), 401, "AUTH_REQUIRED")
        answer = await http.get("/numbered/tidewire.js", params=ALICE)
        assert check_problem(answer, 400, "VALIDATION_PARAMETER")["parameter"] == "number"


async def test_what_a_session_raises_for_fastapi_is_answered_by_it(straight: list[bool]) -> None:
    async def session(request: HTTPConnection) -> None:
        raise HTTPException(418, "a teapot")

    settings = Settings.load(sse_jwt_secret=SECRET, nextauth_secret=None, log_url=None)
    tidewire = Tidewire(settings, session=session)
    async with serving(included(tidewire)) as url, client(url) as http:
        answer = await http.get("/api/sse")
    assert (answer.status_code, answer.json()) == (418, {"detail": "a teapot"})
    assert straight == [True]
