"""What an application calls says what the routes say."""

from typing import Any

import pytest

from tests.http.server import Live
from tidewire.core.errors import NotFound

ADMIN = {"userId": "admin", "roles": "ADMIN"}


async def get(server: Live, path: str, **params: Any) -> Any:
    answer = await server.http.get(path, params={**ADMIN, **params})
    assert answer.status_code == 200, answer.text
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
