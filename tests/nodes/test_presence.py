"""Who is where, over all nodes: the cap of a user, a tab that goes from node to node, nodes that
go, and what an application and an operator are told of it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from tests.fakes import FakeClock
from tests.http.server import Live, Stream, check_problem
from tests.nodes.cluster import ADMIN, Cluster, Member
from tests.redisserver import Redis
from tests.tcpproxy import Proxy
from tests.waiting import until, until_told
from tidewire.core.connections import IDLE_AFTER
from tidewire.core.keeper import SWEEP_SECONDS
from tidewire.core.presence import LEASE_SECONDS


async def opened(stack: AsyncExitStack, at: Live, user: str = "ann", **params: Any) -> Stream:
    stream = await stack.enter_async_context(at.stream(user, **params))
    assert (await stream.block()).event == "connected"
    # A stream that nobody holds would be closed.
    stack.callback(lambda: stream)
    return stream


async def refused(at: Live, status: int, code: str, user: str = "ann", **params: Any) -> None:
    answer = await at.http.get("/api/sse", params={"userId": user, **params})
    check_problem(answer, status, code)


async def pass_time(clock: FakeClock, seconds: float, *members: Member) -> None:
    """Time passes, second by second, and every node has its turn in each of them."""
    for _ in range(round(seconds)):
        clock.advance(1)
        now = clock.monotonic()
        await until(lambda now=now: all(m.ticked == now for m in members))  # type: ignore[misc]
        await until(lambda: all(m.keeper._lease._told_at is None for m in members))


# The cap


async def test_the_cap_of_a_user_counts_over_all_nodes(cluster: Cluster) -> None:
    async with cluster.two(max_connections_per_user=3) as (a, b), AsyncExitStack() as stack:
        await opened(stack, a.live)
        await opened(stack, a.live)
        last = await stack.enter_async_context(AsyncExitStack())
        await opened(last, b.live)
        await until(lambda: a.keeper.presence.elsewhere("ann") == 1)
        await until(lambda: b.keeper.presence.elsewhere("ann") == 2)
        for member in (a, b):
            await refused(member.live, 429, "TOO_MANY_CONNECTIONS")
            answer = await member.live.http.get(
                "/api/realtime/polling", params={"userId": "ann", "since": "latest", "wait": 5}
            )
            check_problem(answer, 429, "TOO_MANY_CONNECTIONS")
        await opened(stack, b.live, "bob")
        await last.aclose()
        await until(lambda: a.keeper.presence.elsewhere("ann") == 0)
        await opened(stack, a.live)


async def test_at_the_cap_an_idle_stream_on_another_node_goes(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with (
        cluster.two(max_connections_per_user=2, clock=clock) as (a, b),
        AsyncExitStack() as stack,
    ):
        oldest = await opened(stack, b.live)
        second = await opened(stack, b.live)
        clock.advance(1)
        await until(lambda: a.keeper.presence.elsewhere("ann") == 2)
        await refused(a.live, 429, "TOO_MANY_CONNECTIONS")
        clock.advance(IDLE_AFTER + SWEEP_SECONDS)
        await until(lambda: b.keeper.connections.states()["idle"] == 2)
        clock.advance(1)
        await until(lambda: a.keeper.presence.dispensable("ann") == b.name)
        newest = await opened(stack, a.live)
        [goodbye] = await oldest.to_end()
        assert (goodbye.event, goodbye.data["reason"]) == ("disconnecting", "displaced")
        await a.live.publish(data="still here")
        for stream in (second, newest):
            assert (await stream.until("still here")) == []


# A tab that goes from node to node


async def test_a_tabs_new_stream_at_one_node_replaces_its_old_one_at_the_other(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        old = await opened(stack, a.live, instanceId="tab")
        others = [
            await opened(stack, a.live, instanceId="another tab"),
            await opened(stack, a.live),
            await opened(stack, a.live, "bob", instanceId="tab"),
        ]
        new = await opened(stack, b.live, instanceId="tab")
        [goodbye] = await old.to_end()
        assert (goodbye.event, goodbye.data["reason"]) == ("disconnecting", "replaced")
        await a.live.publish(data="here")
        for stream in (*others, new):
            assert (await stream.block()).data == "here"
        # It was replaced and not sent away.
        await opened(stack, a.live, instanceId="tab")


async def test_of_quick_reconnects_the_newest_stays(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        streams = [
            await opened(stack, (a, b, a)[turn % 3].live, instanceId="tab") for turn in range(12)
        ]
        for stream in streams[:-1]:
            goodbye = (await stream.to_end())[-1]
            assert goodbye.data["reason"] == "replaced"
        await b.live.publish(data="here")
        assert (await streams[-1].block()).data == "here"
        await until(lambda: len(a.keeper.connections) + len(b.keeper.connections) == 1)


async def test_of_reconnects_at_the_same_moment_exactly_one_stays(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        for _ in range(10):
            async with AsyncExitStack() as stack:
                await asyncio.gather(
                    *(opened(stack, member.live, instanceId="tab") for member in (a, b, a, b))
                )
                await until(lambda: len(a.keeper.connections) + len(b.keeper.connections) == 1)
                # Nothing is under way that would close the last one as well.
                assert await a.tidewire.disconnect("nobody")
                assert await b.tidewire.disconnect("nobody")
                assert len(a.keeper.connections) + len(b.keeper.connections) == 1
            await until(lambda: len(a.keeper.connections) + len(b.keeper.connections) == 0)


# What the application is told


async def test_an_application_is_told_once_of_each_client_that_comes_and_leaves(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b):
        async with a.live.stream("ann", clientType="web") as stream:
            connected = await stream.block()
            await until(lambda: len(a.came) == 1)
        await until(lambda: len(a.left) == 1)
        client_id = connected.data["clientId"]
        [came], [left] = a.came, a.left
        assert (came.user_id, came.client_id, came.node) == ("ann", client_id, a.name)
        assert (came.transport, came.client_type, came.reason) == ("sse", "web", None)
        assert (left.user_id, left.client_id, left.reason) == ("ann", client_id, "left")
        assert (b.came, b.left) == ([], [])


@pytest.mark.parametrize("action", ["disconnect_client", "disconnect_user"])
async def test_the_node_that_held_a_client_tells_why_it_was_ended_from_another_one(
    cluster: Cluster, action: str
) -> None:
    async with cluster.two() as (a, b), a.live.stream("ann") as stream:
        client_id = (await stream.block()).data["clientId"]
        named = {"clientId": client_id} if action == "disconnect_client" else {"userId": "ann"}
        await b.act(action, **named)
        await stream.to_end()
        await until(lambda: [left.reason for left in a.left] == ["administrator"])
        assert b.left == []


async def test_a_node_that_goes_vanishes_at_once_and_its_clients_are_told_of_by_itself(
    cluster: Cluster,
) -> None:
    async with cluster.member() as a:
        async with cluster.member(a) as b, b.live.stream("ann") as stream:
            await stream.block()
            await until(lambda: a.keeper.presence.elsewhere("ann") == 1)
            came, left = b.came, b.left
            await b.tidewire.drain()
            assert [block.event for block in await stream.to_end()] == ["disconnecting"]
        await until(lambda: a.knows())
        assert a.keeper.presence.elsewhere("ann") == 0
        assert [visit.reason for visit in left] == ["shutdown"]
        assert len(came) == 1
        assert a.left == []
        assert "a node has vanished" not in a.journal.notes


async def test_when_a_node_is_lost_one_of_the_others_tells_of_its_users_once(
    cluster: Cluster, clock: FakeClock, proxy: Proxy
) -> None:
    async with (
        cluster.member(clock=clock) as a,
        cluster.member(a, clock=clock) as b,
        cluster.member(a, b, clock=clock, port=proxy.port) as lost,
        AsyncExitStack() as stack,
    ):
        for user in ("ann", "bob", "bob"):
            await opened(stack, lost.live, user)
        for member in (a, b):
            await opened(stack, member.live, "cid")
        clock.advance(1)
        for member in (a, b):
            await until(lambda member=member: member.keeper.presence.elsewhere("bob") == 2)  # type: ignore[misc]
        name = lost.name
        proxy.refuse()
        await until(lambda: lost.keeper.hub.condition.degraded)
        await pass_time(clock, LEASE_SECONDS - 3, a, b)
        assert not a.left + b.left
        await pass_time(clock, 6, a, b)
        told = a.left + b.left
        assert sorted((visit.user_id, visit.reason) for visit in told) == [
            ("ann", "node lost"),
            ("bob", "node lost"),
        ]
        assert {(visit.node, visit.client_id) for visit in told} == {(name, None)}
        for member in (a, b):
            assert len(member.keeper.presence) == 1
            assert member.keeper.presence.elsewhere("bob") == 0
            assert member.journal.notes.count("a node has vanished") == 1
            assert member.keeper.presence.parted_at > 0
        # Whoever hears nobody does not take the others for lost.
        assert len(lost.keeper.presence) == 2
        assert lost.left == []
        proxy.pass_on()
        await until(lambda: len(a.keeper.presence) == len(b.keeper.presence) == 2)


async def test_a_lost_node_that_comes_back_has_its_users_again(
    cluster: Cluster, clock: FakeClock, proxy: Proxy
) -> None:
    async with (
        cluster.member(clock=clock) as a,
        cluster.member(a, clock=clock, port=proxy.port) as lost,
        lost.live.stream("ann") as stream,
    ):
        await stream.block()
        clock.advance(1)
        await until(lambda: a.keeper.presence.elsewhere("ann") == 1)
        proxy.refuse()
        await until(lambda: lost.keeper.hub.condition.degraded)
        await pass_time(clock, LEASE_SECONDS + 3, a)
        assert a.keeper.presence.elsewhere("ann") == 0
        proxy.pass_on()
        await until(lambda: not lost.keeper.hub.condition.degraded)
        clock.advance(2)
        await until(lambda: a.knows(lost))
        await until(lambda: a.keeper.presence.elsewhere("ann") == 1)


async def test_when_redis_was_away_for_longer_than_a_lease_nobody_is_taken_for_lost(
    cluster: Cluster, clock: FakeClock, proxy: Proxy
) -> None:
    async with (
        cluster.two(clock=clock, port=proxy.port) as (a, b),
        b.live.stream("ann") as stream,
    ):
        await stream.block()
        clock.advance(1)
        await until(lambda: a.keeper.presence.elsewhere("ann") == 1)
        proxy.refuse()
        await until(lambda: a.status == b.status == "degraded")
        for _ in range(round(LEASE_SECONDS) + 5):
            clock.advance(1)
            now = clock.monotonic()
            await until(lambda now=now: a.ticked == b.ticked == now)  # type: ignore[misc]
        proxy.pass_on()
        await until(lambda: a.status == b.status == "healthy")
        await pass_time(clock, 3, a, b)
        assert a.knows(b)
        assert b.knows(a)
        assert a.keeper.presence.elsewhere("ann") == 1
        assert a.left + b.left == []


async def test_a_node_that_stood_still_does_not_take_the_others_for_lost(
    cluster: Cluster,
) -> None:
    mine, others = FakeClock(), FakeClock()
    async with (
        cluster.member(clock=mine) as a,
        cluster.member(a, clock=others) as b,
        b.live.stream("ann") as stream,
    ):
        await stream.block()
        others.advance(1)
        await until(lambda: a.keeper.presence.elsewhere("ann") == 1)
        mine.advance(LEASE_SECONDS * 4)
        await pass_time(mine, 3, a)
        assert a.knows(b)
        assert a.left == []


# What an operator is told


async def test_monitor_and_metrics_tell_of_all_nodes_from_each_of_them(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        await opened(stack, a.live, "ann")
        await opened(stack, b.live, "ann")
        await opened(stack, b.live, "bob")
        for n in range(3):
            await a.live.publish(data=n)
        names = {a.name, b.name}

        def sums(told: dict[str, Any]) -> tuple[int, ...]:
            stats = told["sseStats"]
            return tuple(stats[k] for k in ("nodes", "connections", "users", "published", "heard"))

        for member in (a, b):
            told = await _when(
                member, lambda told: sums(told) == (2, 3, 2, 3, 6), "/api/realtime/monitor"
            )
            assert told["allInstancesMetrics"].keys() == names
            assert told["metrics"] == told["allInstancesMetrics"][member.name] | {
                key: told["metrics"][key] for key in ("written",)
            }
            assert {one["connections"] for one in told["allInstancesMetrics"].values()} == {1, 2}
            text = (await member.http.get("/metrics", params=ADMIN)).text
            for node, users in ((a, 1), (b, 2)):
                assert f'tidewire_users{{node="{node.name}"}} {users}.0' in text
                assert f'tidewire_ready{{node="{node.name}"}} 1.0' in text
                assert 'tidewire_node_info{host="' in text.replace(f'node="{node.name}",', "")
            assert f'tidewire_events_published_total{{node="{a.name}"}} 3.0' in text
            assert f'tidewire_connections{{node="{b.name}",state="connected"}} 2.0' in text
            assert f'tidewire_transports{{node="{b.name}",transport="sse"}} 2.0' in text


async def _when(member: Member, good: Callable[[dict[str, Any]], bool], path: str) -> Any:
    return await until_told(partial(member.get, path), good)


async def test_a_node_that_went_is_in_no_figure(cluster: Cluster) -> None:
    async with cluster.member() as a:
        async with cluster.member(a) as b:
            gone = b.name
            assert gone in (await a.get("/api/realtime/monitor"))["allInstancesMetrics"]
        await until(lambda: a.knows())
        told = await a.get("/api/realtime/monitor")
        assert told["allInstancesMetrics"].keys() == {a.name}
        assert gone not in (await a.http.get("/metrics", params=ADMIN)).text


async def test_a_scraper_needs_only_its_token(cluster: Cluster) -> None:
    async with cluster.member(metrics_token="scrape-me") as a:
        good = await a.http.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
        assert good.status_code == 200
        assert good.headers["content-type"].startswith("text/plain")
        for header in ("Bearer scrape-you", "Bearer", "Basic scrape-me", "Bearer scrape-me2"):
            bad = await a.http.get("/metrics", headers={"Authorization": header})
            assert bad.status_code == 401
        other = await a.http.get(
            "/api/realtime/monitor", headers={"Authorization": "Bearer scrape-me"}
        )
        assert other.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/realtime/monitor"),
        ("GET", "/metrics"),
        ("POST", "/api/sse/health"),
        ("GET", "/api/sse/health?details=true"),
    ],
)
async def test_whoever_is_no_administrator_sees_and_does_nothing(
    cluster: Cluster, method: str, path: str
) -> None:
    body = {"action": "clear_events"} if method == "POST" else None
    async with cluster.member(metrics_token="scrape-me") as a:
        user = {"userId": "ann", "roles": "USER", "permissions": "publish"}
        where, _, query = path.partition("?")
        more = {"details": "true"} if query else {}
        answer = await a.http.request(method, where, params={**user, **more}, json=body)
        check_problem(answer, 403, "AUTH_FORBIDDEN")
        nobody = await a.http.request(method, path, json=body)
        assert nobody.status_code == 401


# Connections to Redis


async def test_many_clients_need_no_more_connections_to_redis(
    cluster: Cluster, redis: Redis
) -> None:
    async with (
        cluster.member(max_connections_per_user=0, max_connections=0) as a,
        httpx.AsyncClient(base_url=a.live.url, limits=httpx.Limits(), trust_env=False) as http,
        AsyncExitStack() as stack,
    ):
        # Each kind of request has been made once.
        await a.live.publish(data=1)
        await a.live.poll(since="earliest")
        before = connections(redis)
        assert before >= 3
        counts = []
        for clients in (10, 290):
            for n in range(clients):
                await opened(stack, Live(a.tidewire, a.live.url, http), f"user{n % 50}")
            await a.live.publish(data="x")
            await a.live.poll(since="earliest")
            counts.append(connections(redis))
        assert len(a.keeper.connections) == 300
        assert counts == [before, before]


def connections(redis: Redis) -> int:
    listed = str(redis.command("CLIENT", "LIST")).splitlines()
    # Beside the one that asks.
    return sum("cmd=client|list" not in line for line in listed)
