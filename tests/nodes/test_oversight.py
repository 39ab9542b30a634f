"""What administrators see of all nodes from any of them, and do on all of them."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.http.server import Live, Stream, check_problem, make_tidewire
from tests.http.server import live as served
from tests.nodes.cluster import ADMIN, Cluster, Member
from tests.tcpproxy import Proxy
from tests.waiting import until, until_told
from tidewire.core import inquiry as inquiry_module
from tidewire.core.connections import Connection
from tidewire.core.keeper import SWEEP_SECONDS
from tidewire.core.reader import HIGH_WATER
from tidewire.transports.sse import AsgiSink

CLIENTS = "/api/realtime/clients"
EXPLAIN = "/api/realtime/explain"


async def opened(
    stack: AsyncExitStack, at: Live, user: str = "ann", **params: Any
) -> tuple[Stream, str]:
    """An open stream, and its client id."""
    stream = await stack.enter_async_context(at.stream(user, **params))
    block = await stream.block()
    stack.callback(lambda: stream)
    return stream, block.data["clientId"]


def sink_of(connection: Connection) -> AsgiSink:
    sink = connection.reader.sink
    assert isinstance(sink, AsgiSink)
    return sink


# Who may


ENDPOINTS: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "/api/sse/health?details=true", None),
    ("GET", "/api/realtime/monitor", None),
    ("GET", CLIENTS, None),
    ("GET", f"{CLIENTS}/somebody", None),
    ("GET", "/api/realtime/events", None),
    ("GET", f"{EXPLAIN}?event=1-1-abcd&user=ann", None),
    ("GET", "/metrics", None),
    *(
        ("POST", "/api/sse/health", {"action": action, "parameters": {}})
        for action in (
            "health_check",
            "ping_client",
            "get_client_info",
            "disconnect_client",
            "disconnect_user",
            "clear_errors",
            "clear_events",
            "force_cleanup",
        )
    ),
)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    ENDPOINTS,
    ids=lambda value: value["action"] if isinstance(value, dict) else None,
)
async def test_only_administrators_are_told_or_obeyed(
    method: str, path: str, body: dict[str, Any] | None
) -> None:
    async with served(make_tidewire()) as server:
        for user, status, code in (
            ({}, 401, "AUTH_REQUIRED"),
            ({"userId": "ann", "permissions": "publish"}, 403, "AUTH_FORBIDDEN"),
        ):
            url = (
                path
                + ("&" if "?" in path else "?")
                + "&".join(f"{name}={value}" for name, value in user.items())
            )
            answer = await server.http.request(method, url, json=body)
            check_problem(answer, status, code)
            assert answer.headers["cache-control"] == "no-store"


# Who is there


async def test_clients_of_all_nodes_are_listed_by_either(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        stream, first = await opened(
            stack,
            a.live,
            roles="EDITOR",
            types="news,other",
            clientType="web",
            clientInfo="tests 1.0",
            instanceId="tab",
        )
        _, second = await opened(stack, b.live, "bob")
        await a.live.publish(data=1)
        await stream.until(1)
        for member in (a, b):
            told = await member.get(CLIENTS)
            assert [client["clientId"] for client in told["clients"]] == sorted([first, second])
            assert (told["total"], told["next"], told["missing"]) == (2, None, [])
            assert told["nodes"] == sorted([a.name, b.name])
        [client] = (await b.get(CLIENTS, user="ann"))["clients"]
        assert client.pop("connectedAt") <= client.pop("lastDeliveredAt") < client["authorityEnds"]
        del client["authorityEnds"]
        assert client == {
            "clientId": first,
            "userId": "ann",
            "roles": ["EDITOR"],
            "topics": [],
            "types": ["news", "other"],
            "transport": "sse",
            "method": "parameter_dev",
            "state": "connected",
            "node": a.name,
            "clientType": "web",
            "clientInfo": "tests 1.0",
            "instanceId": "tab",
            "cursor": str(a.node.hub.cursor),
            "behind": 0,
            "delivered": 1,
            "address": None,
        }
        assert (await a.get(CLIENTS, state="idle"))["clients"] == []
        assert (await a.get(CLIENTS, transport="sse"))["total"] == 2
        check_problem(
            await a.http.get(CLIENTS, params={**ADMIN, "state": "happy"}),
            400,
            "VALIDATION_PARAMETER",
        )


async def test_a_long_list_is_told_page_by_page(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        ids = [(await opened(stack, (a, b)[n % 2].live, f"user {n}"))[1] for n in range(7)]
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await b.get(CLIENTS, limit=2, after=after)
            assert page["total"] == 7
            assert len(page["clients"]) <= 2
            seen += [client["clientId"] for client in page["clients"]]
            after = page["next"]
        assert seen == sorted(ids)


async def test_a_client_is_told_with_what_became_of_it_also_after_it_has_gone(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        stream, client_id = await opened(stack, a.live)
        await a.tidewire.update_identity("ann", roles=["EDITOR"])
        await b.act("ping_client", clientId=client_id)
        told = await b.get(f"{CLIENTS}/{client_id}")
        assert (told["client"]["node"], told["client"]["roles"]) == (a.name, ["EDITOR"])
        await b.act("disconnect_client", clientId=client_id)
        await stream.to_end()
        await until(lambda: not len(a.keeper.connections))
        told = await b.get(f"{CLIENTS}/{client_id}")
        assert told["client"] is None
        whats = [(record["what"], record["detail"]) for record in told["timeline"]]
        assert whats == [
            ("opened", None),
            ("identityChanged", None),
            ("pinged", None),
            ("closing", "administrator"),
            ("closed", "administrator"),
        ]
        assert {record["node"] for record in told["timeline"]} == {a.name}
        check_problem(await b.http.get(f"{CLIENTS}/nobody", params=ADMIN), 404, "CLIENT_NOT_FOUND")


async def test_a_node_that_does_not_answer_is_named_and_waited_for_a_moment_only(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiry_module, "ANSWER_SECONDS", 0.3)
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        _, client_id = await opened(stack, a.live)
        await opened(stack, b.live)

        def fail(*_: object) -> None:
            raise KeyError("a fault of that node")

        b.keeper.inquiries.respond = fail
        told = await a.get(CLIENTS)
        assert [client["clientId"] for client in told["clients"]] == [client_id]
        assert (told["nodes"], told["missing"]) == ([a.name], [b.name])
        assert (await a.act("force_cleanup"))["missing"] == [b.name]
        assert "a question of another node was not answered" in b.journal.notes
        # What nobody remembers may have happened there.
        event = await a.live.publish(userIds=["cid"])
        told = await a.get(EXPLAIN, event=event, user="cid")
        assert (told["verdict"], told["missing"]) == ("unknown", [b.name])


async def test_while_redis_is_away_nobody_waits_for_those_who_cannot_hear(
    cluster: Cluster, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiry_module, "ANSWER_SECONDS", 60)
    async with cluster.two(port=proxy.port) as (a, b), AsyncExitStack() as stack:
        _, client_id = await opened(stack, a.live)
        proxy.refuse()
        await until(lambda: a.status == "degraded")
        async with asyncio.timeout(20):
            told = await a.get(CLIENTS)
            assert [client["clientId"] for client in told["clients"]] == [client_id]
            assert (told["nodes"], told["missing"]) == ([a.name], [b.name])
            monitored = await a.get("/api/realtime/monitor")
            # What it said last.
            assert set(monitored["allInstancesMetrics"]) == {a.name, b.name}
        proxy.pass_on()
        await until(lambda: a.status == b.status == "healthy")


# What is done


async def test_a_health_check_pings_all_streams_of_all_nodes(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        streams = [(await opened(stack, member.live))[0] for member in (a, b, b)]
        assert await a.act("health_check") == {"pinged": 3, "nodes": 2, "missing": []}
        await a.live.publish(data="next")
        for stream in streams:
            # Once each, also of the node that was asked.
            assert [block.event for block in await stream.until("next")] == ["ping"]
        assert await b.tidewire.health_check() == 3


async def test_one_client_is_pinged_and_told_of_on_whichever_node_it_is(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        one, client_id = await opened(stack, a.live)
        await opened(stack, b.live)
        assert await b.act("ping_client", clientId=client_id) == {"pinged": True}
        assert (await one.block()).event == "ping"
        assert await b.act("ping_client", clientId="nobody") == {"pinged": False}
        client = (await b.act("get_client_info", clientId=client_id))["client"]
        assert (client["clientId"], client["node"]) == (client_id, a.name)
        answer = await b.http.post(
            "/api/sse/health",
            params=ADMIN,
            json={"action": "get_client_info", "parameters": {"clientId": "nobody"}},
        )
        check_problem(answer, 404, "CLIENT_NOT_FOUND")


async def test_errors_of_all_nodes_are_told_and_cleared_by_either(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        for member in (a, b):
            await member.http.get("/api/sse", params={"userId": "ann", "since": "x"})
        told = (await a.get("/api/sse/health", details=True))["errors"]
        assert (told["total"], told["byCategory"]["validation"]) == (2, 2)
        assert {one["context"]["node"] for one in told["recent"]} == {a.name, b.name}
        assert await b.act("clear_errors") == {"cleared": 2, "missing": []}
        assert (await a.get("/api/sse/health", details=True))["errors"]["total"] == 0


async def test_a_clean_up_closes_what_is_stale_on_all_nodes(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.two(clock=clock, ping_interval=30) as (a, b), AsyncExitStack() as stack:
        await opened(stack, a.live)
        await opened(stack, b.live)
        assert await a.act("force_cleanup") == {"closed": 0, "looked": 2, "missing": []}
        [connection] = b.keeper.connections
        # As if its peer had stopped to read.
        blocked = clock.monotonic()
        sink_of(connection)._blocked = blocked
        clock.advance(SWEEP_SECONDS + 1)
        await until(lambda: b.ticked == clock.monotonic())
        assert connection.state.value == "stale"
        # In truth it takes the ping.
        await until(lambda: sink_of(connection)._blocked is None)
        sink_of(connection)._blocked = blocked
        result = await a.act("force_cleanup")
        assert (result["closed"], result["looked"]) == (1, 2)
        await until(lambda: not len(b.keeper.connections))


# The log


async def test_events_are_shown_with_their_targets(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        ids = [await a.live.publish(f"type {n % 2}", n, userIds=["ann"]) for n in range(5)]
        everyone = await b.live.publish("type 0", 5)
        await until(lambda: str(b.node.hub.cursor) == everyone)
        newest = await b.get("/api/realtime/events", limit=2)
        assert [event["id"] for event in newest["events"]] == [everyone, ids[4]]
        assert newest["events"][0]["targets"] == {"userIds": [], "roles": [], "topics": []}
        assert newest["events"][1]["targets"]["userIds"] == ["ann"]
        assert newest["events"][1]["data"] == 4
        assert newest["head"] == everyone
        first = await b.get("/api/realtime/events", since=newest["floor"], limit=2, type="type 0")
        assert [event["id"] for event in first["events"]] == [ids[0], ids[2]]
        rest = await b.get("/api/realtime/events", since=first["cursor"], limit=50, type="type 0")
        assert [event["id"] for event in rest["events"]] == [ids[4], everyone]
        newest = await b.get("/api/realtime/events", limit=1, type="type 1")
        assert [event["id"] for event in newest["events"]] == [ids[3]]


# Why


Past = Callable[[Member, Member, AsyncExitStack], Awaitable[str]]


async def told_of(stream: Stream, data: Any = "it") -> None:
    await stream.until(data)


async def written(a: Member, b: Member, stack: AsyncExitStack) -> str:
    stream, _ = await opened(stack, b.live)
    event = await a.live.publish(data="it")
    await told_of(stream)
    return event


async def confirmed(a: Member, b: Member, stack: AsyncExitStack) -> str:
    async with AsyncExitStack() as first:
        stream, client_id = await opened(first, a.live)
        event = await a.live.publish(data="it")
        await told_of(stream)
    await until(lambda: a.keeper.connections.get(client_id) is None)
    await opened(stack, b.live, since=event)
    return event


async def polled(a: Member, b: Member, stack: AsyncExitStack) -> str:
    start = (await b.live.poll("ann", since="latest"))["cursor"]
    event = await a.live.publish(data="it")
    answer = await b.live.poll("ann", since=start)
    assert [one["id"] for one in answer["events"]] == [event]
    return event


async def polled_on(a: Member, b: Member, stack: AsyncExitStack) -> str:
    event = await polled(a, b, stack)
    await a.live.poll("ann", since=event)
    return event


async def not_target(a: Member, b: Member, stack: AsyncExitStack) -> str:
    await opened(stack, b.live)
    event = await a.live.publish(roles=["EDITOR"])
    await until(lambda: str(b.node.hub.cursor) == event)
    return event


async def filtered(a: Member, b: Member, stack: AsyncExitStack) -> str:
    await opened(stack, b.live, types="other")
    event = await a.live.publish()
    await until(lambda: str(b.node.hub.cursor) == event)
    return event


async def not_subscribed(a: Member, b: Member, stack: AsyncExitStack) -> str:
    # In development the topics that a query names are granted and subscribed to.
    await opened(stack, b.live, topics="u")
    event = await a.live.publish(topics=["t"])
    await until(lambda: str(b.node.hub.cursor) == event)
    return event


async def subscribed(a: Member, b: Member, stack: AsyncExitStack) -> str:
    stream, _ = await opened(stack, b.live, topics="t")
    event = await a.live.publish(data="it", topics=["t"])
    await told_of(stream)
    return event


async def not_connected(a: Member, b: Member, stack: AsyncExitStack) -> str:
    async with AsyncExitStack() as first:
        await opened(first, b.live)
    await until(lambda: not len(b.keeper.connections))
    return await a.live.publish(userIds=["ann"])


async def started_later(a: Member, b: Member, stack: AsyncExitStack) -> str:
    event = await a.live.publish()
    await until(lambda: str(b.node.hub.cursor) == event)
    await opened(stack, b.live)
    return event


async def gap_told(a: Member, b: Member, stack: AsyncExitStack) -> str:
    before = await a.live.publish(data="before")
    event = await a.live.publish(data="it")
    await a.act("clear_events")
    await a.live.publish(data="after")
    stream, _ = await opened(stack, b.live, since=before)
    assert (await stream.block()).event == "gap"
    return event


async def trimmed(a: Member, b: Member, stack: AsyncExitStack) -> str:
    event = await a.live.publish(data="it")
    await a.act("clear_events")
    return event


async def unknown_event(a: Member, b: Member, stack: AsyncExitStack) -> str:
    event = await a.live.publish(data="it")
    return re.sub(r"-(\d+)-", "-99-", event)


PASTS: dict[str, tuple[Past, str, bool | None]] = {
    "written": (written, "written", True),
    "confirmed": (confirmed, "confirmed", True),
    "polled": (polled, "written", True),
    "polled on": (polled_on, "confirmed", True),
    "not target": (not_target, "notTarget", False),
    "filtered": (filtered, "filteredByType", False),
    "not subscribed": (not_subscribed, "notSubscribed", False),
    "subscribed": (subscribed, "written", True),
    "not connected": (not_connected, "notConnected", False),
    "started later": (started_later, "startedLater", False),
    "gap told": (gap_told, "gapTold", False),
    "trimmed": (trimmed, "trimmed", None),
    "unknown event": (unknown_event, "unknownEvent", None),
}


@pytest.mark.parametrize("name", PASTS)
async def test_why_somebody_got_an_event_or_did_not(cluster: Cluster, name: str) -> None:
    past, verdict, delivered = PASTS[name]
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        event = await past(a, b, stack)
        for member in (a, b):
            told = await member.get(EXPLAIN, event=event, user="ann")
            assert (told["verdict"], told["delivered"]) == (verdict, delivered), told
            assert (told["event"], told["user"]) == (event, "ann")
            assert told["nodes"] == sorted([a.name, b.name])
            if delivered:
                assert told["evidence"]
            assert all(record["userId"] == "ann" for record in told["evidence"])


async def test_what_a_node_delivered_that_is_gone_is_not_denied(cluster: Cluster) -> None:
    async with cluster.member() as a:
        async with cluster.member(a) as b, AsyncExitStack() as stack:
            stream, _ = await opened(stack, b.live)
            event = await a.live.publish(data="it", userIds=["ann"])
            await told_of(stream)
        await until(lambda: not len(a.keeper.presence))
        told = await a.get(EXPLAIN, event=event, user="ann")
        assert (told["verdict"], told["delivered"]) == ("unknown", None)
        later = await a.live.publish(data="later", userIds=["ann"])
        told = await a.get(EXPLAIN, event=later, user="ann")
        assert (told["verdict"], told["delivered"]) == ("notConnected", False)
        async with AsyncExitStack() as stack:
            await opened(stack, a.live, since=later)
            told = await a.get(EXPLAIN, event=event, user="ann")
            assert (told["verdict"], told["delivered"]) == ("unknown", None)


async def test_what_waits_in_a_spool_is_explained_while_redis_is_away_and_after(
    cluster: Cluster, proxy: Proxy
) -> None:
    async with cluster.member(port=proxy.port) as a, AsyncExitStack() as stack:
        stream, _ = await opened(stack, a.live)
        early = await a.live.publish(data="early", userIds=["ann"])
        await stream.until("early")
        proxy.refuse()
        await until(lambda: a.status == "degraded")
        answer = await a.http.post(
            "/api/realtime/publish",
            params=ADMIN,
            json={"type": "news", "data": "late", "metadata": {"userIds": ["ann"]}},
        )
        [event] = answer.json()["ids"]
        await stream.until("late")
        for user, verdict in (("ann", "written"), ("bob", "notTarget")):
            told = await a.get(EXPLAIN, event=event, user=user)
            assert told["verdict"] == verdict
        # What only the log could say is not guessed.
        answer = await a.http.get(EXPLAIN, params={**ADMIN, "event": early, "user": "ann"})
        check_problem(answer, 503, "LOG_AWAY")
        proxy.pass_on()
        await until(lambda: a.status == "healthy")
        assert (await a.get(EXPLAIN, event=event, user="ann"))["verdict"] == "written"


async def test_a_stream_that_is_behind_is_told_and_counted(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        _, client_id = await opened(stack, b.live)
        [connection] = b.keeper.connections
        sink = sink_of(connection)
        sink._size += HIGH_WATER
        event = await a.live.publish(data="it")
        await until(lambda: connection.reader.behind())
        told = await a.get(EXPLAIN, event=event, user="ann")
        assert (told["verdict"], told["delivered"]) == ("behind", False)
        assert [record["what"] for record in told["evidence"]] == ["opened", "behind"]
        [client] = (await a.get(CLIENTS))["clients"]
        assert client["behind"] == 1
        figures = (await b.get("/api/realtime/monitor"))["metrics"]
        assert figures["behind"] == {"readers": 1, "events": 1}
        sink._size -= HIGH_WATER
        assert sink.on_room is not None
        sink.on_room()
        await until(lambda: not connection.reader.behind())
        told = await a.get(EXPLAIN, event=event, user="ann")
        assert told["verdict"] == "written"
        [client] = (await a.get(CLIENTS))["clients"]
        assert (client["behind"], client["delivered"]) == (0, 1)
        timeline = (await a.get(f"{CLIENTS}/{client_id}"))["timeline"]
        assert [record["what"] for record in timeline] == ["opened", "behind", "caughtUp"]


async def test_polls_that_find_a_quiet_log_again_push_nothing_out(cluster: Cluster) -> None:
    async with cluster.member() as a:
        await a.live.publish()
        cursor = (await a.live.poll("ann", since="earliest"))["cursor"]
        before = len(a.keeper.recorder)
        for _ in range(5):
            assert (await a.live.poll("ann", since=cursor))["cursor"] == cursor
        # The first says that the client has what came before.
        assert len(a.keeper.recorder) <= before + 1
        await a.live.publish()
        await a.live.poll("ann", since=cursor)
        assert len(a.keeper.recorder) >= before + 1
        [*_, last] = a.keeper.recorder.of_user("ann")
        assert last.since == cursor


async def test_what_is_no_id_of_an_event_is_refused(cluster: Cluster) -> None:
    async with cluster.member() as a:
        answer = await a.http.get(EXPLAIN, params={**ADMIN, "event": "x", "user": "ann"})
        check_problem(answer, 400, "VALIDATION_CURSOR")
        answer = await a.http.get(EXPLAIN, params={**ADMIN, "event": "1-1-abcd"})
        check_problem(answer, 400, "VALIDATION_PARAMETER")


async def test_the_figures_of_all_nodes_come_with_each_scrape(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), AsyncExitStack() as stack:
        await opened(stack, b.live)
        await b.http.get("/api/sse", params={"userId": "ann", "since": "x"})
        await b.live.publish(data=1)
        wanted = (
            f'tidewire_errors_total{{category="validation",code="VALIDATION_CURSOR",'
            f'node="{b.name}"}} 1.0',
            f'tidewire_connections{{node="{b.name}",state="connected"}} 1.0',
            f'tidewire_publish_seconds_count{{node="{b.name}"}} 1.0',
            f'tidewire_log_entries{{node="{a.name}"}} 1.0',
        )

        async def metrics() -> str:
            return (await a.http.get("/metrics", params=ADMIN)).text

        text = await until_told(metrics, lambda text: all(line in text for line in wanted))
        for name in ("resident_memory_bytes", "open_files", "loop_lag_seconds", "log_hearing"):
            assert f'tidewire_{name}{{node="{b.name}"}}' in text
