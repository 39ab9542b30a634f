"""What is published at one node arrives at every other one, once; cursors and keys are good at
all of them."""

import asyncio
from typing import Any

import httpx

from tests.fakes import FakeClock
from tests.http.server import check_problem, streaming
from tests.nodes.cluster import ADMIN, Cluster, Member
from tests.waiting import until
from tidewire import Event


async def publish(member: Member, key: str, data: Any) -> httpx.Response:
    return await member.http.post(
        "/api/realtime/publish",
        params=ADMIN,
        headers={"Idempotency-Key": key},
        json={"type": "news", "data": data},
    )


async def test_what_is_published_at_one_node_arrives_at_streams_and_polls_of_the_other(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b):
        cursor = await b.live.cursor()
        async with a.live.stream() as at_a, b.live.stream() as at_b:
            for stream in (at_a, at_b):
                assert (await stream.block()).event == "connected"
            known = [await a.live.publish(data=n) for n in range(3)]
            known += [await b.live.publish(data=n) for n in range(3, 6)]
            for stream in (at_a, at_b):
                blocks = await stream.blocks(6)
                assert [block.data for block in blocks] == list(range(6))
                assert [block.envelope["id"] for block in blocks] == known
                assert [block.id for block in blocks] == known
        for member in (a, b):
            answer = await member.live.poll(since=cursor)
            assert [event["id"] for event in answer["events"]] == known
            assert answer["meta"]["eventSource"] == "redis"
            assert answer["gap"] is None


async def test_a_held_poll_is_answered_by_what_is_published_at_the_other_node(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b):
        cursor = await b.live.cursor()
        async with b.live.stream("bob") as other:
            await other.block()
            # By then the poll, which came later, is not yet answered.
            answer = await _held(a, b, cursor)
        assert [event["data"] for event in answer["events"]] == ["x"]


async def _held(a: Member, b: Member, cursor: str) -> dict[str, Any]:
    poll = asyncio.create_task(b.live.poll(since=cursor, wait=10))
    await until(lambda: len(b.keeper.connections) == 2)
    await a.live.publish(data="x")
    return await poll


async def test_a_cursor_of_one_node_goes_on_at_the_other(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        async with a.live.stream() as stream:
            await stream.block()
            for n in range(3):
                await b.live.publish(data=n)
            blocks = await stream.blocks(2)
        async with b.live.stream(lastEventId=blocks[-1].id) as stream:
            opening = await stream.block()
            assert opening.data["resumed"] is True
            assert (await stream.block()).data == 2
        answer = await b.live.poll(since=blocks[0].id)
        assert [event["data"] for event in answer["events"]] == [1, 2]


async def test_only_whom_it_is_for_gets_it_on_the_other_node(cluster: Cluster) -> None:
    async with (
        cluster.two() as (a, b),
        b.live.stream("ann") as ann,
        b.live.stream("bob", roles="R") as bob,
    ):
        for stream in (ann, bob):
            await stream.block()
        await a.live.publish(data="for ann", userIds=["ann"])
        await a.live.publish(data="for R", roles=["R"])
        await a.live.publish(data="end")
        assert [block.data for block in await ann.until("end")] == ["for ann"]
        assert [block.data for block in await bob.until("end")] == ["for R"]


async def test_an_idempotency_key_is_one_publish_on_all_nodes(cluster: Cluster) -> None:
    async with cluster.two() as (a, b):
        cursor = await a.live.cursor()
        first = await publish(a, "k", 1)
        for member in (a, b):
            again = await publish(member, "k", 1)
            assert (again.status_code, again.json()) == (200, first.json())
            check_problem(await publish(member, "k", 2), 422, "VALIDATION_IDEMPOTENCY")
        answer = await b.live.poll(since=cursor)
        assert [event["id"] for event in answer["events"]] == first.json()["ids"]


async def test_a_cursor_from_after_a_repeated_publish_is_good(
    cluster: Cluster, clock: FakeClock
) -> None:
    async with cluster.two(clock=clock) as (a, b):
        await publish(a, "k", 1)
        clock.advance(1)
        await publish(a, "k", 1)
        cursor = (await b.get("/api/realtime/cursor"))["cursor"]
        await a.live.publish(data="x")
        answer = await b.live.poll(since=cursor)
        assert answer["gap"] is None
        assert [event["data"] for event in answer["events"]] == ["x"]
        async with a.live.stream(lastEventId=cursor) as stream:
            assert (await stream.block()).data["resumed"] is True


async def test_both_nodes_have_one_order(cluster: Cluster) -> None:
    async with cluster.two() as (a, b), a.live.stream() as at_a, b.live.stream() as at_b:
        for stream in (at_a, at_b):
            await stream.block()
        for n in range(20):
            await (a, b)[n % 2].tidewire.publish([Event("news", n), Event("news", n + 100)])
        await a.live.publish(data="end")
        orders = [[block.id for block in await stream.until("end")] for stream in (at_a, at_b)]
        assert orders[0] == orders[1]
        assert len(orders[0]) == 40


async def test_clearing_at_one_node_leaves_nothing_to_replay_at_the_other(
    cluster: Cluster,
) -> None:
    async with cluster.two() as (a, b):
        start = await a.live.cursor()
        async with b.live.stream() as stream:
            await stream.block()
            for n in range(3):
                await a.live.publish(data=n)
            blocks = await stream.blocks(3)
            # Node B has heard all of it, and remembers it.
            assert await a.act("clear_events") == {"cleared": 3}
            for cursor in (start, blocks[0].id):
                answer = await b.live.poll(since=cursor)
                assert answer["events"] == []
                assert answer["gap"] == {
                    "from": cursor,
                    "to": blocks[-1].id,
                    "reason": "expired",
                }
                async with streaming(
                    b.http, "/api/sse", {"userId": "ann", "lastEventId": cursor}
                ) as late:
                    opening, gap = await late.blocks(2)
                    assert (opening.data["resumed"], gap.event) == (False, "gap")
            answer = await b.live.poll(since=blocks[-1].id)
            assert (answer["events"], answer["gap"]) == ([], None)
            # Whoever was there goes on without a gap.
            await a.live.publish(data="after")
            assert (await stream.block()).data == "after"
