"""How a node is: while Redis comes and goes, before it came, and when the node is deaf."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.fakes import FakeClock
from tests.http.server import check_problem, live
from tests.nodes.cluster import ADMIN, Cluster, Member
from tests.redisserver import Redis
from tests.tcpproxy import Proxy
from tests.waiting import until
from tidewire.http import life as life_module


async def status(member: Member) -> str:
    answer = await member.http.get("/api/sse/health")
    assert answer.status_code == 200, answer.text
    told: str = answer.json()["status"]
    return told


async def readyz(member: Member) -> tuple[int, str]:
    answer = await member.http.get("/readyz")
    return answer.status_code, answer.json()["status"] if answer.status_code == 200 else ""


async def step(clock: FakeClock, member: Member, done: Callable[[], bool], limit: int) -> int:
    """Lets time pass until something is so; returns the seconds."""
    for passed in range(1, limit + 1):
        clock.advance(1)
        now = clock.monotonic()
        await until(lambda now=now: member.ticked == now)  # type: ignore[misc]
        if done():
            return passed
    raise AssertionError(f"not within {limit} s")


async def test_a_node_is_healthy_degraded_while_redis_is_away_and_healthy_again(
    cluster: Cluster, proxy: Proxy
) -> None:
    async with cluster.member(port=proxy.port) as a:
        assert (await status(a), await readyz(a)) == ("healthy", (200, "ready"))
        proxy.refuse()
        await until(lambda: a.status == "degraded")
        assert (await status(a), await readyz(a)) == ("degraded", (200, "degraded"))
        answer = await a.http.post(
            "/api/realtime/publish", params=ADMIN, json={"type": "news", "data": 1}
        )
        assert (answer.status_code, answer.json()["durable"]) == (202, False)
        details = await a.get("/api/sse/health", details=True)
        storage = details["components"]["storage"]
        assert (storage["status"], storage["source"], storage["spooled"]) == (
            "degraded",
            "spool",
            1,
        )
        assert "Redis" in storage["reason"]
        proxy.pass_on()
        await until(lambda: a.status == "healthy")
        assert (await status(a), await readyz(a)) == ("healthy", (200, "ready"))
        details = await a.get("/api/sse/health", details=True)
        storage = details["components"]["storage"]
        assert (storage["source"], storage["spooled"], storage["log"]["entries"]) == ("redis", 0, 1)


async def test_health_says_little_to_everybody(cluster: Cluster) -> None:
    async with cluster.member() as a, a.live.stream("ann") as stream:
        await stream.block()
        answer = await a.http.get("/api/sse/health")
        body = answer.json()
        assert body.keys() == {
            *("status", "timestamp", "uptime", "connections", "errorRate", "responseTime")
        }
        assert body["connections"] == {"total": 1, "users": 1}
        assert answer.headers["cache-control"] == "no-store"


async def test_a_stream_that_opens_while_redis_is_away_says_so(
    cluster: Cluster, proxy: Proxy
) -> None:
    async with cluster.member(port=proxy.port) as a:
        proxy.refuse()
        await until(lambda: a.status == "degraded")
        async with a.live.stream() as stream:
            assert (await stream.block()).data["degraded"] is True


async def test_a_node_that_hears_its_log_no_more_is_not_ready_within_ten_seconds(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.two(clock=clock) as (a, b):
        assert await readyz(a) == (200, "ready")
        pump = b.tidewire._life.node.log.log.hearing._pump  # type: ignore[union-attr]
        pump.cancel()
        await asyncio.wait([pump])
        await a.live.publish(data="unheard")
        assert await step(clock, b, lambda: not b.tidewire.ready, 12) <= 10
        assert await status(b) == "unhealthy"
        check_problem(await b.http.get("/readyz"), 503, "SERVER_UNAVAILABLE")
        assert await status(a) == "healthy"
        assert await readyz(a) == (200, "ready")


async def test_a_node_that_hears_nothing_is_not_ready_although_nobody_publishes(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.member(clock=clock) as a:
        pump = a.tidewire._life.node.log.log.hearing._pump  # type: ignore[union-attr]
        pump.cancel()
        await asyncio.wait([pump])
        assert await step(clock, a, lambda: not a.tidewire.ready, 15) <= 10


async def test_a_node_whose_hub_hears_nothing_is_not_ready(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.member(clock=clock) as a:
        follower = a.node.hub.follower._task
        assert follower is not None
        follower.cancel()
        await asyncio.wait([follower])
        assert await status(a) == "unhealthy"
        check_problem(await a.http.get("/readyz"), 503, "SERVER_UNAVAILABLE")


async def test_a_busy_or_a_quiet_node_stays_ready(cluster: Cluster, clock: FakeClock) -> None:
    async with cluster.two(clock=clock) as (a, b):
        for second in range(40):
            clock.advance(1)
            now = clock.monotonic()
            await until(lambda now=now: a.ticked == b.ticked == now)  # type: ignore[misc]
            await until(lambda: a.keeper._lease._told_at is b.keeper._lease._told_at is None)
            if second % 3 == 0:
                await a.live.publish(data=second)
            assert a.tidewire.ready
            assert b.tidewire.ready


async def test_a_node_that_drains_is_not_ready(cluster: Cluster) -> None:
    async with cluster.member() as a:
        await a.tidewire.drain()
        check_problem(await a.http.get("/readyz"), 503, "DRAINING")
        assert await status(a) == "unhealthy"
        assert (await a.http.get("/livez")).status_code == 200


async def test_a_node_that_starts_while_redis_is_away_answers_503_and_serves_soon_after(
    cluster: Cluster, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life_module, "START_AGAIN_SECONDS", 1.0)
    proxy.refuse()
    tidewire, journal, _, _ = cluster.make(port=proxy.port)
    async with live(tidewire) as running:
        for path in ("/api/sse", "/api/realtime/polling", "/api/realtime/cursor", "/readyz"):
            answer = await running.http.get(path, params={"userId": "ann"})
            problem = check_problem(answer, 503, "LOG_AWAY")
            assert problem["retryAfter"] is not None
        answer = await running.http.post(
            "/api/realtime/publish", params=ADMIN, json={"type": "news"}
        )
        check_problem(answer, 503, "LOG_AWAY")
        health = await running.http.get("/api/sse/health")
        assert (health.status_code, health.json()["status"]) == (200, "unhealthy")
        assert (await running.http.get("/livez")).status_code == 200
        proxy.pass_on()
        await until(lambda: tidewire.ready)
        async with running.stream() as stream:
            assert (await stream.block()).event == "connected"
            await running.publish(data="x")
            assert (await stream.block()).data == "x"
        assert journal.notes == [
            "the log cannot be reached yet; it is tried again",
            "the log was reached",
        ]


async def test_a_node_that_never_reached_its_log_ends_in_order(
    cluster: Cluster, proxy: Proxy
) -> None:
    proxy.black_hole()
    tidewire, _, _, _ = cluster.make(port=proxy.port)
    async with asyncio.timeout(10), live(tidewire) as running:
        assert (await running.http.get("/livez")).status_code == 200


async def test_the_password_of_redis_is_in_no_answer_and_no_note(
    cluster: Cluster, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "hunter2-of-redis"
    tidewire, journal, _, _ = cluster.make(
        log_url=f"redis://somebody:{secret}@127.0.0.1:{redis.port}"
    )
    paths = ("/api/sse/health", "/api/realtime/cursor", "/readyz", "/api/sse")
    async with live(tidewire) as running:
        said = [(await running.http.get(path, params=ADMIN)).text for path in paths]
        more = await running.http.get("/api/sse/health", params={**ADMIN, "details": "true"})
    said.append(more.text)
    assert "LOG_AWAY" in said[1]
    assert secret not in json.dumps([said, journal.notes]) + caplog.text
    assert secret not in repr(tidewire.settings)
