"""Whatever is wrong with a request: a problem that says what, the log unchanged, the server up."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from tests.fakes import FakeJournal
from tests.http.server import Live, check_problem, live, make_tidewire, serving
from tidewire.http.params import PollQuery

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN = {"userId": "admin", "roles": "ADMIN"}
PUBLISH = "/api/realtime/publish"
TRY = "/api/realtime/test"
REFRESH = "/api/auth/sse-token/refresh"
STREAM = "/api/sse"
POLL = "/api/realtime/polling"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Live]:
    async with live(make_tidewire(rate_limits="off")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def server(shared: Live) -> AsyncIterator[Live]:
    """A server that must hold the same and still serve after the test."""
    before = await shared.cursor()
    yield shared
    assert await shared.cursor() == before, "the log was changed"
    assert (await shared.http.get("/readyz")).status_code == 200


def each(*values: Any) -> tuple[Any, ...]:
    """Values of any types, for a table."""
    return values


def event(**changed: Any) -> dict[str, Any]:
    return {"type": "news", "data": {"a": 1}, **changed}


def meta(**metadata: Any) -> dict[str, Any]:
    return event(metadata=metadata)


EVENTS: list[tuple[str, Any, int, str]] = [
    # what is wrong, the event, the status, the field that the problem names
    *[
        (f"reserved type {name}", event(type=name), 422, "type")
        for name in (
            "connected",
            "disconnected",
            "disconnecting",
            "ping",
            "gap",
            "authExpiring",
            "error",
            "problem",
            "open",
        )
    ],
    *[
        (f"type {name!r:.20}", event(type=name), 422, "type")
        for name in each(
            "",
            " ",
            " news",
            "news ",
            "\u00a0news",
            "a,b",
            "a\nb",
            "a\rb",
            "a\r\ndata: x",
            "a\0b",
            "a\tb",
            "a\x7fb",
            "a\x85b",
            "a\u2028b",
            "a\u2029b",
            "x" * 129,
            7,
            None,
            True,
            ["news"],
            {},
        )
    ],
    ("no type", {"data": 1}, 422, "type"),
    ("an empty object", {}, 422, "type"),
    *[
        (f"{given} given", event(**{given: value}), 422, given)
        for given, value in (("id", "1-1-abcd"), ("timestamp", 1), ("version", "1.0"), ("id", None))
    ],
    *[
        (f"unknown field {name!r}", event(**{name: 1}), 422, name)
        for name in ("Type", "target", "targets", "userIds", "users", "roles", "topics", "Data")
    ],
    *[
        (f"priority {value!r}", event(priority=value), 422, "priority")
        for value in ("urgent", "High", "", 1, None)
    ],
    *[
        (f"source {value!r:.20}", event(source=value), 422, "source")
        for value in ("", "x" * 129, 1, None)
    ],
    *[
        (f"metadata {value!r}", event(metadata=value), 422, "metadata")
        for value in ("x", 1, [], [["userIds", ["a"]]], True)
    ],
    *[
        (f"{key} {value!r:.30}", meta(**{key: value}), 422, f"metadata.{key}")
        for key in ("userIds", "roles", "topics")
        for value in ([], None, "alice", 1, {}, {"alice": 1}, [""], [None], [1], ["a", ""])
    ],
    *[
        (f"a name of 257 in {key}", meta(**{key: ["x" * 257]}), 422, f"metadata.{key}")
        for key in ("userIds", "roles", "topics")
    ],
    *[
        (f"near miss {key!r}", meta(**{key: ["alice"]}), 422, f"metadata.{key}")
        for key in (
            "user",
            "users",
            "userID",
            "userIDs",
            "userids",
            "UserIds",
            "user_ids",
            "user_id",
            "user-ids",
            " userIds",
            "role",
            "Roles",
            "ROLES",
            "topic",
            "Topics",
        )
    ],
    ("one good and one empty list", meta(userIds=["a"], roles=[]), 422, "metadata.roles"),
    *[
        (f"{key} {value!r}", meta(**{key: value}), 422, f"metadata.{key}")
        for key in ("userId", "sessionId", "correlationId")
        for value in ("", 1, None, ["alice"])
    ],
]


@pytest.mark.parametrize(
    ("bad", "status", "field"),
    [case[1:] for case in EVENTS],
    ids=[str(case[0].encode("unicode_escape"), "ascii") for case in EVENTS],
)
async def test_an_event_that_breaks_a_rule_is_refused_alone_and_in_a_batch(
    server: Live, bad: Any, status: int, field: str
) -> None:
    answer = await server.http.post(PUBLISH, params=ADMIN, json=bad)
    problem = check_problem(answer, status, "VALIDATION_EVENT")
    assert problem["field"] == field
    assert "index" not in problem
    batch = {"events": [event(), event(), bad, event(type="ping")]}
    answer = await server.http.post(PUBLISH, params=ADMIN, json=batch)
    problem = check_problem(answer, status, "VALIDATION_EVENT")
    assert (problem["index"], problem["field"]) == (2, field)


DEEP = 100_000
BODIES: list[tuple[str, bytes, int, str]] = [
    # what is wrong, the body, the status, the code
    ("nothing", b"", 400, "VALIDATION_BODY"),
    ("no JSON", b"type=news", 400, "VALIDATION_BODY"),
    ("cut off", b'{"type": "news"', 400, "VALIDATION_BODY"),
    ("two values", b'{"type": "news"} {}', 400, "VALIDATION_BODY"),
    ("single quotes", b"{'type': 'news'}", 400, "VALIDATION_BODY"),
    ("a trailing comma", b'{"type": "news",}', 400, "VALIDATION_BODY"),
    ("a list", b'[{"type": "news"}]', 400, "VALIDATION_BODY"),
    ("a string", b'"news"', 400, "VALIDATION_BODY"),
    ("null", b"null", 400, "VALIDATION_BODY"),
    ("NaN", b'{"type": "news", "data": NaN}', 400, "VALIDATION_BODY"),
    ("Infinity", b'{"type": "news", "data": Infinity}', 400, "VALIDATION_BODY"),
    ("-Infinity", b'{"type": "news", "data": [-Infinity]}', 400, "VALIDATION_BODY"),
    ("beyond a double", b'{"type": "news", "data": 1e999}', 422, "VALIDATION_EVENT"),
    ("invalid UTF-8", b'{"type": "news", "data": "\xff"}', 400, "VALIDATION_BODY"),
    ("invalid UTF-8 in a key", b'{"type": "news", "\xff": 1}', 400, "VALIDATION_BODY"),
    ("Latin-1", '{"type": "news", "data": "é"}'.encode("latin-1"), 400, "VALIDATION_BODY"),
    ("UTF-16", '{"type": "news"}'.encode("utf-16"), 400, "VALIDATION_BODY"),
    ("an encoded surrogate", b'{"type":"n","data":"\xed\xa0\x80"}', 400, "VALIDATION_BODY"),
    ("a lone high surrogate", rb'{"type": "news", "data": "\ud83d"}', 400, "VALIDATION_BODY"),
    ("a lone low surrogate", rb'{"type": "news", "data": "\ude00"}', 400, "VALIDATION_BODY"),
    ("surrogates the wrong way", rb'{"type":"n","data":"\ude00\ud83d"}', 400, "VALIDATION_BODY"),
    ("a surrogate as type", rb'{"type": "\ud83d"}', 400, "VALIDATION_BODY"),
    ("a surrogate in a key", rb'{"type":"n","data":{"\ud83d":1}}', 400, "VALIDATION_BODY"),
    (
        "a surrogate in a target",
        rb'{"type":"n","metadata":{"userIds":["\ud83d"]}}',
        400,
        "VALIDATION_BODY",
    ),
    ("a raw line feed in a string", b'{"type": "news", "data": "\n"}', 400, "VALIDATION_BODY"),
    ("a number with a leading zero", b'{"type": "news", "data": 01}', 400, "VALIDATION_BODY"),
    (
        "deep nesting of lists",
        b'{"type": "news", "data": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        400,
        "VALIDATION_BODY",
    ),
    (
        "deep nesting of objects",
        b'{"type": "news", "data": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        400,
        "VALIDATION_BODY",
    ),
    (
        "an endless number",
        b'{"type": "news", "data": ' + b"9" * 100_000 + b"}",
        400,
        "VALIDATION_BODY",
    ),
    ("a batch of nothing", b'{"events": []}', 422, "VALIDATION_EVENT"),
    ("a batch that is no list", b'{"events": {}}', 422, "VALIDATION_EVENT"),
    ("a batch of null", b'{"events": null}', 422, "VALIDATION_EVENT"),
    ("a batch and more", b'{"events": [{"type": "n"}], "type": "n"}', 422, "VALIDATION_EVENT"),
    ("a batch in a batch", b'{"events": [{"events": [{"type": "n"}]}]}', 422, "VALIDATION_EVENT"),
    ("a batch of strings", b'{"events": ["news"]}', 422, "VALIDATION_EVENT"),
    (
        "1,001 events",
        json.dumps({"events": [{"type": "n"}] * 1001}).encode(),
        422,
        "VALIDATION_EVENT",
    ),
    (
        "an event over 256 KiB",
        json.dumps(event(data="x" * 256 * 1024)).encode(),
        413,
        "VALIDATION_TOO_LARGE",
    ),
    (
        "an event over 256 KiB by what is escaped",
        json.dumps(event(data="\u2028" * 50_000), ensure_ascii=False).encode(),
        413,
        "VALIDATION_TOO_LARGE",
    ),
    (
        "targets over 256 KiB",
        json.dumps(meta(userIds=[f"{number:0256}" for number in range(1100)])).encode(),
        413,
        "VALIDATION_TOO_LARGE",
    ),
    (
        "one event of a batch over 256 KiB",
        json.dumps({"events": [event(), event(data="x" * 256 * 1024)]}).encode(),
        413,
        "VALIDATION_TOO_LARGE",
    ),
    ("a body over 4 MiB", b" " * (4 * 1024 * 1024 + 1), 413, "VALIDATION_TOO_LARGE"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES]
)
async def test_a_bad_body_is_refused(server: Live, body: bytes, status: int, code: str) -> None:
    answer = await server.http.post(PUBLISH, params=ADMIN, content=body)
    check_problem(answer, status, code)
    assert len(answer.content) < 2000, "it repeats what was sent"


async def test_what_is_just_within_the_limits_is_taken(shared: Live) -> None:
    for size, status in ((256 * 1024 - 200, 200), (256 * 1024, 413)):
        answer = await shared.http.post(PUBLISH, params=ADMIN, json=event(data="x" * size))
        assert answer.status_code == status
    nested: Any = 1
    for _ in range(100):
        nested = [nested]
    answer = await shared.http.post(PUBLISH, params=ADMIN, json=event(data=nested))
    assert answer.status_code == 200


async def test_a_body_that_does_not_say_its_length_is_limited_as_well(server: Live) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * (64 * 1024)

    answer = await server.http.post(PUBLISH, params=ADMIN, content=chunks())
    check_problem(answer, 413, "VALIDATION_TOO_LARGE")


TRIED: list[tuple[dict[str, Any], str]] = [
    ({"type": "ping"}, "type"),
    ({"type": ""}, "type"),
    ({"message": 1}, "message"),
    ({"data": []}, "data"),
    ({"data": "x"}, "data"),
    ({"target": "everyone"}, "target"),
    ({"target": None}, "target"),
    ({"targetValue": ""}, "targetValue"),
    ({"targetValue": 1}, "targetValue"),
    ({"target_value": "bob"}, "target_value"),
    ({"targetvalue": "bob"}, "targetvalue"),
    ({"priority": "urgent"}, "priority"),
    ({"userIds": ["alice"]}, "userIds"),
    ({"id": "1"}, "id"),
    ({"target": "role"}, "metadata.roles"),
]


@pytest.mark.parametrize(("body", "field"), TRIED, ids=[str(case[0]) for case in TRIED])
async def test_trying_out_is_checked_as_well(
    server: Live, body: dict[str, Any], field: str
) -> None:
    answer = await server.http.post(TRY, params=ADMIN, json=body)
    assert check_problem(answer, 422, "VALIDATION_EVENT")["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"clientId": ""},
        {"clientId": 7},
        {"clientId": "x" * 65},
        {"client_id": "x"},
        {"clientId": "x", "more": 1},
    ],
    ids=str,
)
async def test_a_refresh_is_checked_as_well(server: Live, body: dict[str, Any]) -> None:
    check_problem(await server.http.post(REFRESH, params=ADMIN, json=body), 422, "VALIDATION_EVENT")


PARAMETERS: list[tuple[str, str, str]] = [
    # the path, the raw query, the parameter that the problem names
    *[
        (path, f"{name}={value}", name)
        for path in (STREAM, POLL)
        for name, value in (
            ("types", ""),
            ("types", "a,"),
            ("types", ","),
            ("types", "a,,b"),
            ("types", "%20a"),
            ("types", "a%0Ab"),
            ("types", "a%00b"),
            ("types", "x" * 129),
            ("types", ",".join(f"t{number}" for number in range(51))),
            ("topics", ""),
            ("topics", "a,"),
            ("topics", "x" * 129),
            ("topics", ",".join(f"t{number}" for number in range(51))),
            ("clientType", "x" * 129),
            ("clientInfo", "x" * 129),
            ("instanceId", "x" * 129),
        )
    ],
    *[(STREAM, f"named={value}", "named") for value in ("2", "true", "", "-1", "00")],
    *[
        (POLL, f"limit={value}", "limit")
        for value in ("0", "-1", "501", "1.5", "x", "", "1e2", "nan", "9" * 400, "%00", "0x10")
    ],
    *[
        (POLL, f"wait={value}", "wait")
        for value in ("-1", "-0.001", "60.001", "61", "x", "", "nan", "inf", "-inf", "1e999")
    ],
    *[
        (path, query, name)
        for path in (STREAM, POLL)
        for query, name in (
            ("types=a&types=b", "types"),
            ("topics=a&topics=b", "topics"),
            ("since=latest&since=earliest", "since"),
            ("lastEventId=1&lastEventId=2", "lastEventId"),
            ("userId=alice", "userId"),
            ("token=a&token=b", "token"),
            ("type=a", "type"),
            ("Types=a", "Types"),
            ("topic=a", "topic"),
            ("Since=1", "Since"),
            ("last_event_id=1", "last_event_id"),
            ("lasteventid=1", "lasteventid"),
            ("last-event-id=1", "last-event-id"),
            ("client_type=x", "client_type"),
            ("instanceID=x", "instanceID"),
            ("userid=bob", "userid"),
            ("user_id=bob", "user_id"),
            ("role=ADMIN", "role"),
            ("Token=x", "Token"),
        )
    ],
    (STREAM, "Named=0", "Named"),
    (POLL, "Limit=1", "Limit"),
    (POLL, "limit=1&limit=2", "limit"),
    (POLL, "wait=1&wait=2", "wait"),
]


@pytest.mark.parametrize(
    ("path", "query", "name"), PARAMETERS, ids=[f"{p} {q:.40}" for p, q, _ in PARAMETERS]
)
async def test_a_bad_parameter_is_refused_and_named(
    server: Live, path: str, query: str, name: str
) -> None:
    answer = await server.http.get(f"{path}?userId=alice&{query}")
    problem = check_problem(answer, 400, "VALIDATION_PARAMETER")
    assert problem["parameter"] == name
    assert name in problem["detail"]


ADMINISTRATION = [
    *[
        ("clients", query, query.partition("=")[0])
        for query in ("limit=0", "limit=501", "limit=x", "state=gone", "state=", "transport=ws")
    ],
    ("clients", f"user={'x' * 257}", "user"),
    ("clients", f"after={'x' * 65}", "after"),
    (f"clients/{'x' * 65}", "", "client_id"),
    ("events", "limit=0", "limit"),
    ("events", f"type={'x' * 257}", "type"),
    ("explain", "", "event"),
    ("explain", "event=1-1-abcd", "user"),
    ("explain", "event=1-1-abcd&user=", "user"),
    ("explain", f"event={'x' * 257}&user=ann", "event"),
]


@pytest.mark.parametrize(("path", "query", "name"), ADMINISTRATION)
async def test_a_bad_parameter_of_an_administrator_is_refused_and_named(
    server: Live, path: str, query: str, name: str
) -> None:
    answer = await server.http.get(f"/api/realtime/{path}?userId=admin&roles=ADMIN&{query}")
    problem = check_problem(answer, 400, "VALIDATION_PARAMETER")
    assert problem["parameter"] == name
    assert name in problem["detail"]


@pytest.mark.parametrize("value", ["x", "", "2", "null"])
async def test_a_bad_wish_for_details_is_refused(server: Live, value: str) -> None:
    answer = await server.http.get(f"/api/sse/health?userId=admin&roles=ADMIN&details={value}")
    assert check_problem(answer, 400, "VALIDATION_PARAMETER")["parameter"] == "details"


async def test_what_all_share_who_ask_for_nothing_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PollQuery().limit = 1


CURSORS = [
    "x",
    "-1",
    "1.5",
    "1e3",
    "+1",
    "01",
    "Earliest",
    "latest ",
    "now",
    "99999999999999999",
    "1-2",
    "1-2-",
    "1-2-abc",
    "1-2-abcdefghi",
    "1-2-ABCD",
    "1-2-ab_d",
    "-1-2-abcd",
    "1--2-abcd",
    "01-2-abcd",
    "1-02-abcd",
    "1-2-abcd-",
    "1-2-abcd~",
    "1-2-abcd~s",
    "1-2-abcd~s.",
    "1-2-abcd~8.5",
    "1-2-abcd~s8.05",
    "1-2-abcd~s8.5~",
    "1-2-abcd\u0660",
    "\u0661-2-abcd",
    "1-2-abcd~" + "s1.1~" * 60,
    "1-2-abcd\n",
    "null",
    "x" * 5000,
]


@pytest.mark.parametrize("cursor", CURSORS, ids=[f"{cursor!a:.30}" for cursor in CURSORS])
@pytest.mark.parametrize("path", [STREAM, POLL])
async def test_a_malformed_cursor_is_refused(server: Live, path: str, cursor: str) -> None:
    for name in ("since", "lastEventId"):
        answer = await server.http.get(path, params={"userId": "alice", name: cursor})
        check_problem(answer, 400, "VALIDATION_CURSOR")
        assert len(answer.content) < 1000
    if cursor == cursor.strip():
        header = [(b"Last-Event-ID", cursor.encode())]
        answer = await server.http.get(path, params={"userId": "alice"}, headers=header)
        check_problem(answer, 400, "VALIDATION_CURSOR")


async def test_a_bad_cursor_in_the_header_does_not_fall_through_to_a_good_one(
    server: Live,
) -> None:
    answer = await server.http.get(
        STREAM, params={"userId": "alice", "since": "latest"}, headers={"Last-Event-ID": "x"}
    )
    check_problem(answer, 400, "VALIDATION_CURSOR")


CREDENTIALS: list[tuple[str, str, dict[str, str], int, str]] = [
    ("none", "", {}, 401, "AUTH_REQUIRED"),
    ("an empty user", "userId=", {}, 400, "VALIDATION_PARAMETER"),
    ("an empty token", "token=", {}, 401, "AUTH_INVALID_TOKEN"),
    ("a bad token", "token=secret-text", {}, 401, "AUTH_INVALID_TOKEN"),
    ("a bad token and a user", "token=secret-text&userId=alice", {}, 401, "AUTH_INVALID_TOKEN"),
    ("a bad Bearer", "", {"Authorization": "Bearer secret-text"}, 401, "AUTH_INVALID_TOKEN"),
    (
        "a bad Bearer and a user",
        "userId=alice",
        {"Authorization": "Bearer secret-text"},
        401,
        "AUTH_INVALID_TOKEN",
    ),
    ("Bearer alone", "userId=alice", {"Authorization": "Bearer"}, 401, "AUTH_INVALID_TOKEN"),
    ("another scheme", "userId=a", {"Authorization": "Basic c2VjcmV0"}, 401, "AUTH_INVALID_TOKEN"),
    ("an empty header", "userId=alice", {"Authorization": ""}, 401, "AUTH_INVALID_TOKEN"),
    ("an oversized token", f"token={'a' * 20_000}", {}, 401, "AUTH_TOKEN_TOO_LARGE"),
]
ENDPOINTS = [
    ("GET", STREAM),
    ("GET", "/api/realtime/sse"),
    ("GET", POLL),
    ("GET", "/api/realtime/cursor"),
    ("GET", "/api/auth/sse-token"),
    ("POST", PUBLISH),
    ("POST", TRY),
    ("POST", REFRESH),
]


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [case[1:] for case in CREDENTIALS],
    ids=[case[0] for case in CREDENTIALS],
)
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_nobody_passes_with_a_bad_credential(
    server: Live,
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = await server.http.request(
        method, f"{path}?{query}", headers=headers, json=event() if method == "POST" else None
    )
    check_problem(answer, status, code)
    assert "secret-text" not in answer.text
    assert "c2VjcmV0" not in answer.text


async def raw(server: Live, request: bytes) -> tuple[int, bytes]:
    """What the server answers to bytes that no client library would send."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(request)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            _, found, rest = head.lower().partition(b"content-length: ")
            assert found, head
            body = await reader.readexactly(int(rest.split(b"\r\n")[0]))
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /api/sse?userId=a&since=%FF HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "CURSOR"),
        (
            b"GET /api/sse?userId=a HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: \xff\r\n\r\n",
            400,
            "CURSOR",
        ),
        (
            b"GET /api/sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\n\r\n",
            401,
            "AUTH_INVALID_TOKEN",
        ),
        (b"GET /api/sse?token=%FF HTTP/1.1\r\nHost: localhost\r\n\r\n", 401, "AUTH_INVALID_TOKEN"),
        (b"GET /api/sse?userId=a HTTP/1.1\r\nHost: [\r\n\r\n", 403, "AUTH_FORBIDDEN"),
        (b"GET /api/sse?userId=a HTTP/1.1\r\nHost: evil.test:99999\r\n\r\n", 403, "AUTH_FORBIDDEN"),
        (b"GET /api/sse?userId=a HTTP/1.1\r\nHost: \xe9vil.test\r\n\r\n", 403, "AUTH_FORBIDDEN"),
        (b"GET /api/sse?userId=a HTTP/1.0\r\n\r\n", 403, "AUTH_FORBIDDEN"),
        (b"GET /%FF?%FF HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "CLIENT_NOT_FOUND"),
    ],
)
async def test_bytes_that_are_no_text_are_refused(
    server: Live, request_: bytes, status: int, code: str
) -> None:
    answered, body = await raw(server, request_)
    problem = json.loads(body)
    assert (answered, problem["code"].removeprefix("VALIDATION_")) == (status, code)


async def test_an_unknown_path_and_method_are_problems(server: Live) -> None:
    check_problem(await server.http.get("/api/nothing"), 404, "CLIENT_NOT_FOUND")
    answer = await server.http.post(STREAM, params=ADMIN)
    check_problem(answer, 405, "CLIENT_METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET"
    # One path, and two endpoints.
    answer = await server.http.put("/api/sse/health", params=ADMIN)
    check_problem(answer, 405, "CLIENT_METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, POST"


async def test_a_client_who_leaves_within_its_body_is_no_failure_of_the_server() -> None:
    journal = FakeJournal()
    tidewire = make_tidewire(journal=journal)
    answered = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await tidewire.app(scope, receive, send)
        if scope["type"] == "http":
            answered.set()

    async with serving(app) as url:
        _, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        writer.write(
            b"POST /api/realtime/publish?userId=admin&roles=ADMIN HTTP/1.1\r\n"
            b"Host: localhost\r\nContent-Length: 100\r\n\r\n{"
        )
        await writer.drain()
        writer.close()
        await asyncio.wait_for(answered.wait(), 5)
    assert journal.notes == []
