"""What happens to an open stream when what its client may do changes."""

import asyncio
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.fakes import FakeClock
from tests.http.server import (
    SECRET,
    Live,
    Stream,
    check_problem,
    live,
    make_tidewire,
    streaming,
)
from tests.waiting import until
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

pytestmark = pytest.mark.both_sinks

TOKENS = Tokens([SECRET], clock=SystemClock(), setting="")


def bearer(user: str = "alice", lifetime: int = 3600, **claims: Any) -> dict[str, str]:
    token = TOKENS.issue(user, lifetime=lifetime, **claims).token
    return {"authorization": f"Bearer {token}"}


async def refresh(
    server: Live, client_id: str, user: str = "alice", **claims: Any
) -> httpx.Response:
    return await server.http.post(
        "/api/auth/sse-token/refresh",
        json={"clientId": client_id},
        headers=bearer(user, **claims),
    )


async def connected(stream: Stream) -> str:
    client_id: str = (await stream.block()).data["clientId"]
    return client_id


async def test_a_stream_outlives_its_token_by_refresh_and_its_new_roles_hold_at_the_next_event(
    server: Live,
) -> None:
    first = bearer(lifetime=2, roles=["READER"])
    async with (
        streaming(server.http, "/api/sse", {}, first) as stream,
        streaming(server.http, "/api/sse", {}, first) as other,
    ):
        client_id = await connected(stream)
        warning = await stream.block()
        assert warning.event == "authExpiring"
        assert warning.data["refreshUrl"] == "/api/auth/sse-token/refresh"
        answer = await refresh(server, client_id, roles=["EDITOR"])
        assert answer.status_code == 200, answer.text
        assert answer.json()["expiresAt"] > warning.data["expiresAt"]
        assert answer.json()["fence"] == await server.cursor()
        await server.publish("old", 1, roles=["READER"])
        await server.publish("new", 2, roles=["EDITOR"])
        assert (await stream.block()).data == 2
        # When a stream that has only the first token has ended, this one is still there.
        assert (await other.to_end())[-1].data["reason"] == "expired"
        await server.publish("new", 3, roles=["EDITOR"])
        assert (await stream.block()).data == 3


async def test_without_a_refresh_the_stream_ends_at_the_tokens_end_with_a_typed_error(
    server: Live,
) -> None:
    headers = bearer(lifetime=2)
    async with streaming(server.http, "/api/sse", {}, headers) as stream:
        await connected(stream)
        warning, problem, last = await stream.to_end()
        ended = server.tidewire.clock.now()
    assert problem.event == "problem"
    assert problem.type == "error"
    assert (problem.data["code"], problem.data["recovery"]) == (
        "AUTH_EXPIRED_TOKEN",
        "refresh_token",
    )
    assert last.data["reason"] == "expired"
    assert abs(ended - warning.data["expiresAt"]) < 1000
    answer = await server.http.get("/api/sse", headers=headers)
    check_problem(answer, 401, "AUTH_EXPIRED_TOKEN")


async def test_a_held_poll_ends_with_its_token(server: Live) -> None:
    answer = await asyncio.wait_for(
        server.http.get(
            "/api/realtime/polling",
            params={"since": "latest", "wait": 60},
            headers=bearer(lifetime=1),
        ),
        5,
    )
    assert answer.status_code == 200
    assert answer.json()["events"] == []


@pytest.mark.parametrize("by", ["jti", "userId"])
async def test_revocation_ends_a_stream_within_a_second_and_refuses_its_token(
    server: Live, by: str
) -> None:
    headers = bearer()
    identity = await TOKENS.verify(headers["authorization"].split()[1], method="")
    value = identity.token_id if by == "jti" else identity.user_id
    async with streaming(server.http, "/api/sse", {}, headers) as stream:
        await connected(stream)
        answer = await server.http.post(
            "/api/auth/revoke", params={"userId": "root", "roles": "ADMIN"}, json={by: value}
        )
        assert answer.status_code == 204
        problem, last = await asyncio.wait_for(stream.to_end(), 1)
    assert problem.data["code"] == "AUTH_REVOKED"
    assert last.data["reason"] == "revoked"
    answer = await server.http.get("/api/realtime/cursor", headers=headers)
    check_problem(answer, 401, "AUTH_REVOKED")


async def test_a_token_that_does_not_say_when_it_was_issued_is_revoked_with_its_user(
    server: Live,
) -> None:
    claims = {"sub": "alice", "aud": "tidewire", "typ": "sse", "exp": 4_000_000_000}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), ["HS256"])
    headers = {"authorization": f"Bearer {token}"}
    assert (await server.http.get("/api/realtime/cursor", headers=headers)).status_code == 200
    await server.tidewire.revoke(user_id="alice")
    answer = await server.http.get("/api/realtime/cursor", headers=headers)
    check_problem(answer, 401, "AUTH_REVOKED")


async def test_who_signs_in_again_right_after_a_revocation_is_let_in(server: Live) -> None:
    await server.tidewire.revoke(user_id="alice")
    began = server.tidewire.clock.now()
    await until(lambda: server.tidewire.clock.now() > began)
    answer = await server.http.get("/api/realtime/cursor", headers=bearer())
    assert answer.status_code == 200


async def test_only_administrators_revoke(server: Live) -> None:
    answer = await server.http.post(
        "/api/auth/revoke", params={"userId": "eve"}, json={"userId": "alice"}
    )
    check_problem(answer, 403, "AUTH_FORBIDDEN")


@pytest.mark.parametrize("body", [{}, {"jti": "a", "userId": "b"}, {"user": "a"}, {"jti": ""}])
async def test_a_revocation_names_one_token_or_one_user(server: Live, body: Any) -> None:
    answer = await server.http.post(
        "/api/auth/revoke", params={"userId": "root", "roles": "ADMIN"}, json=body
    )
    check_problem(answer, 422, "VALIDATION_EVENT")


async def test_somebody_elses_stream_cannot_be_refreshed(server: Live) -> None:
    async with streaming(server.http, "/api/sse", {}, bearer()) as stream:
        client_id = await connected(stream)
        check_problem(await refresh(server, client_id, "eve"), 404, "CLIENT_NOT_FOUND")


async def test_a_refresh_by_a_token_that_ends_earlier_is_refused(server: Live) -> None:
    async with streaming(server.http, "/api/sse", {}, bearer()) as stream:
        client_id = await connected(stream)
        answer = await refresh(server, client_id, lifetime=60)
        check_problem(answer, 401, "AUTH_INVALID_TOKEN")


async def test_who_lost_a_role_does_not_replay_what_the_role_saw(server: Live) -> None:
    headers = bearer(roles=["EDITOR"])
    cursor = await server.cursor()
    await server.publish("edit", "secret", roles=["EDITOR"])
    await server.tidewire.update_identity("alice", roles=["READER"])
    marker = await server.publish("end", "end")
    async with streaming(server.http, "/api/sse", {"since": cursor}, headers) as stream:
        await connected(stream)
        assert (await stream.block()).id == marker
    answer = await server.http.get(
        "/api/realtime/polling", params={"since": cursor}, headers=headers
    )
    assert [event["data"] for event in answer.json()["events"]] == ["end"]


async def test_open_streams_follow_a_changed_identity_at_once(server: Live) -> None:
    async with streaming(server.http, "/api/sse", {}, bearer(roles=["EDITOR"])) as stream:
        await connected(stream)
        await server.tidewire.update_identity("alice", roles=["READER"])
        await server.publish("edit", "secret", roles=["EDITOR"])
        await server.publish("read", "public", roles=["READER"])
        assert (await stream.block()).data == "public"


async def test_the_application_ends_streams_by_client_and_by_user(server: Live) -> None:
    async with server.stream("alice") as first, server.stream("bob") as second:
        one = await connected(first)
        await connected(second)
        await server.tidewire.disconnect(one)
        await server.tidewire.disconnect_user("bob")
        for stream in (first, second):
            (last,) = await stream.to_end()
            assert last.data == {"reason": "administrator", "reconnectAfter": None}


async def test_a_development_stream_ends_after_an_hour() -> None:
    clock = FakeClock()
    tidewire = make_tidewire(clock=clock, ping_interval=100_000)
    async with live(tidewire) as server, server.stream("alice") as stream:
        await connected(stream)
        clock.advance(3599)
        assert (await stream.block()).event == "authExpiring"
        clock.advance(1)
        assert [block.event for block in await stream.to_end()] == ["problem", "disconnecting"]
