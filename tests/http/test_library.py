"""What an application calls says what the routes say."""

import re
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.routing import Route

from tests.http.server import SECRET, Live, check_problem, live
from tidewire import Identity, Settings, Tidewire
from tidewire.core.errors import Forbidden, NotFound

ADMIN = {"userId": "admin", "roles": "ADMIN"}


async def get(server: Live, path: str, **params: Any) -> Any:
    answer = await server.http.get(path, params={**ADMIN, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_clients_and_what_became_of_them(server: Live) -> None:
    tidewire = server.tidewire
    async with server.stream("ann", clientInfo="tests") as stream:
        client_id = (await stream.block()).data["clientId"]
        assert await tidewire.clients() == await get(server, "/api/realtime/clients")
        told = await tidewire.client(client_id)
        assert told == await get(server, f"/api/realtime/clients/{client_id}")
        assert told["client"]["clientInfo"] == "tests"
        event = await server.publish()
        assert (await tidewire.explain(event, "ann"))["verdict"] == "written"
        assert await tidewire.health_check() == 1
        assert await tidewire.disconnect(client_id, "enough")
        blocks = await stream.to_end()
        assert blocks[-1].data["reason"] == "enough"
    with pytest.raises(NotFound):
        await tidewire.client("nobody")


async def test_nobody_keeps_what_administrators_see(server: Live) -> None:
    event = await server.publish()
    async with server.stream("ann") as stream:
        client_id = (await stream.block()).data["clientId"]
        for path in ("clients", f"clients/{client_id}", "events", "monitor"):
            await get(server, f"/api/realtime/{path}")
        await get(server, "/api/realtime/explain", event=event, user="ann")
        await get(server, "/api/sse/health", details=True)
    metrics = await server.http.get("/metrics", params=ADMIN)
    assert metrics.headers["cache-control"] == "no-store"


async def test_health_and_figures(server: Live) -> None:
    tidewire = server.tidewire
    await server.publish()
    for details in (False, True):
        told = await tidewire.health(details=details)
        shown = await get(server, "/api/sse/health", details=details)
        assert told.keys() == shown.keys()
        assert told["status"] == shown["status"] == "healthy"
    figures = await tidewire.stats()
    shown = await get(server, "/api/realtime/monitor")
    assert figures.keys() == shown.keys()
    assert figures["metrics"].keys() == shown["metrics"].keys()
    assert (figures["metrics"]["published"], figures["sseStats"]["nodes"]) == (1, 1)


async def test_what_is_told_of_the_health_of_a_node_is_whole(server: Live) -> None:
    await server.publish()
    told = await get(server, "/api/sse/health", details=True)
    assert told.keys() == {
        *("status", "timestamp", "uptime", "connections", "errorRate", "responseTime"),
        *("components", "metrics", "events", "errors", "system"),
    }
    for part in told["components"].values():
        assert {"status", "reason"} <= part.keys()
    assert told["components"].keys() == {"connections", "authentication", "events", "storage"}
    assert told["components"]["connections"]["states"].keys() == {
        *("connecting", "connected", "idle", "stale", "disconnecting")
    }
    assert {"attempts", "failed"} <= told["components"]["authentication"].keys()
    assert {"published", "delivered", "behind", "canaryAge"} <= told["components"]["events"].keys()
    storage = told["components"]["storage"]
    assert {"source", "spooled"} <= storage.keys()
    assert storage["log"].keys() == {"entries", "bytes", "floor", "head"}
    assert told["metrics"].keys() == {
        *("requests", "failed", "published", "heard", "written"),
        *("deliveryLatency", "publishLatency", "behind"),
    }
    assert told["events"].keys() == {"published", "perMinute", "head", "floor"}
    assert told["errors"].keys() == {"recent", "byCategory", "bySeverity", "total"}
    assert len(told["errors"]["byCategory"]) == 7
    assert {
        *("node", "host", "version", "python", "pid", "rss"),
        *("openFiles", "fileLimit", "loopLag"),
    } <= told["system"].keys()


class Own(Tidewire):
    """One with an idea of its own of who asks: nobody, until somebody is said to."""

    somebody: Identity | None = None

    async def authenticate(self, request: HTTPConnection) -> Identity:
        if self.somebody is None:
            raise Forbidden("Not on a Sunday.")
        return self.somebody


def make_own() -> Own:
    away = dict.fromkeys(("nextauth_secret", "log_url", "redis_url", "dragonfly_url"))
    settings = Settings.load(sse_jwt_secret=SECRET, **away)
    return Own(settings, dev=True)


FOR_ANYONE = {"/livez", "/readyz", "/tidewire.js", "/openapi.json", "/docs"}

NEEDED: dict[str, dict[str, str]] = {
    "/api/sse/health": {"details": "true"},
    "/api/realtime/explain": {"event": "1-1-abcd", "user": "ann"},
}
"""Without these an endpoint does not ask who it is."""


async def test_each_endpoint_that_asks_who_it_is_asks_the_override_of_a_subclass() -> None:
    own = make_own()
    asked = 0
    async with live(own) as server:
        for route in own.app.routes:
            assert isinstance(route, Route)
            if route.path in FOR_ANYONE:
                continue
            for method in route.methods or ():
                path = re.sub(r"{.*}", "main.js", route.path)
                # Whom development mode would let do everything.
                given = {**ADMIN, **NEEDED.get(route.path, {})}
                answer = await server.http.request(method, path, params=given)
                assert answer.status_code == 403, (method, path)
                if method != "HEAD":
                    assert check_problem(answer, 403, "AUTH_FORBIDDEN")["detail"] == (
                        "Not on a Sunday."
                    )
                asked += 1
    assert asked >= 20


async def test_whom_an_override_names_may_do_what_they_may() -> None:
    own = make_own()
    async with live(own) as server:
        for roles, monitor in (((), 403), (("ADMIN",), 200)):
            own.somebody = Identity("root", roles=frozenset(roles))
            for path, status in (("/api/realtime/cursor", 200), ("/api/realtime/monitor", monitor)):
                assert (await server.http.get(path)).status_code == status
