"""Whatever strangers send as cookies and tokens is an identity, nobody, or a 401."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from joserfc import jwt
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from starlette.requests import HTTPConnection

from tests.fakes import FakeClock
from tests.sessions.cookies import NAMES, SECRET, made, request_with
from tidewire.auth.authenticator import BearerToken, Method, QueryToken
from tidewire.auth.jwks import Jwks
from tidewire.auth.sessions import COOKIES, NextAuthSession, SessionCookie, StarletteSession
from tidewire.auth.tokens import Tokens, TrustedIssuer
from tidewire.core.errors import AuthenticationError
from tidewire.core.target import Identity

CLOCK = FakeClock(int(time.time() * 1000))
NOW = CLOCK.now() // 1000
STARLETTE = {
    "session": TimestampSigner(SECRET)
    .sign(base64.b64encode(b'{"user_id": "alice", "roles": ["A"]}'))
    .decode()
}
KEYS: tuple[Key, ...] = (
    RSAKey.generate_key(2048, {"kid": "rsa"}),
    ECKey.generate_key("P-256", {"kid": "ec"}),
    OKPKey.generate_key("Ed25519", {"kid": "ed"}),
)
SESSIONS: tuple[Method, ...] = (
    NextAuthSession([SECRET, "another"], clock=CLOCK),
    StarletteSession(SECRET, clock=CLOCK),
)
# The first example waits for the libraries' encoders; a busy machine is no failure.
fuzz = settings(deadline=None)

REPEATED = 16
"""Characters in a row that would be a piece of a credential."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([NOW, NOW + 600, "alice", "tidewire", "sse", "rsa", "ec", "ed", "dir"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
GOOD = {"sub": "alice", "exp": NOW + 600, "iat": NOW, "aud": "tidewire", "typ": "sse"}
payloads = values | st.dictionaries(
    st.sampled_from([*GOOD, "nbf", "jti", "iss", "roles", "role", "permissions", "topics"]), values
).map(lambda changed: GOOD | changed)
headers = values | st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["none", "HS256", "RS256", "ES256", "EdDSA", "Ed25519"]) | values,
        "enc": st.sampled_from(["A256GCM", "A256CBC-HS512"]) | values,
        **dict.fromkeys(("kid", "crit", "b64", "jwk", "jku", "x5c", "zip", "typ"), values),
    },
)


@pytest.fixture(scope="module")
def run() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    path: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in KEYS]}))
    trusted = TrustedIssuer(Jwks(path, clock=CLOCK))
    return Tokens([SECRET], clock=CLOCK, setting="", trusted=trusted)


def encode(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mac(text: str) -> str:
    return f"{text}.{encode(hmac.new(SECRET.encode(), text.encode(), 'sha256').digest())}"


def check(
    run: asyncio.Runner, asked: Coroutine[Any, Any, Identity | None], credential: str = ""
) -> None:
    """That the answer is an identity, nobody or a 401 that repeats nothing of a credential."""
    try:
        found = run.run(asked)
    except AuthenticationError as error:
        told = json.dumps(error.problem())
        assert error.status == 401  # noqa: PT017
        assert SECRET not in told
        starts = range(len(credential) - REPEATED + 1)
        pieces = (credential[at : at + REPEATED] for at in starts)
        assert not any(piece in told for piece in pieces)
    else:
        assert found is None or isinstance(found, Identity)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """The text with something cut out and something else put in."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    put = draw(st.text(st.characters(max_codepoint=255, exclude_characters=";"), max_size=6))
    return text[:start] + put + text[end:]


@fuzz
@given(data=st.data())
def test_any_token(run: asyncio.Runner, tokens: Tokens, data: st.DataObject) -> None:
    good = [tokens.issue("alice").token]
    for key, alg in zip(KEYS, ("RS256", "ES256", "Ed25519"), strict=True):
        good.append(jwt.encode({"alg": alg, "kid": key.kid}, GOOD, key, [alg]))
    token = data.draw(
        st.text()
        | st.sampled_from(good).flatmap(mutated)
        | st.lists(st.binary(max_size=20).map(encode), max_size=6).map(".".join)
    )
    check(run, tokens.verify(token, method="jwt_token"), ".".join(good))


@fuzz
@given(header=headers, payload=payloads)
def test_any_token_that_our_secret_signed(
    run: asyncio.Runner, tokens: Tokens, header: Any, payload: Any
) -> None:
    for head in (header, {"alg": "HS256"}):
        token = mac(f"{encode(head)}.{encode(payload)}")
        check(run, tokens.verify(token, method="jwt_token"), token)


@fuzz
@given(payload=payloads)
def test_any_claims_that_the_issuer_signed(
    run: asyncio.Runner, tokens: Tokens, payload: Any
) -> None:
    if isinstance(payload, dict):
        token = jwt.encode({"alg": "ES256", "kid": "ec"}, payload, KEYS[1], ["ES256"])
        check(run, tokens.verify(token, method="jwt_token"), token)


@fuzz
@given(data=st.data())
def test_any_token_in_a_request(run: asyncio.Runner, tokens: Tokens, data: st.DataObject) -> None:
    good = tokens.issue("alice", lifetime=-1).token
    sent = data.draw(st.binary() | st.just(good.encode()))
    scope = {"type": "http", "path": "/", "query_string": b"token=" + sent, "headers": []}
    check(run, QueryToken(tokens).identify(HTTPConnection(scope)), good)
    for value in (sent, b"Bearer " + sent):
        scope |= {"headers": [(b"authorization", value)]}
        check(run, BearerToken(tokens).identify(HTTPConnection(scope)), good)


@fuzz
@given(data=st.data())
def test_any_cookie_header(run: asyncio.Runner, data: st.DataObject) -> None:
    text = data.draw(st.text(st.characters(max_codepoint=255)))
    for method in SESSIONS:
        check(run, method.identify(request_with(text)))


@fuzz
@given(data=st.data())
def test_any_value_under_the_names_of_sessions(run: asyncio.Runner, data: st.DataObject) -> None:
    suffixes = st.sampled_from(["", ".0", ".1", ".2", ".10", ".x", ".-1", ".00", ".²"])
    kinds = st.sampled_from(["plain", "long", "expired", "other", "anonymous"])
    cookies, credentials = {}, ""
    for name in data.draw(st.lists(st.sampled_from([*NAMES, *STARLETTE]), max_size=3)):
        real = STARLETTE if name in STARLETTE else made()[f"{data.draw(kinds)} {name}"]
        for key, value in real.items():
            cookies[key] = data.draw(mutated(value))
            credentials += value
        cookies[name + data.draw(suffixes)] = data.draw(
            st.text(st.characters(max_codepoint=255, exclude_characters=";"))
        )
    for method in SESSIONS:
        check(run, method.identify(request_with(cookies)), credentials)


@fuzz
@given(
    cookie=st.sampled_from(COOKIES),
    header=headers,
    parts=st.lists(st.binary(max_size=40), min_size=3, max_size=5),
)
def test_any_encryption_with_any_header(
    run: asyncio.Runner, cookie: SessionCookie, header: Any, parts: list[bytes]
) -> None:
    for head in (header, {"alg": "dir", "enc": cookie.encryption}):
        text = ".".join([encode(head), "", *map(encode, parts)])
        check(run, SESSIONS[0].identify(request_with({cookie.name: text})), text)


@fuzz
@given(cookie=st.sampled_from(COOKIES), payload=payloads)
def test_any_session_that_our_secret_encrypted(
    run: asyncio.Runner, cookie: SessionCookie, payload: Any
) -> None:
    key: OctKey = cookie.key(SECRET)
    registry = JWERegistry(algorithms=["dir", cookie.encryption])
    if isinstance(payload, dict):
        header = {"alg": "dir", "enc": cookie.encryption}
        text = jwt.encode(header, payload, key, registry=registry)
        check(run, SESSIONS[0].identify(request_with({cookie.name: text})), text)
