"""What is written of requests, and what never is."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.logging import AccessFormatter

from tidewire.http.accesslog import (
    LOGGER,
    REDACTED,
    AccessLog,
    RedactSecrets,
    redact,
    redact_query,
)

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
