"""Floods are held to their rates, with exact headers, by memory and by a real Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.fakes import FakeClock, FakeJournal
from tests.http.server import SECRET, Live, check_problem, live, make_tidewire
from tests.redisserver import redis_server
from tidewire.auth.tokens import Tokens

Ask = Callable[[Live, str], Awaitable[httpx.Response]]


async def connect(server: Live, user: str, **params: str) -> httpx.Response:
    async with server.http.stream("GET", "/api/sse", params={"userId": user, **params}) as response:
        if response.status_code != 200:
            await response.aread()
        return response


async def poll(server: Live, user: str, **params: str) -> httpx.Response:
    return await server.http.get("/api/realtime/polling", params={"userId": user, **params})


async def publish(server: Live, user: str) -> httpx.Response:
    return await server.http.post(
        "/api/realtime/publish",
        params={"userId": user, "permissions": "publish"},
        json={"type": "news"},
    )


async def try_out(server: Live, user: str) -> httpx.Response:
    return await server.http.post("/api/realtime/test", params={"userId": user}, json={})


async def get_token(server: Live, user: str) -> httpx.Response:
    return await server.http.get("/api/auth/sse-token", params={"userId": user})


async def fail(server: Live, **headers: str) -> httpx.Response:
    return await server.http.get(
        "/api/realtime/cursor", params={"token": "never-was-good"}, headers=headers
    )


async def succeed(server: Live, user: str = "alice", **headers: str) -> httpx.Response:
    return await server.http.get("/api/realtime/cursor", params={"userId": user}, headers=headers)


FLOODS: dict[str, tuple[str, Ask]] = {
    "connect": ("connect", connect),
    "poll": ("poll", poll),
    "publish": ("publish", publish),
    "test": ("publish", try_out),
    "token": ("token", get_token),
}


@pytest.fixture(params=["memory", "redis"])
def redis_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    if request.param == "memory":
        yield None
    else:
        with redis_server(tmp_path) as redis:
            yield redis.url


def rate_of(answer: httpx.Response) -> tuple[int, int, int]:
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    limit, remaining, reset = (int(answer.headers[name]) for name in names)
    return limit, remaining, reset


def check_limited(answer: httpx.Response, limit: int, seconds: range) -> None:
    problem = check_problem(answer, 429, "RATE_LIMIT_EXCEEDED")
    assert problem["retryable"] is True
    told, remaining, reset = rate_of(answer)
    assert (told, remaining) == (limit, 0)
    assert reset in seconds
    assert answer.headers["retry-after"] == str(reset)
    assert reset * 1000 - 1000 < problem["retryAfter"] <= reset * 1000
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_is_held_to_its_rate_with_exact_headers(
    flood: str, redis_url: str | None
) -> None:
    rate, ask = FLOODS[flood]
    clock = FakeClock()
    tidewire = make_tidewire(
        clock=clock, rate_limits=f"{rate}=3/hour", rate_limit_redis_url=redis_url
    )
    # In Redis the time of the machine counts; a minute is more than a test takes.
    seconds = range(3600, 3601) if redis_url is None else range(3540, 3601)
    async with live(tidewire) as server:
        for left in (2, 1, 0):
            answer = await ask(server, "alice")
            assert answer.status_code == 200, answer.text
            limit, remaining, reset = rate_of(answer)
            assert (limit, remaining) == (3, left)
            assert reset in seconds
        for _ in range(3):
            check_limited(await ask(server, "alice"), 3, seconds)
        assert (await ask(server, "bob")).status_code == 200
        if redis_url is None:
            clock.advance(3599)
            check_limited(await ask(server, "alice"), 3, range(1, 2))
            clock.advance(1)
            assert (await ask(server, "alice")).status_code == 200


async def test_without_rates_nothing_is_counted_and_nothing_is_said() -> None:
    async with live(make_tidewire(rate_limits="off")) as server:
        for _ in range(200):
            answer = await poll(server, "alice")
            assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_instances_of_a_user_poll_apart_from_each_other() -> None:
    async with live(make_tidewire(rate_limits="poll=1/hour")) as server:
        assert (await poll(server, "alice", instanceId="one")).status_code == 200
        assert (await poll(server, "alice", instanceId="two")).status_code == 200
        assert (await poll(server, "alice")).status_code == 200
        for instance in ("one", "two"):
            answer = await poll(server, "alice", instanceId=instance)
            check_limited(answer, 1, range(3590, 3601))


async def test_a_client_that_may_not_connect_any_more_may_poll() -> None:
    async with live(make_tidewire(rate_limits="connect=1/hour")) as server:
        await connect(server, "alice")
        check_limited(await connect(server, "alice"), 1, range(3590, 3601))
        assert (await poll(server, "alice")).status_code == 200


async def test_streams_that_are_resumed_have_an_allowance_of_their_own() -> None:
    async with live(make_tidewire(rate_limits="connect=1/hour,resume=3/hour")) as server:
        cursor = await server.cursor()
        assert (await connect(server, "alice")).status_code == 200
        for _ in range(3):
            assert (await connect(server, "alice", lastEventId=cursor)).status_code == 200
        check_limited(await connect(server, "alice", lastEventId=cursor), 3, range(3590, 3601))


@pytest.mark.parametrize("cursor", ["1764000000000-42-zzzz", "latest", "earliest", "1"])
async def test_what_resumes_nothing_counts_as_a_new_stream(cursor: str) -> None:
    async with live(make_tidewire(rate_limits="connect=1/hour")) as server:
        assert (await connect(server, "alice", lastEventId=cursor)).status_code == 200
        answer = await connect(server, "alice", lastEventId=cursor)
        check_limited(answer, 1, range(3590, 3601))


async def test_failed_authentications_of_an_address_are_held_to_their_rate(
    redis_url: str | None,
) -> None:
    tidewire = make_tidewire(rate_limits="auth=3/hour", rate_limit_redis_url=redis_url)
    async with live(tidewire) as server:
        for _ in range(3):
            answer = await fail(server)
            check_problem(answer, 401, "AUTH_INVALID_TOKEN")
            assert "ratelimit-limit" not in answer.headers
        for _ in range(3):
            check_limited(await fail(server), 3, range(3540, 3601))
        nobody = await server.http.get("/api/realtime/cursor")
        check_limited(nobody, 3, range(3540, 3601))


async def test_an_office_behind_one_address_is_not_locked_out_by_one_of_its_people() -> None:
    async with live(make_tidewire(rate_limits="auth=3/hour")) as server:
        for _ in range(20):
            await fail(server)
        for number in range(200):
            assert (await succeed(server, f"user-{number}")).status_code == 200


async def test_an_office_whose_tokens_end_together_learns_that_they_have_ended() -> None:
    clock = FakeClock()
    issued = Tokens([SECRET], clock=clock, setting="SSE_JWT_SECRET").issue("alice", lifetime=60)
    clock.advance(61)
    async with live(make_tidewire(clock=clock, rate_limits="auth=3/hour")) as server:
        for _ in range(20):
            answer = await server.http.get("/api/realtime/cursor", params={"token": issued.token})
            check_problem(answer, 401, "AUTH_EXPIRED_TOKEN")


async def test_an_address_that_does_nothing_but_fail_is_not_listened_to_any_more() -> None:
    clock = FakeClock()
    issued = Tokens([SECRET], clock=clock, setting="SSE_JWT_SECRET").issue("alice", lifetime=60)
    clock.advance(61)
    async with live(make_tidewire(clock=clock, rate_limits="auth=1/hour")) as server:
        for _ in range(200):
            await server.http.get("/api/realtime/cursor", params={"token": issued.token})
        check_limited(await succeed(server), 200, range(3600, 3601))
        clock.advance(3600)
        assert (await succeed(server)).status_code == 200


async def test_what_a_stranger_says_of_addresses_changes_nothing() -> None:
    async with live(make_tidewire(rate_limits="auth=3/hour")) as server:
        statuses = [
            (await fail(server, **{"x-forwarded-for": f"192.0.2.{number}"})).status_code
            for number in range(6)
        ]
    assert statuses == [401] * 3 + [429] * 3


async def test_behind_a_trusted_proxy_each_client_answers_for_itself() -> None:
    tidewire = make_tidewire(rate_limits="auth=2/hour", trusted_proxies="127.0.0.0/8")
    async with live(tidewire) as server:
        for number in range(6):
            # What stands to the left was said by the client itself.
            told = f"203.0.113.{number}, 192.0.2.1"
            answer = await fail(server, **{"x-forwarded-for": told})
            assert answer.status_code == (401 if number < 2 else 429)
        other = await fail(server, **{"x-forwarded-for": "192.0.2.2"})
        check_problem(other, 401, "AUTH_INVALID_TOKEN")


async def test_when_redis_dies_requests_go_on_and_this_node_counts_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    journal = FakeJournal()
    with redis_server(tmp_path) as redis:
        tidewire = make_tidewire(
            clock=clock,
            journal=journal,
            rate_limits="token=2/hour",
            rate_limit_redis_url=redis.url,
        )
        async with live(tidewire) as server:

            async def ask() -> int:
                return (await get_token(server, "alice")).status_code

            assert [await ask() for _ in range(3)] == [200, 200, 429]
            redis.end()
            assert [await ask() for _ in range(3)] == [200, 200, 429]
            assert len([note for note in journal.notes if "is away" in note]) == 1
            redis.start()
            # It is left alone for a while, so that nobody waits for it at every request.
            assert await ask() == 429
            clock.advance(5)
            assert [await ask() for _ in range(3)] == [200, 200, 429]
            assert len([note for note in journal.notes if "is back" in note]) == 1
            assert len([note for note in journal.notes if "is away" in note]) == 1


async def test_a_redis_that_there_never_was_stops_nobody(tmp_path: Path) -> None:
    journal = FakeJournal()
    tidewire = make_tidewire(
        journal=journal,
        rate_limits="token=1/hour",
        rate_limit_redis_url=f"unix://{tmp_path}/none",
    )
    async with live(tidewire) as server:
        assert (await get_token(server, "alice")).status_code == 200
        check_limited(await get_token(server, "alice"), 1, range(3590, 3601))
    assert journal.notes == ["the Redis of the rate limits is away; this node counts alone"]


async def test_a_redis_that_does_not_answer_holds_up_one_request_and_not_for_long(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    with redis_server(tmp_path) as redis:
        tidewire = make_tidewire(
            clock=clock, rate_limits="token=100/hour", rate_limit_redis_url=redis.url
        )
        async with live(tidewire) as server:
            await get_token(server, "alice")
            redis.freeze()
            began = time.monotonic()
            for _ in range(20):
                assert (await get_token(server, "alice")).status_code == 200
            assert time.monotonic() - began < 2
            clock.advance(5)
            began = time.monotonic()
            answers = await asyncio.gather(*(get_token(server, "alice") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            assert time.monotonic() - began < 2


async def test_rates_are_shared_again_after_a_stop_and_a_start(tmp_path: Path) -> None:
    journal = FakeJournal()
    with redis_server(tmp_path) as redis:
        tidewire = make_tidewire(
            journal=journal, rate_limits="token=1/hour", rate_limit_redis_url=redis.url
        )
        async with live(tidewire) as server:
            assert (await get_token(server, "alice")).status_code == 200
        async with live(tidewire) as server:
            check_limited(await get_token(server, "alice"), 1, range(3540, 3601))
    assert journal.notes == []


async def test_nothing_that_a_client_sends_stands_in_redis_as_it_was_sent(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path) as redis:
        tidewire = make_tidewire(rate_limit_redis_url=redis.url)
        async with live(tidewire) as server:
            await poll(server, "alice-the-user", instanceId="x" * 100)
            keys = redis.ask("KEYS", "*")
        assert keys.count(b"tidewire:limits:poll") == 2
        assert b"alice-the-user" not in keys
        assert b"xxx" not in keys


async def test_the_cap_on_connections_of_a_user_is_a_setting() -> None:
    tidewire = make_tidewire(max_connections_per_user=2)
    async with live(tidewire) as server, server.stream(), server.stream():
        answer = await connect(server, "alice")
        problem = check_problem(answer, 429, "TOO_MANY_CONNECTIONS")
        assert problem["retryAfter"] == int(answer.headers["retry-after"]) * 1000
        assert (await connect(server, "bob")).status_code == 200


async def test_without_a_cap_a_user_may_have_as_many_as_the_node_holds() -> None:
    tidewire = make_tidewire(max_connections_per_user=0, max_connections=12)
    async with live(tidewire) as server, AsyncExitStack() as streams:
        for _ in range(12):
            await streams.enter_async_context(server.stream())
        answer = await connect(server, "bob")
        check_problem(answer, 503, "NODE_FULL")
        assert "retry-after" in answer.headers
