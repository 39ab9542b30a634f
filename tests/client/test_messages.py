"""What arrives is read with care, and what fails is the error that it was at the server."""

import json
from typing import Any

import httpx
import pytest

from tidewire.client.backoff import Backoff
from tidewire.client.buffer import placed
from tidewire.client.endpoints import Endpoints
from tidewire.client.errors import Refused, SentAway, Unreachable, error_of
from tidewire.client.failure import Failure, problem_failure, problem_of, refusal, thrown
from tidewire.client.messages import Control, Envelope, Gap, read_answer, read_message
from tidewire.core import errors
from tidewire.core.errors import TidewireError

ANSWER: dict[str, Any] = {
    "events": [{"id": "1-1-abcd", "type": "t", "later": True}],
    "cursor": "1-2-abcd",
    "hasMore": False,
    "gap": {"from": "a", "to": "b", "reason": "epoch"},
    "meta": {"nextPollIn": 10_000},
}


def test_an_event_of_a_newer_server_is_read_as_far_as_it_is_known() -> None:
    event = read_message('{"id":"1-1-abcd","type":"t","priority":"urgent","later":{"a":1}}')
    assert isinstance(event, Envelope)
    assert (event.id, event.type, event.data, event.priority) == ("1-1-abcd", "t", None, "urgent")
    assert event.raw["later"] == {"a": 1}


def test_a_control_event_that_is_not_known_is_one_all_the_same() -> None:
    assert read_message('{"type":"weather","data":{"n":1}}') == Control("weather", {"n": 1})


@pytest.mark.parametrize(
    "text",
    [
        "<h1>Log in</h1>",
        "[]",
        "7",
        '"id"',
        "null",
        "{}",
        '{"id":7,"type":"t"}',
        '{"id":"1-1-abcd"}',
        '{"type":"connected","data":{"clientId":"a"}}',
        '{"type":"connected","data":{"clientId":"a","serverInfo":{"pingInterval":"1"}}}',
        '{"type":"gap","data":{"from":"a","to":7,"reason":"epoch"}}',
        '{"type":"disconnecting","data":{"reason":"drain"}}',
        '{"type":"error","data":{"code":"A"}}',
        '{"type":"t","data":[]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no event|Expecting|Extra"):
        read_message(text)


def test_an_answer_to_a_poll_is_read() -> None:
    answer = read_answer(json.dumps(ANSWER))
    assert [event.id for event in answer.events] == ["1-1-abcd"]
    assert (answer.cursor, answer.has_more, answer.next_poll_in) == ("1-2-abcd", False, 10_000)
    assert answer.gap == Gap("a", "b", "epoch")


@pytest.mark.parametrize(
    "change",
    [
        {"cursor": None},
        {"events": 7},
        {"events": [{"type": "t"}]},
        {"gap": {"from": "a"}},
        {"meta": {}},
        {"meta": {"nextPollIn": -1}},
    ],
)
def test_what_is_no_answer_to_a_poll_is_said_to_be_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is none to a poll"):
        read_answer(json.dumps({**ANSWER, **change}))
    with pytest.raises(ValueError, match="Expecting"):
        read_answer("<h1>Log in</h1>")


def every(kind: type[TidewireError]) -> list[type[TidewireError]]:
    if kind.__module__ != errors.__name__:
        return []
    own = [kind] if "code" in vars(kind) and kind is not TidewireError else []
    return own + [found for each in kind.__subclasses__() for found in every(each)]


def made(kind: type[TidewireError]) -> TidewireError:
    if kind is errors.IdempotencyConflict:
        return errors.IdempotencyConflict()
    if kind is errors.LogAway:
        return errors.LogAway("It is away.")
    return kind("It is off.", retry_after=250, where="there")


@pytest.mark.parametrize("kind", every(TidewireError))
def test_an_error_of_the_server_is_the_same_here(kind: type[TidewireError]) -> None:
    told = made(kind)
    failure = problem_failure(told.problem())
    assert failure is not None
    raised = error_of(failure)
    assert type(raised) is kind
    assert raised.problem() == told.problem()


@pytest.mark.parametrize(
    ("category", "recovery", "kind"),
    [
        ("authentication", "refresh_token", errors.AuthenticationError),
        ("authentication", "none", errors.Forbidden),
        ("rate_limit", "fallback_polling", errors.LimitError),
        ("validation", "none", errors.RequestError),
        ("server", "restart_connection", errors.ServiceError),
        ("connection", "retry", Unreachable),
        ("weather", "retry", Unreachable),
    ],
)
def test_an_error_that_is_not_known_here_is_one_of_its_kind(
    category: str, recovery: str, kind: type[TidewireError]
) -> None:
    problem = {"code": "NEW", "detail": "It is new.", "category": category, "recovery": recovery}
    failure = problem_failure({**problem, "status": 418, "retryAfter": 7})
    assert failure is not None
    raised = error_of(failure)
    assert type(raised) is kind
    assert (raised.code, raised.status, raised.recovery) == ("NEW", 418, recovery)
    assert (raised.detail, raised.retry_after) == ("It is new.", 7)


def test_whoever_was_sent_away_is_told_so() -> None:
    assert isinstance(error_of(Failure("SENT_AWAY", "kicked", recovery="none")), SentAway)


def answer(status: int, body: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, text=body)


@pytest.mark.parametrize(
    ("response", "code", "recovery", "after"),
    [
        (answer(401), "HTTP_401", "refresh_token", None),
        (answer(404), "HTTP_404", "retry", None),
        (answer(403), "HTTP_403", "retry", None),
        (answer(429, retry_after="3"), "HTTP_429", "fallback_polling", 3_000),
        (answer(429, retry_after="Wed, 21 Oct 2026"), "HTTP_429", "fallback_polling", None),
        (answer(503, retry_after="inf"), "HTTP_503", "restart_connection", None),
        (answer(400, "{", content_type="application/json"), "HTTP_400", "retry", None),
        (answer(400, "[]", content_type="application/json"), "HTTP_400", "retry", None),
        (answer(400, "{}", content_type="application/json"), "HTTP_400", "retry", None),
        (
            answer(
                503,
                '{"code":"DRAINING","recovery":"retry","retryAfter":250}',
                content_type="application/problem+json",
            ),
            "DRAINING",
            "retry",
            250,
        ),
    ],
)
def test_a_refusal_is_read_and_one_that_is_not_the_server_s_is_no_reason_to_give_up(
    response: httpx.Response, code: str, recovery: str, after: float | None
) -> None:
    failure = refusal(response, problem_of(response))
    assert (failure.code, failure.recovery, failure.retry_after) == (code, recovery, after)


def test_what_was_raised_keeps_what_it_says() -> None:
    kept = thrown(errors.Forbidden("Not you."), "TOKEN_FAILED")
    assert (kept.code, kept.recovery, kept.detail) == ("AUTH_FORBIDDEN", "none", "Not you.")
    other = thrown(OSError(), "TOKEN_FAILED")
    assert (other.code, other.recovery, other.detail) == ("TOKEN_FAILED", "retry", "OSError")


def test_a_refusal_on_the_command_line_names_the_code() -> None:
    assert str(Refused({"code": "A", "detail": "B."}, 400)) == "A: B."
    assert str(Refused({}, 502)) == "HTTP 502: no reason was given"


@pytest.mark.parametrize(
    ("url", "stream", "polling", "refresh", "publish"),
    [
        (
            "http://h:8000",
            "http://h:8000/api/sse",
            "http://h:8000/api/realtime/polling",
            "http://h:8000/api/auth/sse-token/refresh",
            "http://h:8000/api/realtime/publish",
        ),
        (
            "https://h/app/api/realtime/sse/",
            "https://h/app/api/realtime/sse",
            "https://h/app/api/realtime/polling",
            "https://h/app/api/auth/sse-token/refresh",
            "https://h/app/api/realtime/publish",
        ),
        (
            "http://h/api/sse?userId=a",
            "http://h/api/sse?userId=a",
            "http://h/api/realtime/polling?userId=a",
            "http://h/api/auth/sse-token/refresh?userId=a",
            "http://h/api/realtime/publish?userId=a",
        ),
    ],
)
def test_the_paths_of_a_server_lie_beside_that_of_its_streams(
    url: str, stream: str, polling: str, refresh: str, publish: str
) -> None:
    assert [str(each) for each in Endpoints.of(url)] == [stream, polling, refresh, publish]


def test_paths_may_lie_elsewhere() -> None:
    endpoints = Endpoints.of("http://h/events", polling_url="http://p/poll", token_url="http://t/t")
    assert [str(each) for each in endpoints[:3]] == [
        "http://h/events",
        "http://p/poll",
        "http://t/t/refresh",
    ]


@pytest.mark.parametrize(
    ("attempt", "random", "delay"),
    [
        (0, 0.5, 250),
        (1, 0.5, 500),
        (3, 0.5, 2_000),
        (10, 0.5, 15_000),
        (5_000, 0.5, 15_000),
        (5_000, 0, 0),
    ],
)
def test_waits_double_up_to_a_limit(attempt: int, random: float, delay: int) -> None:
    assert Backoff(500, 30_000).delay(attempt, random) == delay


def event(id_: str) -> Envelope:
    return Envelope(id_, "t")


@pytest.mark.parametrize(
    ("ids", "before", "after", "cursors"),
    [
        (["1-5-abcd", "1-7-abcd"], "1-4-abcd", "1-9-abcd", ["1-4-abcd", "1-5-abcd"]),
        (["1-5-abcd", "1-7-abcd"], None, "1-9-abcd", [None, "1-5-abcd"]),
        # What a spool gave its id has no place of its own.
        (
            ["1-5-abcd", "1-1-spoolxy", "1-7-abcd"],
            "1-4-abcd",
            "1-9-abcd",
            ["1-4-abcd", "1-5-abcd", "1-5-abcd"],
        ),
        (["1-5-abcd", "1-7-abcd"], "1-4-abcd~sp.1", "1-9-abcd", ["1-4-abcd~sp.1"] * 2),
        (["1-5-abcd", "1-7-abcd"], "1-4-abcd", "1-9-abcd~sp.1", ["1-4-abcd"] * 2),
        (["other", "ids"], "1-4-abcd", "what", ["1-4-abcd"] * 2),
    ],
)
def test_between_the_events_of_one_answer_the_cursor_is_one_that_misses_none(
    ids: list[str], before: str | None, after: str, cursors: list[str | None]
) -> None:
    found = placed([event(id_) for id_ in ids], before, after)
    assert [waiting.before for waiting in found] == cursors


def test_the_cursor_behind_a_gap_is_where_it_ends() -> None:
    found = placed([Gap("a", "1-4-abcd", "expired"), event("1-5-abcd")], "a", "1-9-abcd")
    assert [waiting.before for waiting in found] == ["a", "1-4-abcd"]


def test_what_only_says_something_is_behind_the_cursor_already() -> None:
    [waiting] = placed([Control("connected", {})], None, "1-4-abcd")
    assert waiting.before == "1-4-abcd"
