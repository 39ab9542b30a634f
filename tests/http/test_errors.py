"""Each kind of failure is provoked over HTTP, and journal, health, figures and recovery show it."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes import FakeClock, FakeJournal
from tests.http.server import Live, check_problem, live, make_tidewire
from tests.waiting import until
from tidewire.core import keeper as keeper_module
from tidewire.core.event import Event
from tidewire.core.keeper import SWEEP_SECONDS
from tidewire.core.log import IdempotencyKey, Page
from tidewire.core.position import Position
from tidewire.health.journal import MAX_ERRORS
from tidewire.logs import Retention
from tidewire.logs.memory import MemoryLog

ADMIN = {"userId": "admin", "roles": "ADMIN"}


class Faulty(MemoryLog):
    """A log that does not append, or is not heard, where a test says so."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(Retention(seconds=10**6), clock=clock)
        self.fault: Exception | None = None
        self.broken: Exception | None = None
        self.hangs = False
        self.follows = 0

    async def append(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        if self.fault is not None:
            raise self.fault
        return await super().append(events, key=key)

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        self.follows += 1
        hangs = self.hangs
        async for page in super().follow(after):
            if hangs:
                await asyncio.Event().wait()
            if self.broken is not None:
                raise self.broken
            yield page


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "TICK_SECONDS", 0.005)


@pytest.fixture
def log(clock: FakeClock) -> Faulty:
    return Faulty(clock)


@asynccontextmanager
async def served(
    clock: FakeClock, log: Faulty | None = None, **settings: Any
) -> AsyncIterator[Live]:
    settings.setdefault("ping_interval", 30)
    async with live(make_tidewire(clock=clock, log=log, **settings)) as running:
        yield running


async def health(server: Live, **params: Any) -> dict[str, Any]:
    answer = await server.http.get("/api/sse/health", params={**ADMIN, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body


async def shows(
    server: Live, code: str, category: str, severity: str, strategy: str
) -> dict[str, Any]:
    """Checks that an error is told in health and figures; returns it."""
    told = (await health(server, details=True))["errors"]
    [entry] = [one for one in told["recent"] if one["code"] == code]
    assert (entry["category"], entry["severity"]) == (category, severity)
    assert entry["recovery"]["strategy"] == strategy
    assert told["byCategory"][category] >= entry["count"]
    assert told["bySeverity"][severity] >= entry["count"]
    text = (await server.http.get("/metrics", params=ADMIN)).text
    node = entry["context"]["node"]
    line = f'tidewire_errors_total{{category="{category}",code="{code}",node="{node}"}}'
    assert f"{line} {entry['count']}.0" in text
    return dict(entry)


async def test_authentication(clock: FakeClock) -> None:
    async with served(clock) as server:
        for _ in range(2):
            check_problem(await server.http.get("/api/sse?token=x.y.z"), 401, "AUTH_INVALID_TOKEN")
        entry = await shows(
            server, "AUTH_INVALID_TOKEN", "authentication", "medium", "refresh_token"
        )
        assert entry["count"] == 2
        assert entry["context"] == {
            "endpoint": "/api/sse",
            "address": "127.0.0.1",
            "node": entry["context"]["node"],
        }
        assert "x.y.z" not in str(entry)
        part = (await health(server, details=True))["components"]["authentication"]
        assert part["failed"] == 2
        assert part["attempts"] > 2
        text = (await server.http.get("/metrics", params=ADMIN)).text
        assert 'tidewire_auth_failures_total{code="AUTH_INVALID_TOKEN"' in text


async def test_rate_limit(clock: FakeClock) -> None:
    async with served(clock, rate_limits="token=1/minute") as server:
        await server.http.get("/api/auth/sse-token", params={"userId": "ann"})
        refused = await server.http.get("/api/auth/sse-token", params={"userId": "ann"})
        check_problem(refused, 429, "RATE_LIMIT_EXCEEDED")
        entry = await shows(
            server, "RATE_LIMIT_EXCEEDED", "rate_limit", "medium", "fallback_polling"
        )
        assert entry["context"]["userId"] == "ann"
        assert entry["retryAfter"] == entry["recovery"]["nextDelay"] > 0
        text = (await server.http.get("/metrics", params=ADMIN)).text
        assert 'tidewire_rate_limit_refusals_total{code="RATE_LIMIT_EXCEEDED"' in text


async def test_validation(clock: FakeClock) -> None:
    async with served(clock) as server:
        refused = await server.http.get("/api/sse", params={"userId": "ann", "since": "x"})
        check_problem(refused, 400, "VALIDATION_CURSOR")
        entry = await shows(server, "VALIDATION_CURSOR", "validation", "low", "none")
        assert entry["retryable"] is False


async def test_client(clock: FakeClock) -> None:
    async with served(clock) as server:
        refused = await server.http.post(
            "/api/auth/sse-token/refresh", params={"userId": "ann"}, json={"clientId": "gone"}
        )
        check_problem(refused, 404, "CLIENT_NOT_FOUND")
        check_problem(await server.http.get("/api/nothing"), 404, "CLIENT_NOT_FOUND")
        told = (await health(server, details=True))["errors"]
        assert told["byCategory"]["client"] == 2


async def test_connection(clock: FakeClock) -> None:
    async with served(clock, max_connections=1) as server, server.stream() as stream:
        await stream.block()
        refused = await server.http.get("/api/sse", params={"userId": "bob"})
        check_problem(refused, 503, "NODE_FULL")
        entry = await shows(server, "NODE_FULL", "connection", "high", "retry")
        assert entry["context"]["userId"] == "bob"
        told = await health(server, details=True)
        assert told["status"] == told["components"]["connections"]["status"] == "unhealthy"
        assert told["components"]["connections"]["reason"]


async def test_server(clock: FakeClock, log: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    async with served(clock, log) as server:
        log.fault = ValueError("a fault with token=hunter2")
        refused = await server.http.post(
            "/api/realtime/publish", params=ADMIN, json={"type": "news"}
        )
        check_problem_of_server(refused)
        entry = await shows(server, "SERVER_ERROR", "server", "high", "restart_connection")
        assert "hunter2" not in str(entry)
        assert entry["message"].startswith("a request failed: ValueError: a fault with token=")
        told = await health(server, details=True)
        assert told["status"] == told["components"]["events"]["status"] == "degraded"
        assert "a request failed" in caplog.text
        clock.advance(301)
        # With the next canary.
        await until(lambda: server.tidewire.status == "healthy")


def check_problem_of_server(answer: Any) -> None:
    assert (answer.status_code, answer.json()["code"]) == (500, "SERVER_ERROR")


async def test_timeout(clock: FakeClock) -> None:
    async with served(clock) as server:
        # A peer that asks for a stream and reads nothing of it.
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            url = urlsplit(server.url)
            peer.connect((url.hostname, url.port))
            peer.sendall(b"GET /api/sse?userId=ann HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            connections = server.tidewire._life.node.keeper.connections  # type: ignore[union-attr]
            await until(lambda: connections.states()["connected"] == 1)
            [connection] = connections
            while connection.reader.sink.blocked_since() is None:
                await server.publish(data="x" * 200_000)
            told = await health(server, details=True)
            assert told["metrics"]["behind"]["readers"] in (0, 1)
            for _ in range(2):
                clock.advance(SWEEP_SECONDS + 1)
                await until(
                    lambda: not len(connections) or connection.state.value in ("stale", "connected")
                )
                await until(lambda: server_ticked(server, clock))
            await until(lambda: not len(connections))
        entry = await shows(server, "CONNECTION_STALE", "timeout", "low", "restart_connection")
        assert entry["recovery"]["success"] is True
        text = (await server.http.get("/metrics", params=ADMIN)).text
        assert 'tidewire_connections_closed_total{node="' in text
        assert 'reason="stale"} 1.0' in text


def server_ticked(server: Live, clock: FakeClock) -> bool:
    node = server.tidewire._life.node
    return node is not None and node.keeper._lease._ticked_at == clock.monotonic()


# What is said in a stream, and by hooks.


async def test_a_stream_that_ends_with_its_authority_is_noted(clock: FakeClock) -> None:
    async with served(clock, ping_interval=100_000) as server, server.stream("ann") as stream:
        await stream.block()
        clock.advance(3_601)
        await stream.to_end()
        entry = await shows(server, "AUTH_EXPIRED_TOKEN", "authentication", "low", "refresh_token")
        assert entry["context"]["userId"] == "ann"


async def test_a_hook_that_fails_is_noted(clock: FakeClock) -> None:
    async def fail(_: object) -> None:
        raise KeyError("ann")

    tidewire = make_tidewire(clock=clock, on_disconnect=fail)
    async with live(tidewire) as server:
        async with server.stream("ann") as stream:
            await stream.block()
        await until(lambda: len(tidewire.journal) == 1)
        await shows(server, "HOOK_FAILED", "server", "medium", "restart_connection")


# What is measured.


async def test_the_error_rate_and_the_times_are_of_the_last_five_minutes(
    clock: FakeClock,
) -> None:
    async with served(clock) as server:
        told = await health(server)
        assert (told["errorRate"], told["responseTime"]) == (
            0,
            {"p50": None, "p95": None, "p99": None},
        )
        for _ in range(3):
            await server.http.get("/api/sse", params={"userId": "ann", "since": "x"})
        # With the question before.
        told = await health(server)
        assert told["errorRate"] == 75
        assert 0 < told["responseTime"]["p50"] <= told["responseTime"]["p99"] < 5_000
        clock.advance(310)
        assert (await health(server))["errorRate"] == 0


async def test_probes_are_no_requests_and_a_held_poll_has_no_time(clock: FakeClock) -> None:
    async with served(clock) as server:
        requests = server.tidewire.measures.requests
        for path in ("/readyz", "/livez", "/docs", "/openapi.json", "/tidewire.js", "/debug/sse"):
            await server.http.get(path, params=ADMIN)
            # One that the probes of some do not take.
            assert (await server.http.post(path)).status_code == 405
        assert requests.recent().count == 0
        await server.poll(since="latest", wait=0.01)
        assert (requests.recent().count, requests.recent().timed) == (1, 0)
        await server.poll(since="latest")
        async with server.stream() as stream:
            await stream.block()
            assert (requests.recent().count, requests.recent().timed) == (3, 2)
        refused = await server.http.get("/api/realtime/polling", params={"since": "x", **ADMIN})
        assert refused.status_code == 400
        assert requests.recent().failed == 1
        # What was never asked of an endpoint has no time.
        assert (await server.http.get("/nothing")).status_code == 404
        assert (await server.http.post("/api/sse")).status_code == 405
        assert (requests.recent().failed, requests.recent().timed) == (3, 3)


async def test_what_a_publish_and_its_delivery_took_is_measured(clock: FakeClock) -> None:
    async with live(make_tidewire()) as server, server.stream() as stream:
        await stream.block()
        for number in range(20):
            await server.publish(data=number)
        await stream.until(19)
        metrics = (await health(server, details=True))["metrics"]
        assert (metrics["published"], metrics["heard"]) == (20, 20)
        assert metrics["publishLatency"]["p99"] > 0
        assert metrics["deliveryLatency"]["p99"] > 0
        text = (await server.http.get("/metrics", params=ADMIN)).text
        assert "tidewire_publish_seconds_bucket" in text
        assert "tidewire_delivery_seconds_count" in text


async def test_client_faults_do_not_flood_the_log(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidewire")
    async with served(clock, rate_limits="off") as server:
        for _ in range(50):
            await server.http.get("/api/sse", params={"userId": "ann", "since": "x"})
            await server.http.get("/api/sse")
        errors = (await health(server, details=True))["errors"]
    assert errors["total"] == 100
    assert [one["count"] for one in errors["recent"]] == [50, 50]
    assert [record for record in caplog.records if record.name.startswith("tidewire")] == []


async def test_faults_of_strangers_hide_none_of_our_own(clock: FakeClock) -> None:
    async with served(clock, rate_limits="off") as server:
        journal = server.tidewire.journal
        journal.note("x", error=OSError("cut"), code="FOLLOW_FAILED", next_try=50)
        for number in range(MAX_ERRORS + 5):
            answer = await server.http.get(f"/debug/sse/{number}")
            assert answer.status_code == 404
        await shows(server, "FOLLOW_FAILED", "server", "critical", "restart")
        told = await health(server, details=True)
        assert (
            told["errors"]["byCategory"] | {"server": 1, "client": 1_005}
            == (told["errors"]["byCategory"])
        )
        assert told["components"]["events"]["status"] == told["status"] == "degraded"
        [theirs] = [each for each in told["errors"]["recent"] if each["category"] == "client"]
        assert theirs["context"]["endpoint"] == f"/debug/sse/{MAX_ERRORS + 4}"


async def test_who_shows_nothing_or_comes_too_often_has_not_failed_to_prove_anything(
    clock: FakeClock,
) -> None:
    async with served(clock, rate_limits="auth=3/minute") as server:
        for _ in range(3):
            check_problem(await server.http.get("/api/sse"), 401, "AUTH_REQUIRED")
        attempts = server.tidewire.measures.attempts
        assert attempts.recent().count == 0
        clock.advance(61)
        statuses = [(await server.http.get("/api/sse?token=x.y.z")).status_code for _ in range(30)]
        assert set(statuses) == {401, 429}
        tried = attempts.recent()
        assert tried.count == tried.failed == statuses.count(401)


# A follow loop that is broken, and mends.


async def readyz(server: Live) -> int:
    return (await server.http.get("/readyz")).status_code


async def seconds_until(status: int, server: Live, clock: FakeClock, limit: int) -> int:
    for passed in range(limit + 1):
        if await readyz(server) == status:
            return passed
        clock.advance(1)
        await until(lambda: server_ticked(server, clock))
    raise AssertionError(f"not within {limit} s")


async def test_a_follow_loop_that_fails_is_seen_and_mends_by_itself(
    clock: FakeClock, log: Faulty
) -> None:
    journal = FakeJournal()
    tidewire = make_tidewire(clock=clock, log=log, journal=journal, ping_interval=1_000)
    async with live(tidewire) as server, server.stream() as stream:
        await stream.block()
        assert await readyz(server) == 200
        log.broken = ConnectionError("cut")
        await server.publish(data=1)
        assert await seconds_until(503, server, clock, 10) <= 10
        told = await health(server)
        assert told["status"] == "unhealthy"
        entry = await shows(server, "FOLLOW_FAILED", "server", "critical", "restart")
        assert (entry["recovery"]["success"], entry["recovery"]["nextDelay"] > 0) == (None, True)
        await shows(server, "NOT_READY", "server", "critical", "escalate")
        log.broken = None
        # Its owner tries again, in the time of the machine.
        await until(lambda: tidewire.ready)
        assert (await stream.until(1)) == []
        assert await seconds_until(200, server, clock, 10) <= 10
        clock.advance(3)
        await until(lambda: "the log is heard again" in journal.notes)
        for code in ("FOLLOW_FAILED", "NOT_READY"):
            found = (await health(server, details=True))["errors"]["recent"]
            assert {one["recovery"]["success"] for one in found if one["code"] == code} == {True}
        assert (await health(server))["status"] == "healthy"


async def test_a_follow_loop_that_hangs_is_begun_anew(clock: FakeClock, log: Faulty) -> None:
    log.hangs = True
    async with served(clock, log, ping_interval=1_000) as server, server.stream() as stream:
        await stream.block()
        await until(lambda: log.follows == 1)
        log.hangs = False
        await server.publish(data=1)
        assert await readyz(server) == 200
        assert await seconds_until(503, server, clock, 10) <= 10
        # And by then it is begun anew, and brings what was missed.
        assert (await stream.until(1)) == []
        assert log.follows == 2
        assert await seconds_until(200, server, clock, 10) <= 10
        entry = await shows(server, "FOLLOW_STALLED", "server", "critical", "restart")
        assert (entry["recovery"]["action"], entry["recovery"]["success"]) == (
            "restart_follow_loop",
            True,
        )
        await server.publish(data=2)
        assert (await stream.until(2)) == []
