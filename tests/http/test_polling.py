"""`GET /api/realtime/polling`, short, long and held."""

import asyncio
import re
import time
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.http.server import SECRET, Live, live, make_tidewire
from tests.waiting import until
from tidewire.auth.tokens import Tokens
from tidewire.transports.polling import WORK_ENTRIES


async def held(server: Live, cursor: str, user: str = "alice", **params: Any) -> asyncio.Task[Any]:
    """A poll that is being held."""
    keeper = (await server.tidewire.start()).keeper
    before = len(keeper.connections)
    task = asyncio.create_task(server.poll(user, since=cursor, **{"wait": 30, **params}))
    await until(lambda: len(keeper.connections) > before)
    return task


async def test_an_answer_has_the_form_of_the_contract(server: Live) -> None:
    id_ = await server.publish("news", {"a": 1}, userIds=["alice"])
    answer = await server.poll(types="news,other", topics="cats", since="earliest")
    now = answer["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["meta"].pop("serverTime"))
    assert answer == {
        "userId": "alice",
        "timestamp": now,
        "since": "earliest",
        "events": [
            {
                "id": id_,
                "type": "news",
                "timestamp": int(id_.partition("-")[0]),
                "priority": "normal",
                "source": "server",
                "version": "1.0",
                "data": {"a": 1},
            }
        ],
        "cursor": id_,
        "hasMore": False,
        "gap": None,
        "meta": {
            "eventSource": "memory",
            "filters": {"types": ["news", "other"], "topics": ["cats"]},
            "nextPollIn": 10_000,
            "nextPollRecommended": now + 10_000,
        },
    }


async def test_an_answer_is_not_stored_by_caches(server: Live) -> None:
    answer = await server.http.get("/api/realtime/polling", params={"userId": "alice"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


async def test_pages_give_every_event_once_and_in_order(server: Live) -> None:
    cursor = await server.cursor()
    ids = [await server.publish("news", number) for number in range(23)]
    found: list[str] = []
    sizes = []
    more = True
    while more:
        answer = await server.poll(since=cursor, limit=7)
        found += [event["id"] for event in answer["events"]]
        sizes.append(len(answer["events"]))
        cursor, more = answer["cursor"], answer["hasMore"]
        assert answer["meta"]["nextPollIn"] == (0 if more else 10_000)
    assert found == ids
    assert sizes == [7, 7, 7, 2]


async def test_nothing_is_read_beyond_the_end_that_is_asked_for(server: Live) -> None:
    start = await server.cursor()
    ids = [await server.publish("news", number, userIds=["alice"]) for number in range(3)]
    hidden = await server.publish("news", userIds=["bob"])
    last = await server.publish("news")

    async def between(since: str, until: str, **params: Any) -> tuple[list[str], str, bool]:
        answer = await server.poll(since=since, until=until, **params)
        return [event["id"] for event in answer["events"]], answer["cursor"], answer["hasMore"]

    assert await between(start, ids[1]) == (ids[:2], ids[1], False)
    assert await between(start, hidden) == (ids, hidden, False)
    assert await between(start, last) == ([*ids, last], last, False)
    assert await between(start, ids[1], limit=1) == (ids[:1], ids[0], True)
    # Who is there already, or further, is answered at once, and where it stands.
    assert await between(ids[1], ids[1], wait=30) == ([], ids[1], False)
    assert await between(last, ids[1], wait=30) == ([], last, False)
    # Of another log nobody knows what lies before it.
    assert await between(start, "1-1-zzzz") == ([*ids, last], last, False)
    malformed = await server.http.get(
        "/api/realtime/polling", params={"userId": "alice", "until": "latest"}
    )
    assert (malformed.status_code, malformed.json()["category"]) == (400, "validation")


async def test_asking_again_gives_the_same_beginning(server: Live) -> None:
    cursor = await server.cursor()
    await server.publish("news", 1)
    before = await server.poll(since=cursor)
    await server.publish("news", 2)
    after = await server.poll(since=cursor)
    assert after["events"][:1] == before["events"]
    assert len(after["events"]) == 2


async def test_without_a_cursor_a_poll_starts_five_minutes_ago(
    timed: Live, clock: FakeClock
) -> None:
    await timed.publish("news", "old")
    clock.advance(300.001)
    await timed.publish("news", "young")
    assert [event["data"] for event in (await timed.poll())["events"]] == ["young"]


async def test_the_cursor_moves_over_what_is_not_for_the_reader(server: Live) -> None:
    cursor = await server.cursor()
    id_ = await server.publish("news", userIds=["bob"])
    answer = await server.poll(since=cursor)
    assert (answer["events"], answer["cursor"], answer["hasMore"]) == ([], id_, False)


async def test_an_unknown_cursor_gets_a_gap_and_what_there_is(server: Live) -> None:
    floor = await server.cursor()
    await server.publish("news", 1)
    answer = await server.poll(since="1-2-abcd")
    assert answer["gap"] == {"from": "1-2-abcd", "to": floor, "reason": "epoch"}
    assert [event["data"] for event in answer["events"]] == [1]
    assert (await server.poll(since=answer["cursor"]))["gap"] is None


async def test_a_gap_is_not_held_back(server: Live) -> None:
    began = time.monotonic()
    assert (await server.poll(since="1-2-abcd", wait=30))["gap"]["reason"] == "epoch"
    assert time.monotonic() - began < 5


async def test_one_request_reads_only_so_much(server: Live) -> None:
    cursor = await server.cursor()
    batch = [{"type": "news", "metadata": {"userIds": ["bob"]}} for _ in range(1000)]
    for _ in range(WORK_ENTRIES // 1000 + 1):
        answer = await server.http.post(
            "/api/realtime/publish",
            params={"userId": "admin", "roles": "ADMIN"},
            json={"events": batch},
        )
        assert answer.status_code == 200
    last = await server.publish("news", "at last", userIds=["alice"])
    answers = [await server.poll(since=cursor)]
    while answers[-1]["hasMore"]:
        answers.append(await server.poll(since=answers[-1]["cursor"]))
    assert (answers[0]["events"], answers[0]["hasMore"]) == ([], True)
    assert int(answers[0]["cursor"].split("-")[1]) <= WORK_ENTRIES
    assert [event["id"] for event in answers[-1]["events"]] == [last]


async def test_cursors_of_polls_and_streams_are_the_same(server: Live) -> None:
    start = await server.cursor()
    ids = [await server.publish("news", number) for number in range(9)]
    polled = await server.poll(since=start, limit=3)
    async with server.stream(since=polled["cursor"]) as stream:
        first, *blocks = await stream.blocks(4)
    assert first.data["resumed"] is True
    assert [block.id for block in blocks] == ids[3:6]
    assert blocks[-1].id is not None
    rest = await server.poll(since=blocks[-1].id)
    assert rest["gap"] is None
    assert [event["id"] for event in rest["events"]] == ids[6:]


async def test_the_header_goes_first_for_polls_too(server: Live) -> None:
    ids = [await server.publish("news", number) for number in range(3)]
    answer = await server.http.get(
        "/api/realtime/polling",
        params={"userId": "alice", "since": ids[0], "lastEventId": ids[0]},
        headers={"Last-Event-ID": ids[1]},
    )
    assert [event["id"] for event in answer.json()["events"]] == ids[2:]


async def test_a_poll_is_held_until_something_visible_comes(server: Live) -> None:
    poll = await held(server, await server.cursor())
    began = time.monotonic()
    id_ = await server.publish("news", "x")
    answer = await asyncio.wait_for(poll, 5)
    assert time.monotonic() - began < 3
    assert [event["id"] for event in answer["events"]] == [id_]
    assert (answer["cursor"], answer["meta"]["nextPollIn"]) == (id_, 0)


async def test_a_held_poll_does_not_wake_for_what_is_not_for_it(server: Live) -> None:
    keeper = (await server.tidewire.start()).keeper

    def holding() -> list[str]:
        return [each.id for each in keeper.connections if each.transport == "polling"]

    poll = await held(server, await server.cursor(), types="news", topics="cats")
    before = holding()
    async with server.stream("bob") as witness:
        await witness.block()
        await server.publish("news", 1, userIds=["bob"])
        await server.publish("news", 2, roles=["EDITOR"])
        await server.publish("news", 3, topics=["dogs"])
        await server.publish("other", 4)
        await witness.until(4)
    # One that wakes and finds nothing is held anew, as another connection.
    assert holding() == before
    assert not poll.done()
    await server.publish("news", 5, topics=["cats"])
    answer = await asyncio.wait_for(poll, 5)
    assert [event["data"] for event in answer["events"]] == [5]


async def test_a_held_poll_that_ends_empty_has_moved_its_cursor(server: Live) -> None:
    start = await server.cursor()
    poll = await held(server, start, wait=1)
    id_ = await server.publish("news", userIds=["bob"])
    answer = await asyncio.wait_for(poll, 5)
    assert (answer["events"], answer["cursor"], answer["hasMore"]) == ([], id_, False)


async def test_a_held_poll_ends_at_the_drain_without_a_loss(server: Live) -> None:
    cursor = await server.cursor()
    poll = await held(server, cursor)
    await server.tidewire.drain()
    answer = await asyncio.wait_for(poll, 5)
    assert (answer["events"], answer["cursor"]) == ([], cursor)
    at_once = await asyncio.wait_for(server.poll(since=cursor, wait=30), 5)
    assert (at_once["events"], at_once["cursor"]) == ([], cursor)


async def test_a_held_poll_ends_with_its_credential(timed: Live, clock: FakeClock) -> None:
    issued = Tokens([SECRET], clock=clock, setting="").issue("alice", lifetime=50)
    keeper = (await timed.tidewire.start()).keeper
    poll = asyncio.create_task(
        timed.http.get("/api/realtime/polling", params={"token": issued.token, "wait": 30})
    )
    await until(lambda: len(keeper.connections) == 1)
    clock.advance(51)
    answer = await asyncio.wait_for(poll, 5)
    assert answer.status_code == 200
    assert answer.json()["events"] == []


async def test_a_client_who_leaves_a_held_poll_is_forgotten(server: Live) -> None:
    keeper = (await server.tidewire.start()).keeper
    poll = await held(server, await server.cursor())
    poll.cancel()
    await until(lambda: len(keeper.connections) == 0)


@pytest.mark.parametrize(("limit", "count"), [("1", 1), ("500", 30), (None, 20)])
async def test_limit_is_between_one_and_five_hundred_and_twenty_by_itself(
    limit: str | None, count: int
) -> None:
    async with live(make_tidewire()) as server:
        for number in range(30):
            await server.publish("news", number)
        params = {} if limit is None else {"limit": limit}
        assert len((await server.poll(**params))["events"]) == count
