"""What is written of requests, and what never is."""

import gc
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.logging import AccessFormatter

from tidewire.http import redaction
from tidewire.http.accesslog import AccessLog
from tidewire.http.redaction import LOGGER, REDACTED, RedactSecrets, redact, redact_query
from tidewire.transports.handover import HANDOVER

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("token=hunter2", f"token={REDACTED}"),
        ("types=a&token=hunter2&named=0", f"types=a&token={REDACTED}&named=0"),
        ("token=hunter2&token=hunter2", f"token={REDACTED}&token={REDACTED}"),
        ("%74oken=hunter2", f"%74oken={REDACTED}"),
        ("to%6ben=hunter2", f"to%6ben={REDACTED}"),
        ("TOKEN=hunter2", f"TOKEN={REDACTED}"),
        ("access_token=hunter2", f"access_token={REDACTED}"),
        ("apiKey=hunter2", f"apiKey={REDACTED}"),
        ("X-Amz-Signature=hunter2", f"X-Amz-Signature={REDACTED}"),
        ("code=hunter2", f"code={REDACTED}"),
        (f"x={JWT}", REDACTED),
        (f"x={JWT.replace('.', '%2E')}", REDACTED),
        (JWT, REDACTED),
        ("userId=alice&since=latest", "userId=alice&since=latest"),
        ("types=a,b&lastEventId=1764-42-k3f9~s8.5", "types=a,b&lastEventId=1764-42-k3f9~s8.5"),
        ("token", "token"),
        ("", ""),
        ('a="\r\n\x1b[31m', "a=%22%0D%0A%1B[31m"),
    ],
)
def test_secrets_in_queries_are_left_out_by_any_spelling(query: str, written: str) -> None:
    assert redact_query(query) == written


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/sse?types=a&token=hunter2 HTTP/1.1",
        "Authorization: Bearer hunter2",
        "{'authorization': 'Bearer hunter2', 'host': 'a'}",
        "(b'authorization', b'Bearer hunter2')",
        "{'Cookie': 'a=b; next-auth.session-token=hunter2'}",
        "set-cookie: session=hunter2; HttpOnly",
        "proxy-authorization: Basic hunter2",
        "sent with bearer hunter2",
        "SSE_JWT_SECRET=hunter2",
        "got https://host/x?a=b&access_token=hunter2 from there",
    ],
)
def test_secrets_in_texts_are_left_out(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize("before", ["", "/livez?x=", "cookie:", "authorization", "bearer"])
@pytest.mark.parametrize(
    "evil",
    ["token-", "token", "secret.", "a-", "eyJ", "eyJabcd", "eyJabcd.", "cookie:\n", "?a", " "],
)
def test_what_a_text_costs_grows_with_its_length_and_no_faster(before: str, evil: str) -> None:
    def seconds(length: int) -> float:
        text = before + evil * (length // len(evil))
        began = time.thread_time()
        redact(text)
        redact_query(text)
        return time.thread_time() - began

    # Shorter ones first: what grows faster is seen there, and would not end with the others.
    for length in (640, 6_400):
        # Taken in turn, so that a machine that is busy for a moment is so for both.
        took = [(seconds(length), seconds(10 * length)) for _ in range(5)]
        short, long = map(min, zip(*took, strict=True))
        # Below a tenth of a millisecond it is the clock that is measured.
        assert long <= 20 * max(short, 1e-4)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x=token=hunter2", f"x=token={REDACTED}"),
        ("my.secret-key=hunter2 a", f"my.secret-key={REDACTED} a"),
        ("-token-token=hunter2", f"-token-token={REDACTED}"),
        ("/token-token-/x=1", "/token-token-/x=1"),
        (f"a%3D{JWT}/b", f"a%3D{REDACTED}/b"),
        (f"a.eyJ.{JWT}", f"a.eyJ.{REDACTED}"),
    ],
)
def test_a_secret_is_found_wherever_it_begins(text: str, written: str) -> None:
    assert redact(text) == written


async def test_of_a_long_request_only_the_beginning_is_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ignore(*_: Any) -> Any: ...

    caplog.set_level(logging.INFO, LOGGER)
    scope = a_scope("/" + "p" * 60_000, HandedOver())
    scope["query_string"] = b"q=" + b"q" * 60_000
    await AccessLog(open_stream)(scope, ignore, ignore)
    [line, _] = caplog.messages
    assert line.count("p" * 4_095) == line.count("q" * 4_094) == 1
    assert len(line) < 2 * 4_096 + 100


def test_what_is_no_secret_stays_as_it_is() -> None:
    text = "the token has expired; authorization is needed at /api/sse?types=news&since=latest"
    assert redact(text) == text


@given(st.text(max_size=200))
def test_no_query_breaks_a_line_of_the_log(query: str) -> None:
    written = redact_query(query.encode("utf-8", "replace").decode("latin-1"))
    assert written.isascii()
    assert written.isprintable()
    assert '"' not in written
    assert " " not in written


def test_the_filter_suits_the_access_log_of_uvicorn() -> None:
    record = logging.LogRecord(
        "uvicorn.access",
        logging.INFO,
        "",
        0,
        '%s - "%s %s HTTP/%s" %d',
        ("127.0.0.1:1", "GET", "/api/sse?token=hunter2&x=1", "1.1", 200),
        None,
    )
    assert RedactSecrets().filter(record) is True
    form = AccessFormatter("%(client_addr)s %(request_line)s %(status_code)s", use_colors=False)
    assert form.format(record) == f"127.0.0.1:1 GET /api/sse?token={REDACTED}&x=1 HTTP/1.1 200 OK"


def test_the_filter_leaves_nothing_secret_in_arguments_and_tracebacks() -> None:
    class Request:
        def __str__(self) -> str:
            return "?token=hunter2"

    try:
        raise ValueError("cannot read 'Cookie: session=hunter2'")
    except ValueError as error:
        failure = (type(error), error, error.__traceback__)
    args: list[Any] = [
        (Request(), 3),
        ({"what": "token=hunter2", "count": 3},),
        ("hunter2", 3),
    ]
    texts = ["%s %d password=hunter2", "%(what)s %(count)d", "token=%s, %d"]
    for text, values in zip(texts, args, strict=True):
        record = logging.LogRecord("x", logging.ERROR, "", 0, text, values, failure)
        RedactSecrets().filter(record)
        written = logging.Formatter().format(record)
        assert "hunter2" not in written
        assert " 3" in written
        assert "ValueError" in written


def test_a_text_that_does_not_fit_its_arguments_is_not_for_the_filter_to_raise() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%d of %d", ("?token=hunter2",), None)
    assert RedactSecrets().filter(record) is True
    assert record.args == (f"?token={REDACTED}",)


async def test_a_request_that_fails_or_is_left_is_written_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    async def never(*_: Any) -> Any:
        raise AssertionError

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/a\r\nb",
        "query_string": b"token=hunter2",
        "headers": [],
        "client": None,
    }
    caplog.set_level(logging.INFO, LOGGER)
    with pytest.raises(RuntimeError):
        await AccessLog(fail)(scope, never, never)
    (line,) = caplog.messages
    assert line.startswith(f'- - "GET /a%0D%0Ab?token={REDACTED}" - ')
    assert line.endswith(" ms")


class HandedOver:
    """A connection that its stream has taken over."""

    def __init__(self) -> None:
        self.taken = False
        self.calls: list[Callable[[], None]] = []

    def on_end(self, call: Callable[[], None]) -> None:
        self.calls.append(call)


async def open_stream(scope: Scope, receive: Receive, send: Send) -> None:
    fields = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    scope["extensions"][HANDOVER].taken = scope["path"] == "/taken"


def a_scope(path: str, handover: HandedOver) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"token=hunter2",
        "headers": [],
        "client": ("192.0.2.1", 1),
        "extensions": {HANDOVER: handover},
    }


async def test_the_last_line_of_a_stream_that_was_handed_over_comes_when_its_connection_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ignore(*_: Any) -> Any: ...

    caplog.set_level(logging.INFO, LOGGER)
    handover = HandedOver()
    await AccessLog(open_stream)(a_scope("/taken", handover), ignore, ignore)
    request = f'192.0.2.1 - "GET /taken?token={REDACTED}" 200'
    assert caplog.messages == [f"{request} opened"]
    (end,) = handover.calls
    end()
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith(f"{request} ")
    assert caplog.messages[1].endswith(" ms")
    # Thousands of them are kept.
    assert all(not gc.is_tracked(kept) for kept in gc.get_referents(end) if kept is not type(end))


async def test_the_last_line_of_a_stream_that_was_not_handed_over_comes_with_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ignore(*_: Any) -> Any: ...

    caplog.set_level(logging.INFO, LOGGER)
    handover = HandedOver()
    await AccessLog(open_stream)(a_scope("/kept", handover), ignore, ignore)
    assert [line.rpartition(" ")[2] for line in caplog.messages] == ["opened", "ms"]
    assert handover.calls == []


async def test_what_is_written_of_requests_passes_the_filter_only_as_it_was_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ignore(*_: Any) -> Any: ...

    class Add(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.msg = f"{record.msg} password=hunter2"
            return True

    caplog.set_level(logging.INFO, LOGGER)
    logger, adds = logging.getLogger(LOGGER), Add()
    caplog.handler.addFilter(redacts := RedactSecrets())
    try:
        await AccessLog(open_stream)(a_scope("/kept", HandedOver()), ignore, ignore)
        logger.addFilter(adds)
        await AccessLog(open_stream)(a_scope("/kept", HandedOver()), ignore, ignore)
    finally:
        logger.removeFilter(adds)
        caplog.handler.removeFilter(redacts)
    assert len(caplog.messages) == 4
    assert "hunter2" not in caplog.text
    assert caplog.text.count(f"password={REDACTED}") == 2


texts = st.lists(
    st.sampled_from(
        [
            *(
                "token=",
                "SECRET=",
                "x_password=",
                "Authorization: ",
                "cookie=",
                "Bearer ",
                "BASIC ",
            ),
            *(
                "eyJhbGciOiJIUzI1NiJ9.a.b",
                "?",
                "&",
                " ",
                "a",
                "/api",
                "\u017fecret=",
                "to\u212aen=",
            ),
        ]
    ),
    max_size=8,
).map("".join)


@given(texts)
def test_looking_for_words_first_overlooks_nothing_that_the_patterns_find(text: str) -> None:
    for _, pattern, _ in redaction._PATTERNS:
        if pattern.search(text):
            assert redact(text) != text or REDACTED in text
