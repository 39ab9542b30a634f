"""`GET /api/sse` over real sockets."""

import time
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.http.server import (
    SECRET,
    Block,
    Live,
    check_problem,
    live,
    make_tidewire,
    streaming,
)
from tests.waiting import until
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

pytestmark = pytest.mark.both_sinks


async def connected(server: Live, **params: Any) -> Block:
    async with server.stream(**params) as stream:
        return await stream.block()


@pytest.mark.parametrize("path", ["/api/sse", "/api/realtime/sse"])
async def test_the_first_bytes_come_at_once_and_the_headers_are_those_of_the_contract(
    server: Live, path: str
) -> None:
    began = time.monotonic()
    async with streaming(server.http, path, {"userId": "alice"}) as stream:
        first = await stream.block()
        assert time.monotonic() - began < 3
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in headers
        assert first.event == "connected"


async def test_connected_says_who_serves_whom_and_from_where(server: Live) -> None:
    cursor = await server.cursor()
    first = await connected(server, clientType="web")
    assert first.names == ["event", "data", "id"]
    assert first.id == cursor
    envelope = first.envelope
    assert "id" not in envelope
    assert (envelope["type"], envelope["version"]) == ("connected", "1.0")
    data = envelope["data"]
    assert data.keys() == {"clientId", "serverInfo", "clientInfo", "resumed", "degraded"}
    assert len(data["clientId"]) == 32
    assert data["serverInfo"].keys() == {"version", "capabilities", "pingInterval"}
    assert data["serverInfo"]["pingInterval"] == 30_000
    assert data["clientInfo"].keys() == {"connectedAt", "authMethod", "clientType"}
    assert data["clientInfo"]["authMethod"] == "parameter_dev"
    assert data["clientInfo"]["clientType"] == "web"
    assert (data["resumed"], data["degraded"]) == (False, False)


async def test_two_streams_have_different_client_ids(server: Live) -> None:
    first, second = await connected(server), await connected(server)
    assert first.data["clientId"] != second.data["clientId"]


async def test_an_event_is_one_block_whose_id_is_last(server: Live) -> None:
    async with server.stream() as stream:
        await stream.block()
        id_ = await server.publish("news", {"a": 1}, correlationId="c", userId="bob")
        block = await stream.block()
    assert block.names == ["event", "data", "id"]
    assert (block.event, block.id) == ("news", id_)
    assert block.envelope == {
        "id": id_,
        "type": "news",
        "timestamp": int(id_.partition("-")[0]),
        "priority": "normal",
        "source": "server",
        "version": "1.0",
        "data": {"a": 1},
        "metadata": {"correlationId": "c", "userId": "bob"},
    }


async def test_unnamed_streams_have_no_event_lines_but_all_else(server: Live) -> None:
    async with server.stream(named="0", since="1-2-abcd") as stream:
        await server.publish("news", "x")
        blocks = await stream.blocks(3)
    assert [block.names for block in blocks] == [["data"], ["data", "id"], ["data", "id"]]
    assert [block.type for block in blocks] == ["connected", "gap", "news"]
    assert b"event:" not in stream.seen


async def test_a_stream_without_a_cursor_starts_at_the_head(server: Live) -> None:
    await server.publish("news", "before")
    async with server.stream() as stream:
        assert (await stream.block()).data["resumed"] is False
        await server.publish("news", "after")
        assert (await stream.block()).data == "after"


async def test_a_cursor_resumes_exactly_after_it(server: Live) -> None:
    ids = [await server.publish("news", number) for number in range(5)]
    async with server.stream(since=ids[1]) as stream:
        first, *blocks = await stream.blocks(4)
        await server.publish("news", "live")
        live_block = await stream.block()
    assert first.data["resumed"] is True
    assert first.id == ids[1]
    assert [block.id for block in blocks] == ids[2:]
    assert live_block.data == "live"


async def test_the_header_goes_before_last_event_id_and_that_before_since(server: Live) -> None:
    ids = [await server.publish("news", number) for number in range(4)]
    three: dict[str, Any] = {"since": ids[0], "lastEventId": ids[1]}
    async with server.stream(headers={"Last-Event-ID": ids[2]}, **three) as stream:
        assert (await stream.block()).id == ids[2]
    async with server.stream(**three) as stream:
        assert (await stream.block()).id == ids[1]
    # The empty string is what a client has before its first event.
    async with server.stream(headers={"Last-Event-ID": ""}, **three) as stream:
        assert (await stream.block()).id == ids[1]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("{ms}-1-zzzz", "epoch"),
        ("{ms}-99-{epoch}", "future"),
        ("1-2-{epoch}", "epoch"),
    ],
)
async def test_a_cursor_that_cannot_be_honoured_gets_one_gap_and_then_what_there_is(
    server: Live, cursor: str, reason: str
) -> None:
    floor = await server.cursor()
    ids = [await server.publish("news", number) for number in range(2)]
    ms, _, epoch = ids[0].split("-")
    asked = cursor.format(ms=ms, epoch=epoch)
    async with server.stream(since=asked) as stream:
        first, gap = await stream.blocks(2)
        await server.publish("news", "end")
        after = [block.id for block in await stream.until("end")]
    assert first.names == ["event", "data"], "a cursor before the gap would hide it"
    assert first.data["resumed"] is False
    to = ids[-1] if reason == "future" else floor
    assert (gap.event, gap.type, gap.id) == ("gap", "gap", to)
    assert gap.data == {"from": asked, "to": to, "reason": reason}
    assert after == ([] if reason == "future" else ids)


async def test_a_trimmed_cursor_gets_one_gap_to_the_floor() -> None:
    async with live(make_tidewire(retention_events=2)) as server:
        ids = [await server.publish("news", number) for number in range(5)]
        async with server.stream(since=ids[0]) as stream:
            first, gap, *events = await stream.blocks(4)
        assert first.id is None
        assert gap.data == {"from": ids[0], "to": ids[2], "reason": "expired"}
        assert [event.id for event in events] == ids[3:]
        async with server.stream(since=ids[2]) as stream:
            first, event = await stream.blocks(2)
        assert (first.data["resumed"], event.id) == (True, ids[3]), "the floor itself is honoured"


async def test_the_gap_of_a_stream_is_a_cursor_that_resumes(server: Live) -> None:
    await server.publish("news", 1)
    async with server.stream(since="1-2-abcd") as stream:
        _, gap = await stream.blocks(2)
    assert gap.id is not None
    async with server.stream(since=gap.id) as stream:
        assert (await stream.block()).data["resumed"] is True


@pytest.mark.parametrize("since", ["earliest", "0", "1764000000000"])
async def test_a_start_that_is_no_cursor_replays_only_so_many(since: str) -> None:
    async with live(make_tidewire(max_replay_events=2)) as server:
        ids = [await server.publish("news", number) for number in range(2)]
        async with server.stream(since=since) as stream:
            first, *events = await stream.blocks(3)
        assert first.data["resumed"] is False
        assert [event.id for event in events] == ids, "no gap: all of it may be replayed"
        ids += [await server.publish("news", number) for number in range(2, 5)]
        async with server.stream(since=since) as stream:
            _, gap, *events = await stream.blocks(4)
        assert gap.data == {"from": since, "to": ids[2], "reason": "replayLimit"}
        assert [event.id for event in events] == ids[3:]
        async with server.stream(since=ids[0]) as stream:
            _, *events = await stream.blocks(5)
        assert [event.id for event in events] == ids[1:], "a cursor is replayed in whole"


async def test_milliseconds_start_at_the_first_event_of_that_time(
    timed: Live, clock: FakeClock
) -> None:
    await timed.publish("news", "early")
    clock.advance(10)
    late = await timed.publish("news", "late")
    async with timed.stream(since=str(clock.now())) as stream:
        assert [block.id for block in (await stream.blocks(2))[1:]] == [late]


async def test_types_narrow_what_comes(server: Live) -> None:
    async with server.stream(types="news,systemAlert", since="earliest") as stream:
        await stream.block()
        for type_ in ("news", "other", "systemAlert", "News", "news2"):
            await server.publish(type_)
        await server.publish("news", "end")
        assert [block.type for block in await stream.until("end")] == ["news", "systemAlert"]


async def test_a_topic_comes_when_it_is_asked_for_and_granted(server: Live) -> None:
    async with server.stream(topics="cats,dogs") as stream:
        await stream.block()
        for topic in ("cats", "birds", "dogs"):
            await server.publish("news", topic, topics=[topic])
        await server.publish("news", "end")
        assert [block.data for block in await stream.until("end")] == ["cats", "dogs"]


async def test_a_topic_that_is_not_granted_is_refused_and_named(server: Live) -> None:
    token = Tokens([SECRET], clock=SystemClock(), setting="").issue("alice", topics=["cats"])
    for path in ("/api/sse", "/api/realtime/polling"):
        answer = await server.http.get(path, params={"token": token.token, "topics": "cats,dogs"})
        problem = check_problem(answer, 403, "AUTH_FORBIDDEN")
        assert "'dogs'" in problem["detail"]
        assert problem["topics"] == ["dogs"]
        assert token.token not in answer.text


async def test_a_new_stream_of_an_instance_replaces_its_old_one(server: Live) -> None:
    async with (
        server.stream(instanceId="tab-1") as old,
        server.stream(instanceId="tab-2") as other_tab,
        server.stream("bob", instanceId="tab-1") as other_user,
    ):
        for stream in (old, other_tab, other_user):
            await stream.block()
        async with server.stream(instanceId="tab-1") as new:
            await new.block()
            (goodbye,) = await old.to_end()
            assert goodbye.event == "disconnecting"
            assert goodbye.data == {"reason": "replaced", "reconnectAfter": None}
            assert goodbye.retry is None
            await server.publish("news", "on")
            for stream in (new, other_tab, other_user):
                assert (await stream.block()).data == "on"


async def test_pings_carry_the_cursor_of_a_filtered_stream(timed: Live, clock: FakeClock) -> None:
    async with timed.stream(types="never") as stream:
        await stream.block()
        id_ = await timed.publish("news")
        clock.advance(1000)
        ping = await stream.block()
    assert (ping.event, ping.id, ping.names) == ("ping", id_, ["event", "data", "id"])
    assert ping.data.keys() == {"timestamp", "serverTime", "sequence", "head"}
    assert (ping.data["head"], ping.data["sequence"]) == (id_, 1)
    assert "id" not in ping.envelope
    async with timed.stream(since=id_) as stream:
        assert (await stream.block()).data["resumed"] is True


async def test_a_stream_ends_with_its_credential_unless_it_is_refreshed(
    timed: Live, clock: FakeClock
) -> None:
    tokens = Tokens([SECRET], clock=clock, setting="")
    first = tokens.issue("alice", lifetime=100)
    async with streaming(timed.http, "/api/sse", {"token": first.token}) as stream:
        client_id = (await stream.block()).data["clientId"]
        clock.advance(80)
        expiring = await stream.block()
        assert expiring.event == "authExpiring"
        assert expiring.id is None
        assert expiring.data == {
            "expiresAt": first.expires_at,
            "refreshUrl": "/api/auth/sse-token/refresh",
        }
        second = tokens.issue("alice", lifetime=100)
        answer = await timed.http.post(
            "/api/auth/sse-token/refresh",
            params={"token": second.token},
            json={"clientId": client_id},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "expiresAt": second.expires_at,
            "fence": await timed.cursor(),
        }
        clock.advance(40)
        await timed.publish("news", "past the first end")
        assert (await stream.block()).data == "past the first end"
        clock.advance(60)
        problem, goodbye = await stream.to_end()
    assert (problem.event, problem.type, problem.id) == ("problem", "error", None)
    assert problem.data["code"] == "AUTH_EXPIRED_TOKEN"
    assert goodbye.event == "disconnecting"
    assert goodbye.data["reason"] == "expired"
    assert goodbye.retry == str(goodbye.data["reconnectAfter"])
    assert first.token.encode() not in stream.seen


async def test_only_the_same_user_with_a_later_end_refreshes_a_stream(
    timed: Live, clock: FakeClock
) -> None:
    tokens = Tokens([SECRET], clock=clock, setting="")
    async with streaming(
        timed.http, "/api/sse", {"token": tokens.issue("alice", lifetime=100).token}
    ) as stream:
        client_id = (await stream.block()).data["clientId"]
        for user, lifetime, asked, status, code in (
            ("bob", 200, client_id, 404, "CLIENT_NOT_FOUND"),
            ("alice", 200, "0" * 32, 404, "CLIENT_NOT_FOUND"),
            ("alice", 100, client_id, 401, "AUTH_INVALID_TOKEN"),
        ):
            answer = await timed.http.post(
                "/api/auth/sse-token/refresh",
                headers={"Authorization": f"Bearer {tokens.issue(user, lifetime=lifetime).token}"},
                json={"clientId": asked},
            )
            check_problem(answer, status, code)


async def test_a_refresh_judges_what_follows_by_the_new_identity(
    timed: Live, clock: FakeClock
) -> None:
    tokens = Tokens([SECRET], clock=clock, setting="")
    old = tokens.issue("alice", roles=["EDITOR"], lifetime=100)
    async with streaming(timed.http, "/api/sse", {"token": old.token}) as stream:
        client_id = (await stream.block()).data["clientId"]
        await timed.publish("news", "as editor", roles=["EDITOR"])
        assert (await stream.block()).data == "as editor"
        new = tokens.issue("alice", roles=["READER"], lifetime=200)
        answer = await timed.http.post(
            "/api/auth/sse-token/refresh", params={"token": new.token}, json={"clientId": client_id}
        )
        assert answer.status_code == 200
        await timed.publish("news", "for editors", roles=["EDITOR"])
        await timed.publish("news", "for readers", roles=["READER"])
        assert (await stream.block()).data == "for readers"


async def test_a_drain_sends_everyone_away_with_a_time_to_come_back(server: Live) -> None:
    async with server.stream() as one, server.stream("bob") as two:
        await one.block()
        await two.block()
        await server.tidewire.drain()
        for stream in (one, two):
            (goodbye,) = await stream.to_end()
            assert goodbye.event == "disconnecting"
            assert goodbye.data["reason"] == "shutdown"
            assert goodbye.retry == str(goodbye.data["reconnectAfter"])
    for path in ("/api/sse", "/readyz"):
        answer = await server.http.get(path, params={"userId": "alice"})
        problem = check_problem(answer, 503, "DRAINING")
        assert problem["retryable"] is True
        assert answer.headers.get("retry-after") == ("1" if path == "/api/sse" else None)
    assert (await server.http.get("/livez")).status_code == 200


async def test_a_snapshot_and_a_stream_from_its_cursor_meet_without_a_hole(server: Live) -> None:
    state = []
    for number in range(3):
        await server.publish("news", number)
        state.append(number)
    answer = await server.http.get("/api/realtime/cursor", params={"userId": "alice"})
    snapshot = list(state)
    for number in range(3, 6):
        await server.publish("news", number)
    async with server.stream(since=answer.json()["cursor"]) as stream:
        first, *blocks = await stream.blocks(4)
    assert first.data["resumed"] is True
    assert snapshot + [block.data for block in blocks] == list(range(6))


async def test_a_client_who_leaves_is_forgotten(server: Live) -> None:
    node = await server.tidewire.start()
    async with server.stream() as stream:
        await stream.block()
        assert len(node.keeper.connections) == 1
    await until(lambda: len(node.keeper.connections) == 0)
