"""Publishing, the test endpoint, the cursor and the tokens over HTTP."""

from typing import Any

import httpx
import pytest

from tests.fakes import FakeClock
from tests.http.server import SECRET, Live, check_problem, live, make_tidewire
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

ADMIN = {"userId": "admin", "roles": "ADMIN"}


async def publish(
    server: Live, body: Any, key: str | bytes | None = None, **params: str
) -> httpx.Response:
    headers = (
        []
        if key is None
        else [(b"Idempotency-Key", key if isinstance(key, bytes) else key.encode())]
    )
    return await server.http.post(
        "/api/realtime/publish", params=params or ADMIN, json=body, headers=headers
    )


async def events(server: Live, user: str = "alice") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await server.poll(user, since="earliest", limit=500))["events"]
    return found


async def test_one_event_is_accepted_with_all_its_fields(server: Live) -> None:
    answer = await publish(
        server,
        {
            "type": "news",
            "data": [1, {"a": None}],
            "priority": "high",
            "source": "billing",
            "metadata": {"userIds": ["alice"], "userId": "bob", "further": 1},
        },
    )
    assert answer.status_code == 200
    assert answer.json().keys() == {"ids", "durable"}
    assert answer.json()["durable"] is True
    (event,) = await events(server)
    assert [event["id"]] == answer.json()["ids"]
    assert (event["type"], event["data"]) == ("news", [1, {"a": None}])
    assert (event["priority"], event["source"]) == ("high", "billing")
    assert event["metadata"] == {"userId": "bob", "further": 1}


async def test_a_batch_is_accepted_in_its_order(server: Live) -> None:
    answer = await publish(server, {"events": [{"type": "n", "data": i} for i in range(1000)]})
    ids = answer.json()["ids"]
    assert len(set(ids)) == 1000
    found = await events(server)
    assert [event["id"] for event in found] == ids[:500]
    assert [event["data"] for event in found] == list(range(500))


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ({"userId": "x", "roles": "ADMIN"}, True),
        ({"userId": "x", "permissions": "publish"}, True),
        ({"userId": "x", "roles": "EDITOR", "permissions": "read"}, False),
        ({"userId": "x", "roles": "admin"}, False),
        ({"userId": "x"}, False),
    ],
)
async def test_publishing_needs_the_permission_or_an_administrator(
    server: Live, who: dict[str, str], may: bool
) -> None:
    answer = await publish(server, {"type": "news"}, **who)
    if may:
        assert answer.status_code == 200
    else:
        problem = check_problem(answer, 403, "AUTH_FORBIDDEN")
        assert "'publish'" in problem["detail"]
    assert len(await events(server)) == may


async def test_the_same_key_and_body_are_accepted_once(server: Live) -> None:
    body = {"events": [{"type": "news", "data": number} for number in range(3)]}
    first, again = [await publish(server, body, "key-1") for _ in range(2)]
    assert first.json() == again.json()
    assert len(await events(server)) == 3
    other = await publish(server, body, "key-2")
    assert set(other.json()["ids"]).isdisjoint(first.json()["ids"])


async def test_the_same_key_with_another_body_is_refused(server: Live) -> None:
    await publish(server, {"type": "news", "data": 1}, "key")
    answer = await publish(server, {"type": "news", "data": 2}, "key")
    check_problem(answer, 422, "VALIDATION_IDEMPOTENCY")
    assert len(await events(server)) == 1


async def test_a_key_is_its_users_own(server: Live) -> None:
    body = {"type": "news"}
    ids = [
        (await publish(server, body, "key", userId=user, permissions="publish")).json()["ids"][0]
        for user in ("one", "two")
    ]
    assert len(set(ids)) == 2


async def test_a_refused_publish_does_not_use_its_key_up(server: Live) -> None:
    check_problem(await publish(server, {"type": "ping"}, "key"), 422, "VALIDATION_EVENT")
    assert (await publish(server, {"type": "news"}, "key")).status_code == 200


async def test_a_key_is_good_for_ten_minutes(timed: Live, clock: FakeClock) -> None:
    first = await publish(timed, {"type": "news"}, "key")
    clock.advance(599)
    assert (await publish(timed, {"type": "news"}, "key")).json() == first.json()
    clock.advance(2)
    assert (await publish(timed, {"type": "other"}, "key")).status_code == 200


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("k", True),
        ("k" * 255, True),
        (b"\xc3\xa9" * 127, True),
        ("", False),
        ("k" * 256, False),
        (b"\xc3\xa9" * 128, False),
    ],
    ids=["1", "255", "254 beyond ASCII", "0", "256", "256 beyond ASCII"],
)
async def test_a_key_has_one_to_255_bytes(server: Live, key: str | bytes, good: bool) -> None:
    answer = await publish(server, {"type": "news"}, key)
    if good:
        assert answer.status_code == 200, answer.text
    else:
        problem = check_problem(answer, 400, "VALIDATION_PARAMETER")
        assert problem["parameter"] == "Idempotency-Key"
    assert len(await events(server)) == good


async def try_out(server: Live, body: dict[str, Any], **params: str) -> httpx.Response:
    return await server.http.post(
        "/api/realtime/test", params=params or {"userId": "alice"}, json=body
    )


async def test_anyone_may_try_it_out_for_themselves(server: Live) -> None:
    answer = await try_out(server, {"message": "hello", "priority": "low"})
    assert answer.status_code == 200
    (event,) = await events(server)
    assert answer.json() == {
        "success": True,
        "eventId": event["id"],
        "type": "notification",
        "target": "user",
        "targetValue": "alice",
        "timestamp": event["timestamp"],
    }
    assert (event["data"], event["priority"]) == ({"message": "hello"}, "low")
    assert await events(server, "bob") == []


async def test_a_message_fills_only_what_is_absent(server: Live) -> None:
    await try_out(server, {"message": "m", "data": {"message": "own", "a": 1}})
    await try_out(server, {"message": "m", "data": {"a": 1}})
    assert [event["data"] for event in await events(server)] == [
        {"message": "own", "a": 1},
        {"message": "m", "a": 1},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"target": "user", "targetValue": "bob"},
        {"target": "role", "targetValue": "EDITOR"},
        {"target": "role", "targetValue": "alice"},
        {"target": "broadcast"},
    ],
)
async def test_trying_it_out_for_others_needs_the_permission(
    server: Live, body: dict[str, Any]
) -> None:
    before = await server.cursor()
    check_problem(await try_out(server, body), 403, "AUTH_FORBIDDEN")
    assert await server.cursor() == before
    answer = await try_out(server, body, userId="alice", permissions="publish")
    assert answer.status_code == 200
    assert answer.json()["target"] == body["target"]
    assert answer.json()["targetValue"] == body.get("targetValue")
    for user, role in (("bob", ""), ("carol", "EDITOR"), ("dave", "alice")):
        seen = len((await server.poll(user, since=before, roles=role))["events"])
        wanted = body["target"] == "broadcast" or body.get("targetValue") in (user, role)
        assert seen == wanted


@pytest.mark.parametrize(
    ("type_", "known"),
    [
        ("Notification", "notification"),
        ("system-alert", "systemAlert"),
        ("dashboardupdate", "dashboardUpdate"),
        ("notification", None),
        ("notifications", None),
        ("news", None),
    ],
)
async def test_a_type_that_nearly_is_a_known_one_gets_a_hint(
    server: Live, type_: str, known: str | None
) -> None:
    answer = (await try_out(server, {"type": type_})).json()
    if known is None:
        assert "hint" not in answer
    else:
        assert repr(known) in answer["hint"]


async def test_the_cursor_is_in_the_body_and_in_a_header(server: Live) -> None:
    id_ = await server.publish()
    answer = await server.http.get("/api/realtime/cursor", params={"userId": "alice"})
    assert answer.json() == {"cursor": id_}
    assert answer.headers["tidewire-cursor"] == id_
    assert answer.headers["cache-control"] == "no-store"


async def test_the_cursor_is_for_the_authenticated(server: Live) -> None:
    check_problem(await server.http.get("/api/realtime/cursor"), 401, "AUTH_REQUIRED")


async def test_the_development_parameter_mints_a_token_that_works(
    timed: Live, clock: FakeClock
) -> None:
    answer = await timed.http.get(
        "/api/auth/sse-token",
        params={"userId": "alice", "roles": "B,A", "permissions": "publish", "topics": "cats"},
    )
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    token = body.pop("token")
    now = clock.now() // 1000 * 1000
    assert body == {
        "expiresAt": now + 3_600_000,
        "refreshAfter": now + 2_700_000,
        "userId": "alice",
        "metadata": {"role": "A", "roles": ["A", "B"], "permissions": ["publish"]},
    }
    published = await timed.http.post(
        "/api/realtime/publish",
        headers={"Authorization": f"Bearer {token}"},
        json={"type": "news", "metadata": {"topics": ["cats"]}},
    )
    polled = await timed.http.get(
        "/api/realtime/polling", params={"token": token, "topics": "cats"}
    )
    assert [event["id"] for event in polled.json()["events"]] == published.json()["ids"]


async def test_a_token_does_not_mint_its_successor(server: Live) -> None:
    token = Tokens([SECRET], clock=SystemClock(), setting="").issue("alice", roles=["ADMIN"]).token
    for request in (
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"params": {"token": token}},
        {"params": {"token": token, "userId": "alice"}},
    ):
        answer = await server.http.get("/api/auth/sse-token", **request)  # type: ignore[arg-type]
        check_problem(answer, 403, "AUTH_FORBIDDEN")
        assert token not in answer.text


async def test_without_a_secret_no_token_is_made_and_the_setting_is_named() -> None:
    async with live(make_tidewire(secret=None)) as server:
        answer = await server.http.get("/api/auth/sse-token", params={"userId": "alice"})
        problem = check_problem(answer, 501, "SERVER_NOT_CONFIGURED")
        assert "SSE_JWT_SECRET" in problem["detail"]
        assert problem["retryable"] is False


async def test_the_probes_answer_anyone(server: Live) -> None:
    for path, status in (("/livez", "alive"), ("/readyz", "ready")):
        answer = await server.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": status})
