"""Whatever stands in headers, cookies and tokens: an answer or a problem, and never a word of what
was secret in it, in the answer or in a log."""

import asyncio
import base64
import contextlib
import json
import logging
import string
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote, quote_from_bytes, unquote_plus, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from joserfc import jwt
from joserfc.jwe import JWERegistry
from starlette.types import ASGIApp, Message

from tests.http.server import serving
from tidewire import Settings, Tidewire
from tidewire.auth.sessions import COOKIES, StarletteSession
from tidewire.core.clock import SystemClock
from tidewire.core.event import encode_json
from tidewire.core.target import Identity
from tidewire.http.accesslog import AccessLog
from tidewire.http.redaction import RedactSecrets

SIGNING: Final = "of-the-tokens-0123456789-abcdefghij"
OLD_SIGNING: Final = "of-older-tokens-0123456789-klmnopqr"
NEXTAUTH: Final = "of-the-cookies-0123456789-stuvwxyz"
STARLETTE: Final = "of-the-application-0123456789-ABCD"
SECRETS: Final = (SIGNING, OLD_SIGNING, NEXTAUTH, STARLETTE)

SHORTEST: Final = 12
"""Characters; what is shorter may stand in any text."""

ENDPOINTS: Final = (
    ("GET", "/api/sse"),
    ("GET", "/api/realtime/sse"),
    ("GET", "/api/realtime/polling"),
    ("GET", "/api/realtime/cursor"),
    ("GET", "/api/auth/sse-token"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/api/nothing"),
    ("PUT", "/api/sse"),
    ("POST", "/api/realtime/publish"),
    ("POST", "/api/realtime/test"),
    ("POST", "/api/auth/sse-token/refresh"),
    ("POST", "/api/auth/revoke"),
)

NAMES: Final = (*(cookie.name for cookie in COOKIES), "session")

Headers: TypeAlias = list[tuple[bytes, bytes]]


@dataclass
class Asked:
    """A request, and the secrets in it, in every way that they might be written again."""

    method: str
    path: str
    query: str = ""
    headers: Headers = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    @property
    def body(self) -> bytes:
        return b'{"type": "news"}' if self.method == "POST" else b""

    def hide(self, value: bytes) -> None:
        """Takes down what must not be told."""
        self.secrets |= self._written(value)

    def show(self, value: bytes) -> None:
        """Lets what was also sent in the open be told: a problem names a foreign origin."""
        shown = self._written(value)
        self.secrets = {each for each in self.secrets if not any(each in text for text in shown)}

    @staticmethod
    def _written(value: bytes) -> set[str]:
        found: set[str] = set()
        for part in (value, value.rpartition(b".")[2], value.strip()):
            if len(part.strip()) < SHORTEST:
                continue
            text = part.decode("latin-1")
            utf8 = part.decode(errors="replace")
            written = {text, utf8, unquote_plus(text), quote(part), repr(part)[2:-1]}
            for each in (text, utf8):
                written |= {json.dumps(each)[1:-1], encode_json(each).decode()[1:-1]}
            found |= {each for each in written if len(each.strip()) >= SHORTEST}
        return found


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Kept(logging.Handler):
    """Keeps what is logged, with all that a formatter could write of it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name)
        self.texts += [self.format(record), repr(record.args), str(record.exc_text)]


@pytest.fixture(scope="module")
def run() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def tidewire(run: asyncio.Runner) -> Iterator[Tidewire]:
    """With every way to say who one is."""
    given = Settings.load(
        sse_jwt_secret=f"{SIGNING},{OLD_SIGNING}",
        nextauth_secret=NEXTAUTH,
        nextauth_url="https://app.example.com",
        trusted_proxies="127.0.0.1",
        rate_limits="off",
        drain_seconds=0.5,
    )
    session = StarletteSession(STARLETTE, clock=SystemClock())
    tidewire = Tidewire(given, dev=True, session=session)
    run.run(_started(tidewire))
    yield tidewire
    run.run(tidewire.drain())
    run.run(tidewire.stop())


async def _started(tidewire: Tidewire) -> None:
    await tidewire.start()


@pytest.fixture
def kept() -> Iterator[Kept]:
    """All that is logged, by us as it is, and by uvicorn with the filter that we offer for it."""
    handler = Kept()
    redact = RedactSecrets()
    before = []
    for name in ("tidewire", "uvicorn"):
        logger = logging.getLogger(name)
        before.append((logger, logger.level))
        logger.setLevel(logging.DEBUG if name == "tidewire" else logging.INFO)
        logger.addHandler(handler)
    logging.getLogger("uvicorn.access").addFilter(redact)
    yield handler
    logging.getLogger("uvicorn.access").removeFilter(redact)
    for logger, level in before:
        logger.removeHandler(handler)
        logger.setLevel(level)


async def call(app: ASGIApp, asked: Asked) -> Answer:
    """Asks the application itself: any bytes may stand in its headers."""
    left = asyncio.Event()
    body = [{"type": "http.request", "body": asked.body, "more_body": False}]
    answer = Answer(0, {}, b"")

    async def receive() -> Message:
        if body:
            return body.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            for name, value in message["headers"]:
                answer.headers[name.decode("latin-1")] = value.decode("latin-1")
        else:
            answer.body += message["body"]
            left.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "root_path": "",
        "query_string": asked.query.encode("latin-1"),
        "headers": asked.headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    return answer


async def send_over(url: str, asked: Asked) -> Answer:
    """Asks over a socket; of a stream only the first bytes are read."""
    target = asked.path + (f"?{asked.query}" if asked.query else "")
    lines = [f"{asked.method} {target} HTTP/1.1".encode("latin-1")]
    lines += [name + b": " + value for name, value in asked.headers]
    lines += [b"Connection: close", b"Content-Length: %d" % len(asked.body)]
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        try:
            writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + asked.body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = [line.partition(": ") for line in head[1:] if line]
            answer = Answer(int(head[0].split()[1]), {n.lower(): v for n, _, v in pairs}, b"")
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.body = await reader.readuntil(b"\n\n")
            else:
                answer.body = await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return answer


def check(asked: Asked, answer: Answer, kept: Kept) -> None:
    assert 200 <= answer.status < 500, answer.body
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["status"] == answer.status
    told = [answer.body.decode(), answer.body.decode("latin-1"), *answer.headers.values()]
    told += [json.dumps(dict(answer.headers)), *kept.texts]
    for secret in (*SECRETS, *asked.secrets):
        for text in told:
            assert secret not in text


# What is sent


@pytest.fixture(scope="module")
def token(tidewire: Tidewire) -> str:
    admin = Identity("alice", roles=frozenset({"ADMIN"}), method="session")
    return tidewire.issue_token(admin).token


@pytest.fixture(scope="module")
def cookies() -> dict[str, str]:
    """A good one for each name, made as the libraries make them."""
    claims = {"sub": "alice", "role": "ADMIN", "exp": int(time.time()) + 600, "note": "x" * 200}
    made = {}
    for cookie in COOKIES:
        header = {"alg": "dir", "enc": cookie.encryption}
        registry = JWERegistry(algorithms=["dir", cookie.encryption])
        made[cookie.name] = jwt.encode(header, claims, cookie.key(NEXTAUTH), registry=registry)
    session = base64.b64encode(b'{"user_id": "alice", "roles": ["ADMIN"]}')
    made["session"] = TimestampSigner(STARLETTE).sign(session).decode()
    return made


LONGEST: Final = 80


def _long(values: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    # Number by number: whole strings are also drawn from the words of the source, which are
    # in answers anyway.
    return st.lists(values, min_size=SHORTEST, max_size=LONGEST).map(bytes)


VISIBLE: Final = st.integers(0x20, 0x7E) | st.integers(0xA0, 0xFF)
ANY_BYTES: Final = st.binary(max_size=SHORTEST - 1) | _long(st.integers(0, 255))
SENT_BYTES: Final = st.lists(VISIBLE, max_size=SHORTEST - 1).map(bytes) | _long(VISIBLE)
"""What may stand in a header (RFC 9110 section 5.5): a server refuses the rest itself."""

LETTERS: Final = string.ascii_letters + string.digits + "-_.=:"


@st.composite
def mutated(draw: st.DrawFn, text: str) -> bytes:
    """The text as it is, or with one character changed."""
    if draw(st.booleans()):
        return text.encode()
    at = draw(st.integers(0, len(text) - 1))
    return (text[:at] + draw(st.sampled_from(LETTERS)) + text[at + 1 :]).encode()


@st.composite
def cookie_headers(draw: st.DrawFn, good: dict[str, str], junk: st.SearchStrategy[bytes]) -> Any:
    """A Cookie header, and the values in it."""
    if draw(st.integers(0, 4)) == 0:
        whole = draw(junk)
        return whole, [whole, *(part.partition(b"=")[2] for part in whole.split(b";"))]
    pairs: list[bytes] = []
    values: list[bytes] = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        value = draw(mutated(good[name]) | junk.map(lambda value: value.replace(b";", b"")))
        values.append(value)
        if draw(st.booleans()):
            at = draw(st.integers(0, len(value)))
            chunks = [value[:at], value[at:]]
            first = draw(st.sampled_from([0, 0, 0, 1]))
            for number, chunk in enumerate(chunks, first):
                pairs.append(b"%s.%d=%s" % (name.encode(), number, chunk))
            values += chunks
        else:
            pairs.append(b"%s=%s" % (name.encode(), value))
    return b"; ".join(pairs), values


@st.composite
def requests(
    draw: st.DrawFn, token: str, cookies: dict[str, str], junk: st.SearchStrategy[bytes]
) -> Asked:
    asked = Asked(*draw(st.sampled_from(ENDPOINTS)))
    query = []
    if draw(st.integers(0, 2)) == 0:
        value = draw(mutated(token) | ANY_BYTES)
        asked.hide(value)
        query.append("token=" + quote_from_bytes(value))
    if draw(st.booleans()):
        query.append("userId=alice&roles=ADMIN")
    asked.query = "&".join(query)

    host = draw(st.just(b"localhost") | junk)
    asked.headers.append((b"host", host))
    if draw(st.booleans()):
        good = mutated(token).map(lambda value: b"Bearer " + value)
        value = draw(good | junk | junk.map(lambda value: b"Bearer " + value))
        asked.hide(value)
        asked.hide(value.partition(b" ")[2])
        asked.headers.append((b"authorization", value))
    for _ in range(draw(st.integers(0, 2))):
        value, values = draw(cookie_headers(cookies, junk))
        for each in values:
            asked.hide(each)
        asked.headers.append((b"cookie", value))
    for name, likely in (
        (b"last-event-id", b"1764000000000-42-k3f9"),
        (b"idempotency-key", b"key"),
        (b"origin", b"https://app.example.com"),
        (b"x-forwarded-for", b"192.0.2.1, [2001:db8::1]:443"),
    ):
        if draw(st.integers(0, 2)) == 0:
            value = draw(st.just(likely) | junk)
            asked.headers.append((name, value))
            asked.show(value)
    for known in (token, *cookies.values()):
        # How it is signed or encrypted is no secret: a token in an answer begins the same way.
        asked.show(known.partition(".")[0].encode())
    return asked


fuzz = settings(
    deadline=None,
    derandomize=True,
    database=None,
    # What is logged is kept for one test, and emptied before each request.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Ask: TypeAlias = Callable[[Asked], Coroutine[Any, Any, Answer]]


def ask(run: asyncio.Runner, kept: Kept, how: Ask, asked: Asked) -> Answer:
    kept.texts.clear()
    answer = run.run(how(asked))
    check(asked, answer, kept)
    return answer


@settings(fuzz, max_examples=500)
@given(data=st.data())
def test_no_bytes_make_it_fail_or_tell_a_secret(
    run: asyncio.Runner,
    tidewire: Tidewire,
    token: str,
    cookies: dict[str, str],
    kept: Kept,
    data: st.DataObject,
) -> None:
    app = AccessLog(tidewire.app)
    asked = data.draw(requests(token, cookies, ANY_BYTES))
    ask(run, kept, lambda asked: call(app, asked), asked)
    assert "tidewire.access" in kept.loggers


@pytest.fixture(scope="module")
def url(run: asyncio.Runner, tidewire: Tidewire) -> Iterator[str]:
    stack = contextlib.AsyncExitStack()
    url = run.run(stack.enter_async_context(serving(AccessLog(tidewire.app), tidewire.drain)))
    yield url
    run.run(stack.aclose())


@settings(fuzz, max_examples=300)
@given(data=st.data())
def test_nothing_that_a_client_can_send_makes_a_served_one_fail_or_tell_a_secret(
    run: asyncio.Runner,
    url: str,
    token: str,
    cookies: dict[str, str],
    kept: Kept,
    data: st.DataObject,
) -> None:
    asked = data.draw(requests(token, cookies, SENT_BYTES))
    ask(run, kept, lambda asked: send_over(url, asked), asked)
    assert kept.loggers >= {"tidewire.access", "uvicorn.access"}


@pytest.mark.parametrize("way", ["query", "header", *NAMES])
def test_what_is_changed_by_one_character_here_was_good(
    run: asyncio.Runner,
    tidewire: Tidewire,
    token: str,
    cookies: dict[str, str],
    kept: Kept,
    way: str,
) -> None:
    asked = Asked("GET", "/api/realtime/cursor", headers=[(b"host", b"localhost")])
    if way == "query":
        asked.query = f"token={token}"
    elif way == "header":
        asked.headers.append((b"authorization", f"Bearer {token}".encode()))
    else:
        asked.headers.append((b"cookie", f"{way}={cookies[way]}".encode()))
    assert ask(run, kept, lambda asked: call(tidewire.app, asked), asked).status == 200
