"""Decisions at one node hold at all of them: revoked, changed, extended, sent away."""

from typing import Any

import httpx
import pytest

from tests.fakes import FakeClock
from tests.http.server import check_problem, streaming
from tests.nodes.cluster import ADMIN, Cluster, Member
from tests.tcpproxy import Proxy
from tests.waiting import until


async def token(member: Member, user: str = "ann", **params: Any) -> str:
    told: str = (await member.get("/api/auth/sse-token", userId=user, roles="USER", **params))[
        "token"
    ]
    return told


async def revoke(member: Member, **body: str) -> int:
    answer = await member.http.post("/api/auth/revoke", params=ADMIN, json=body)
    assert answer.status_code in (202, 204), answer.text
    return answer.status_code


async def refresh(member: Member, client_id: str, token: str) -> httpx.Response:
    return await member.http.post(
        "/api/auth/sse-token/refresh",
        headers={"Authorization": f"Bearer {token}"},
        json={"clientId": client_id},
    )


# Revoked


async def test_revoked_at_one_node_a_stream_at_the_other_ends_within_a_second(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b):
        credential = await token(a)
        async with (
            streaming(b.http, "/api/sse", {"token": credential}) as stream,
            b.live.stream("bob") as other,
        ):
            await stream.block()
            await other.block()
            assert await revoke(a, userId="ann") == 204
            problem = await stream.block(1.0)
            assert problem.data["code"] == "AUTH_REVOKED"
            assert (await stream.to_end())[-1].data["reason"] == "revoked"
            await a.live.publish(data="x")
            assert (await other.block()).data == "x"
        for member in (a, b):
            answer = await member.http.get("/api/realtime/cursor", params={"token": credential})
            check_problem(answer, 401, "AUTH_REVOKED")


async def test_a_node_that_starts_later_knows_what_was_revoked(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        credential, other = await token(a), await token(a, "bob")
        assert await revoke(a, userId="ann") == 204
        async with cluster.member(a, b) as late:
            answer = await late.http.get("/api/realtime/cursor", params={"token": credential})
            check_problem(answer, 401, "AUTH_REVOKED")
            answer = await late.http.get("/api/realtime/cursor", params={"token": other})
            assert answer.status_code == 200


async def test_what_is_revoked_while_redis_is_away_holds_here_and_later_everywhere(
    cluster: Cluster, proxy: Proxy
) -> None:
    async with cluster.member() as a, cluster.member(a, port=proxy.port) as b:
        credential = await token(a)
        proxy.refuse()
        await until(lambda: b.status == "degraded")
        assert await revoke(b, userId="ann") == 202
        answer = await b.http.get("/api/realtime/cursor", params={"token": credential})
        check_problem(answer, 401, "AUTH_REVOKED")
        answer = await a.http.get("/api/realtime/cursor", params={"token": credential})
        assert answer.status_code == 200
        async with streaming(a.http, "/api/sse", {"token": credential}) as stream:
            await stream.block()
            proxy.pass_on()
            assert (await stream.to_end())[-1].data["reason"] == "revoked"


# Changed


async def test_a_changed_identity_reaches_open_streams_at_the_other_node(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b), b.live.stream("ann", roles="OLD") as stream:
        await stream.block()
        await a.tidewire.update_identity("ann", roles=["NEW"])
        await until(lambda: b.node.keeper.authority._changes != {})
        await a.live.publish(data="old", roles=["OLD"])
        await a.live.publish(data="new", roles=["NEW"])
        await a.live.publish(data="end")
        assert [block.data for block in await stream.until("end")] == ["new"]


async def test_a_changed_identity_is_known_to_nodes_that_start_later(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        credential = await token(a)
        await a.tidewire.update_identity("ann", roles=["NEW"])
        async with (
            cluster.member(a, b) as late,
            streaming(late.http, "/api/sse", {"token": credential}) as stream,
        ):
            await stream.block()
            await a.live.publish(data="new", roles=["NEW"])
            assert (await stream.block()).data == "new"


# Extended


async def test_a_stream_is_extended_by_way_of_the_other_node(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.two(clock=clock) as (a, b):
        first = await token(a)
        async with streaming(a.http, "/api/sse", {"token": first}) as stream:
            client_id = (await stream.block()).data["clientId"]
            ends = next(iter(a.keeper.connections)).authority_ends
            clock.advance(600)
            second = await token(b)
            answer = await refresh(b, client_id, second)
            assert answer.status_code == 200, answer.text
            assert answer.json()["expiresAt"] == ends + 600_000
            assert answer.json()["fence"] == await a.live.cursor()
            assert next(iter(a.keeper.connections)).authority_ends == ends + 600_000
            # The same once more does not last longer.
            again = check_problem(await refresh(b, client_id, second), 401, "AUTH_INVALID_TOKEN")
            here = check_problem(await refresh(a, client_id, second), 401, "AUTH_INVALID_TOKEN")
            assert again["detail"] == here["detail"]


async def test_nobody_extends_a_strangers_stream_at_the_other_node(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.two(clock=clock) as (a, b):
        credential = await token(a)
        async with streaming(a.http, "/api/sse", {"token": credential}) as stream:
            client_id = (await stream.block()).data["clientId"]
            clock.advance(600)
            for member in (a, b):
                answer = await refresh(member, client_id, await token(b, "bob"))
                stranger = check_problem(answer, 404, "CLIENT_NOT_FOUND")
                answer = await refresh(member, "0" * 32, await token(b))
                unknown = check_problem(answer, 404, "CLIENT_NOT_FOUND")
                assert stranger["detail"] == unknown["detail"]


# Sent away


@pytest.mark.parametrize("action", ["disconnect_client", "disconnect_user"])
async def test_whoever_is_sent_away_at_one_node_is_refused_at_both_for_a_minute(
    cluster: Cluster, clock: FakeClock, action: str
) -> None:
    async with (
        cluster.two(clock=clock) as (a, b),
        b.live.stream("ann", instanceId="tab") as stream,
        b.live.stream("bob", instanceId="tab") as other,
    ):
        client_id = (await stream.block()).data["clientId"]
        await other.block()
        named = {"clientId": client_id} if action == "disconnect_client" else {"userId": "ann"}
        assert await a.act(action, **named) == {"everywhere": True}
        [goodbye] = await stream.to_end()
        assert goodbye.data == {"reason": "administrator", "reconnectAfter": None}
        # What the other node posted is heard by both before this.
        assert await b.tidewire.disconnect("nobody")
        assert await a.tidewire.disconnect("nobody")
        for seconds, status in ((0, 403), (59, 403), (2, 200)):
            clock.advance(seconds)
            for member in (a, b):
                assert await _status(member, "ann", "tab") == status
        assert await _status(a, "ann", "another tab") == 200
        await a.live.publish(data="x")
        assert (await other.block()).data == "x"


async def _status(member: Member, user: str, instance: str) -> int:
    params = {"userId": user, "instanceId": instance}
    async with member.http.stream("GET", "/api/sse", params=params) as answer:
        if answer.status_code != 200:
            await answer.aread()
            check_problem(answer, 403, "AUTH_FORBIDDEN")
        return answer.status_code


async def test_an_action_without_its_parameter_is_refused(cluster: Cluster) -> None:
    async with cluster.member() as a:
        for action in ("disconnect_client", "disconnect_user", "explode"):
            for parameters in ({}, {"clientId": ""}, {"userId": 1}):
                answer = await a.http.post(
                    "/api/sse/health",
                    params=ADMIN,
                    json={"action": action, "parameters": parameters},
                )
                assert answer.status_code == 422, answer.text
