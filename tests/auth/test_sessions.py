"""Sessions: cookies made by the libraries themselves, Starlette's, and the application's code."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from itsdangerous import TimestampSigner
from joserfc import jwt
from joserfc.jwe import JWERegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.fakes import FakeClock
from tests.sessions.cookies import (
    NAMES,
    OTHER,
    SECRET,
    V4,
    V5,
    Cookies,
    made,
    request_with,
)
from tidewire.auth.authenticator import Method
from tidewire.auth.claims import ClaimNames
from tidewire.auth.sessions import (
    COOKIES,
    MAX_COOKIE_LENGTH,
    CallableSession,
    NextAuthSession,
    SessionCookie,
    StarletteSession,
)
from tidewire.core.errors import ConfigurationError, InvalidToken, StaleSession
from tidewire.core.target import Identity

HOUR = 3_600_000


@pytest.fixture
def clock() -> FakeClock:
    """The time of the machine, which the libraries' encoders use, standing still."""
    return FakeClock(int(time.time() * 1000))


@pytest.fixture
def next_auth(clock: FakeClock) -> NextAuthSession:
    return NextAuthSession([SECRET], clock=clock)


async def refused(method: Method, cookies: Cookies | str) -> StaleSession:
    with pytest.raises(StaleSession) as raised:
        await method.identify(request_with(cookies))
    assert raised.value.status == 401
    assert raised.value.code == "AUTH_STALE_SESSION"
    told = json.dumps(raised.value.problem())
    assert SECRET not in told
    assert len(told) < 500
    return raised.value


# Cookies of the real encoders


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["plain", "long", "veryLong"])
async def test_a_cookie_of_the_real_encoder_says_who_and_what_they_may(
    next_auth: NextAuthSession, clock: FakeClock, name: str, kind: str
) -> None:
    cookies = made()[f"{kind} {name}"]
    assert (len(cookies) == 1) == (kind == "plain")
    identity = await next_auth.identify(request_with(cookies))
    assert identity is not None
    assert identity.user_id == "alice"
    assert identity.roles == {"EDITOR"}
    assert identity.permissions == {"publish"}
    assert identity.topics == {"cats"}
    assert identity.method == "session"
    assert identity.token_id


async def test_a_long_session_came_in_more_than_ten_chunks_somewhere() -> None:
    assert max(len(cookies) for cookies in made().values()) > 10


@pytest.mark.parametrize("name", NAMES)
async def test_chunks_are_put_together_by_number_in_whatever_order_they_come(
    next_auth: NextAuthSession, name: str
) -> None:
    cookies = made()[f"veryLong {name}"]
    for order in (sorted(cookies), sorted(cookies, reverse=True)):
        identity = await next_auth.identify(request_with({key: cookies[key] for key in order}))
        assert identity is not None
        assert identity.user_id == "alice"


@pytest.mark.parametrize("name", NAMES)
async def test_a_missing_chunk_is_noticed(next_auth: NextAuthSession, name: str) -> None:
    cookies = made()[f"long {name}"]
    for missing in cookies:
        await refused(next_auth, {key: cookies[key] for key in cookies if key != missing})


@pytest.mark.parametrize("name", NAMES)
async def test_a_whole_cookie_beside_chunks_is_refused_as_they_would(
    next_auth: NextAuthSession, name: str
) -> None:
    await refused(next_auth, made()[f"long {name}"] | made()[f"plain {name}"])


@pytest.mark.parametrize("name", NAMES)
async def test_cookies_that_were_cleared_do_not_count(
    next_auth: NextAuthSession, name: str
) -> None:
    cleared = {f"{name}.0": "", f"{name}.1": ""}
    assert await next_auth.identify(request_with({name: "", **cleared})) is None
    assert await next_auth.identify(request_with(made()[f"plain {name}"] | cleared)) is not None


@pytest.mark.parametrize("name", NAMES)
async def test_an_expired_session_is_stale(next_auth: NextAuthSession, name: str) -> None:
    assert "expired" in (await refused(next_auth, made()[f"expired {name}"])).detail


@pytest.mark.parametrize("name", NAMES)
async def test_a_session_of_another_secret_is_stale(next_auth: NextAuthSession, name: str) -> None:
    await refused(next_auth, made()[f"other {name}"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["plain", "long"])
async def test_a_session_that_was_changed_anywhere_is_stale(
    next_auth: NextAuthSession, name: str, kind: str
) -> None:
    cookies = made()[f"{kind} {name}"]
    for key, value in cookies.items():
        for at in range(0, len(value), max(1, len(value) // 60)):
            changed = "B" if value[at] == "A" else "A"
            await refused(next_auth, cookies | {key: value[:at] + changed + value[at + 1 :]})
        for cut in (value[:-1], value[1:], value + "A", value[: len(value) // 2]):
            await refused(next_auth, cookies | {key: cut})


@pytest.mark.parametrize("name", NAMES)
async def test_a_cookie_under_the_name_of_another_kind_is_stale(
    next_auth: NextAuthSession, name: str
) -> None:
    value = made()[f"plain {name}"][name]
    for other in NAMES:
        same_key = name in V4 and other in V4
        if other != name and not same_key:
            await refused(next_auth, {other: value})


@pytest.mark.parametrize("name", NAMES)
async def test_a_session_without_a_user_is_absent(next_auth: NextAuthSession, name: str) -> None:
    assert await next_auth.identify(request_with(made()[f"anonymous {name}"])) is None


@pytest.mark.parametrize("name", NAMES)
async def test_roles_of_another_form_are_refused(next_auth: NextAuthSession, name: str) -> None:
    with pytest.raises(InvalidToken, match="session's 'roles'"):
        await next_auth.identify(request_with(made()[f"badRoles {name}"]))


@pytest.mark.parametrize("name", NAMES)
async def test_a_session_is_believed_for_an_hour_or_until_it_ends(
    next_auth: NextAuthSession, clock: FakeClock, name: str
) -> None:
    long = await next_auth.identify(request_with(made()[f"plain {name}"]))
    soon = await next_auth.identify(request_with(made()[f"soon {name}"]))
    assert long is not None
    assert soon is not None
    assert long.expires_at == clock.now() + HOUR
    assert soon.expires_at is not None
    assert 0 < soon.expires_at - clock.now() <= 601_000
    clock.jump(soon.expires_at - clock.now() - 1)
    assert await next_auth.identify(request_with(made()[f"soon {name}"])) is not None
    clock.jump(1)
    await refused(next_auth, made()[f"soon {name}"])


async def test_a_secret_can_be_rotated(clock: FakeClock) -> None:
    both = NextAuthSession([OTHER, SECRET], clock=clock)
    for name in NAMES:
        for kind in ("plain", "other"):
            assert await both.identify(request_with(made()[f"{kind} {name}"])) is not None


async def test_a_good_cookie_decides_beside_a_stale_one_of_the_other_kind(
    next_auth: NextAuthSession,
) -> None:
    for good, stale in ((V4[0], V5[0]), (V5[0], V4[0])):
        both = made()[f"plain {good}"] | made()[f"other {stale}"]
        identity = await next_auth.identify(request_with(both))
        assert identity is not None
        assert identity.user_id == "alice"


async def test_the_cookies_that_are_looked_for_can_be_chosen(clock: FakeClock) -> None:
    only_new = NextAuthSession([SECRET], clock=clock, cookies=[SessionCookie.auth_js(V5[0])])
    assert await only_new.identify(request_with(made()[f"plain {V5[0]}"])) is not None
    assert await only_new.identify(request_with(made()[f"plain {V4[0]}"])) is None


async def test_where_the_session_names_things_can_be_chosen(clock: FakeClock) -> None:
    names = ClaimNames(user=("email",), roles=("none", "role"), topics=("permissions",))
    method = NextAuthSession([SECRET], clock=clock, names=names)
    identity = await method.identify(request_with(made()[f"plain {V5[0]}"]))
    assert identity is not None
    assert identity.user_id == "alice@example.com"
    assert identity.roles == {"EDITOR"}
    assert identity.topics == {"publish"}


@pytest.mark.parametrize("secrets", [[], [""], [SECRET, ""]])
def test_a_session_needs_a_secret(secrets: list[str], clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError):
        NextAuthSession(secrets, clock=clock)


# Cookies made by hand


def encrypted(claims: Any, cookie: SessionCookie, **header: Any) -> Cookies:
    header = {"alg": "dir", "enc": cookie.encryption} | header
    registry = JWERegistry(algorithms=["dir", "A256GCM", "A256CBC-HS512", "DEF"])
    return {cookie.name: jwt.encode(header, claims, cookie.key(SECRET), registry=registry)}


@pytest.mark.parametrize("cookie", COOKIES, ids=lambda cookie: cookie.name)
async def test_the_ends_of_a_session_are_checked(
    next_auth: NextAuthSession, clock: FakeClock, cookie: SessionCookie
) -> None:
    now = clock.now() // 1000
    endless = await next_auth.identify(request_with(encrypted({"sub": "alice"}, cookie)))
    assert endless is not None
    assert endless.expires_at == clock.now() + HOUR
    await refused(next_auth, encrypted({"sub": "alice", "nbf": now + 62}, cookie))
    await refused(next_auth, encrypted({"sub": "alice", "exp": now}, cookie))
    within = encrypted({"sub": "alice", "nbf": now + 60, "exp": now + 100}, cookie)
    assert await next_auth.identify(request_with(within)) is not None
    for name in ("exp", "nbf", "iat"):
        with pytest.raises(InvalidToken, match=f"session's '{name}'"):
            await next_auth.identify(
                request_with(encrypted({"sub": "alice", name: "soon"}, cookie))
            )


@pytest.mark.parametrize("cookie", COOKIES, ids=lambda cookie: cookie.name)
async def test_no_other_encryption_and_no_compression_is_taken(
    next_auth: NextAuthSession, cookie: SessionCookie
) -> None:
    other = "A256GCM" if cookie.encryption == "A256CBC-HS512" else "A256CBC-HS512"
    size = 32 if other == "A256GCM" else 64
    swapped = replace(cookie, encryption=other, key_bytes=size)
    await refused(next_auth, encrypted({"sub": "alice"}, swapped))
    await refused(next_auth, encrypted({"sub": "alice"}, cookie, zip="DEF"))


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "....",
        "a.b.c.d.e",
        "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
        "x" * (MAX_COOKIE_LENGTH + 1),
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + "....",
        base64.urlsafe_b64encode(b'{"alg":["dir"],"enc":{}}').decode().rstrip("=") + "....",
        base64.urlsafe_b64encode(b'["alg","enc"]').decode().rstrip("=") + "....",
        base64.urlsafe_b64encode(b'{"alg":"dir","enc":"A256GCM","crit":[1]}').decode().rstrip("=")
        + "..AAAA.AAAA.AAAA",
        "\xff\xfe",
    ],
    ids=lambda text: text[:20],
)
@pytest.mark.parametrize("name", NAMES)
async def test_what_is_no_session_is_stale(
    next_auth: NextAuthSession, name: str, text: str
) -> None:
    await refused(next_auth, {name: text})
    await refused(next_auth, {f"{name}.0": text})


async def test_other_cookies_are_none_of_ours(next_auth: NextAuthSession) -> None:
    assert await next_auth.identify(request_with("")) is None
    others = {f"x{V4[0]}": "a", f"{V4[0]}.x": "a", f"{V4[0]}.00": "a", "session": "b"}
    assert await next_auth.identify(request_with(others)) is None


# Starlette


def signed(session: Any, clock: FakeClock, secret: str = SECRET) -> Cookies:
    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return clock.now() // 1000

    data = session if isinstance(session, bytes) else json.dumps(session).encode()
    return {"session": Signer(secret).sign(base64.b64encode(data)).decode()}


@pytest.fixture
def starlette(clock: FakeClock) -> StarletteSession:
    return StarletteSession(SECRET, clock=clock)


async def test_a_cookie_of_the_real_middleware_says_who() -> None:
    async def sign_in(request: Request) -> PlainTextResponse:
        request.session.update(user_id=7, roles=["A"], role="B", topics=["cats"])
        return PlainTextResponse("ok")

    app = Starlette(
        routes=[Route("/", sign_in)],
        middleware=[Middleware(SessionMiddleware, secret_key=SECRET)],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get("/")
        cookies = dict(client.cookies)
    later = FakeClock(int(time.time() * 1000) + 2000)
    identity = await StarletteSession(SECRET, clock=later).identify(request_with(cookies))
    assert identity is not None
    assert identity.user_id == "7"
    assert identity.roles == {"A"}
    assert identity.topics == {"cats"}
    assert identity.method == "session"


async def test_a_starlette_session_without_a_user_is_absent(
    starlette: StarletteSession, clock: FakeClock
) -> None:
    for session in ({}, {"cart": [1]}, {"user_id": None}, {"user_id": ""}):
        assert await starlette.identify(request_with(signed(session, clock))) is None
    assert await starlette.identify(request_with("")) is None
    assert await starlette.identify(request_with({"session": ""})) is None


async def test_a_starlette_session_ends_with_its_age(clock: FakeClock) -> None:
    method = StarletteSession(SECRET, clock=clock, max_age=7200)
    cookies = signed({"user_id": "alice"}, clock)
    at = clock.now() // 1000 * 1000
    identity = await method.identify(request_with(cookies))
    assert identity is not None
    assert identity.expires_at == clock.now() + HOUR
    assert identity.issued_at == at
    clock.advance(7100)
    identity = await method.identify(request_with(cookies))
    assert identity is not None
    assert identity.expires_at == at + 7_200_000
    clock.advance(102)
    assert "expired" in (await refused(method, cookies)).detail


async def test_a_starlette_session_may_be_without_an_age(clock: FakeClock) -> None:
    method = StarletteSession(SECRET, clock=clock, max_age=None)
    cookies = signed({"user_id": "alice"}, clock)
    clock.advance(10 * 365 * 86_400)
    identity = await method.identify(request_with(cookies))
    assert identity is not None
    assert identity.expires_at == clock.now() + HOUR


async def test_a_starlette_session_that_is_not_ours_is_stale(
    starlette: StarletteSession, clock: FakeClock
) -> None:
    good = signed({"user_id": "alice"}, clock)["session"]
    await refused(starlette, signed({"user_id": "alice"}, clock, OTHER))
    for at in range(len(good)):
        changed = "B" if good[at] == "A" else "A"
        text = good[:at] + changed + good[at + 1 :]
        # The last character of base64 may hold bits that mean nothing.
        if at != len(good) - 1:
            await refused(starlette, {"session": text})
    for text in ("null", "garbage", "a.b.c", ".", "x" * (MAX_COOKIE_LENGTH + 1), "\xff"):
        await refused(starlette, {"session": text})


@pytest.mark.parametrize("session", [[], "alice", None, 7, b"no json", b"\xff", b"[" * 5000])
async def test_a_signed_session_of_another_form_is_refused(
    starlette: StarletteSession, clock: FakeClock, session: Any
) -> None:
    with pytest.raises(InvalidToken):
        await starlette.identify(request_with(signed(session, clock)))


async def test_where_a_starlette_session_names_things_can_be_chosen(clock: FakeClock) -> None:
    method = StarletteSession(
        SECRET, clock=clock, cookie="mine", names=ClaimNames(user=("user.sub",), roles=("user.r",))
    )
    value = signed({"user": {"sub": "alice", "r": "A"}}, clock)["session"]
    identity = await method.identify(request_with({"mine": value}))
    assert identity is not None
    assert identity.user_id == "alice"
    assert identity.roles == {"A"}
    assert await method.identify(request_with({"session": value})) is None


def test_a_starlette_session_needs_a_secret(clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError):
        StarletteSession("", clock=clock)


# The application's own code


async def test_the_applications_code_says_who(clock: FakeClock) -> None:
    async def ask(request: HTTPConnection) -> Identity | None:
        name = request.cookies.get("who")
        ends = clock.now() + 5000 if name == "soon" else None
        return None if name is None else Identity(name, method="magic", expires_at=ends)

    method = CallableSession(ask, clock=clock)
    assert await method.identify(request_with("")) is None
    alice = await method.identify(request_with("who=alice"))
    assert alice == Identity("alice", method="session", expires_at=clock.now() + HOUR)
    soon = await method.identify(request_with("who=soon"))
    assert soon is not None
    assert soon.expires_at == clock.now() + 5000


async def test_the_code_of_a_fastapi_dependency_says_who(clock: FakeClock) -> None:
    closed: list[str] = []

    async def database() -> AsyncIterator[dict[str, list[str]]]:
        yield {"alice": ["EDITOR"]}
        closed.append("database")

    async def current_user(
        request: Request, users: Annotated[dict[str, list[str]], Depends(database)]
    ) -> Identity | None:
        name = request.cookies.get("who", "")
        return Identity(name, roles=frozenset(users[name])) if name in users else None

    async def session(request: HTTPConnection) -> Identity | None:
        async with asynccontextmanager(database)() as users:
            return await current_user(Request(request.scope), users)

    app = FastAPI()

    @app.get("/")
    async def show(user: Annotated[Identity | None, Depends(current_user)]) -> str:
        return "nobody" if user is None else user.user_id

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/", headers={"cookie": "who=alice"})
    assert answer.json() == "alice"
    closed.clear()
    method = CallableSession(session, clock=clock)
    identity = await method.identify(request_with("who=alice"))
    assert closed == ["database"]
    assert identity is not None
    assert (identity.user_id, *identity.roles) == ("alice", "EDITOR")
    assert await method.identify(request_with("who=bob")) is None


async def test_an_authority_that_has_ended_is_stale(clock: FakeClock) -> None:
    async def ask(request: HTTPConnection) -> Identity | None:
        return Identity("alice", expires_at=clock.now())

    await refused(CallableSession(ask, clock=clock), "")


async def test_what_the_applications_code_raises_goes_on(clock: FakeClock) -> None:
    async def ask(request: HTTPConnection) -> Identity | None:
        raise LookupError("the database is gone")

    with pytest.raises(LookupError, match="the database is gone"):
        await CallableSession(ask, clock=clock).identify(request_with(""))


async def test_something_else_than_an_identity_is_a_failure(clock: FakeClock) -> None:
    async def ask(request: HTTPConnection) -> Any:
        return "alice"

    with pytest.raises(TypeError, match="str"):
        await CallableSession(ask, clock=clock).identify(request_with(""))
