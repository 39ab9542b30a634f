"""The order of the ways to say who one is, and where the development parameter works."""

import pytest
from starlette.requests import HTTPConnection

from tests.fakes import FakeClock, FakeJournal
from tidewire.auth.authenticator import (
    Authenticator,
    BearerToken,
    DevelopmentParameter,
    QueryToken,
)
from tidewire.auth.tokens import Tokens
from tidewire.core.errors import (
    AuthenticationError,
    ExpiredToken,
    Forbidden,
    InvalidParameter,
    InvalidToken,
    TidewireError,
)

CLOCK = FakeClock()
TOKENS = Tokens(["a-secret-of-thirty-two-bytes-0001"], clock=CLOCK, setting="")
ALICE = TOKENS.issue("alice", roles=["READER"]).token
BOB = TOKENS.issue("bob").token
EXPIRED = TOKENS.issue("alice", lifetime=-1).token

METHODS = (QueryToken(TOKENS), BearerToken(TOKENS))
DEVELOPMENT = Authenticator(tokens=METHODS, others=[DevelopmentParameter()], journal=FakeJournal())
PRODUCTION = Authenticator(tokens=METHODS, journal=FakeJournal())


def asked(query: str = "", **headers: str) -> HTTPConnection:
    given = {"host": "127.0.0.1:8000", **headers}
    return HTTPConnection(
        {
            "type": "http",
            "scheme": "http",
            "path": "/api/sse",
            "server": ("127.0.0.1", 8000),
            "query_string": query.encode("latin-1"),
            "headers": [
                (name.replace("_", "-").encode(), value.encode("latin-1"))
                for name, value in given.items()
                if value != "absent"
            ],
        }
    )


@pytest.mark.parametrize(
    ("query", "headers", "user", "method"),
    [
        (f"token={ALICE}", {}, "alice", "jwt_token"),
        ("", {"authorization": f"Bearer {ALICE}"}, "alice", "bearer_token"),
        ("", {"authorization": f"bearer  {ALICE} "}, "alice", "bearer_token"),
        (f"token={ALICE}", {"authorization": f"Bearer {BOB}"}, "alice", "jwt_token"),
        (f"token={ALICE}&userId=carol", {}, "alice", "jwt_token"),
        ("userId=carol", {"authorization": f"Bearer {BOB}"}, "bob", "bearer_token"),
        ("userId=carol", {}, "carol", "parameter_dev"),
    ],
)
async def test_the_first_credential_that_is_present_decides(
    query: str, headers: dict[str, str], user: str, method: str
) -> None:
    identity = await DEVELOPMENT.authenticate(asked(query, **headers))
    assert (identity.user_id, identity.method) == (user, method)


@pytest.mark.parametrize(
    ("query", "headers", "error"),
    [
        ("token=bad", {}, InvalidToken),
        ("token=", {}, InvalidToken),
        (f"token={EXPIRED}", {}, ExpiredToken),
        ("", {"authorization": "Bearer bad"}, InvalidToken),
        ("", {"authorization": "Bearer"}, InvalidToken),
        ("", {"authorization": ""}, InvalidToken),
        ("", {"authorization": f"Basic {ALICE}"}, InvalidToken),
        ("", {"authorization": ALICE}, InvalidToken),
        ("", {"authorization": f"Bearer {EXPIRED}"}, ExpiredToken),
    ],
)
async def test_a_bad_credential_never_falls_through_to_a_weaker_one(
    query: str, headers: dict[str, str], error: type[TidewireError]
) -> None:
    weaker = {} if headers else {"authorization": f"Bearer {ALICE}"}
    for more in ("", "userId=alice"):
        with pytest.raises(error):
            await DEVELOPMENT.authenticate(asked(f"{query}&{more}", **headers, **weaker))


async def test_the_development_parameter_says_all_of_it() -> None:
    identity = await DEVELOPMENT.authenticate(
        asked("userId=alice&roles=A,B&permissions=publish&topics=cats,dogs")
    )
    assert identity.roles == {"A", "B"}
    assert identity.permissions == {"publish"}
    assert identity.topics == {"cats", "dogs"}
    assert identity.expires_at is None


async def test_nobody_is_an_administrator_by_the_parameter_alone() -> None:
    identity = await DEVELOPMENT.authenticate(asked("userId=admin"))
    assert identity.roles == identity.permissions == frozenset()


async def test_outside_development_the_parameter_is_no_credential() -> None:
    with pytest.raises(AuthenticationError, match="token") as raised:
        await PRODUCTION.authenticate(asked("userId=alice&roles=ADMIN"))
    assert "userId" not in raised.value.detail


async def test_an_empty_user_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        await DEVELOPMENT.authenticate(asked("userId="))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("LocalHost:8000", True),
        ("127.0.0.1", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("example.com", False),
        ("example.com:8000", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("127.0.0.1.example.com:99999", False),
        ("notlocalhost", False),
        ("192.168.0.7", False),
        ("0.0.0.0", False),  # noqa: S104
        ("[::1].example.com", False),
        ("[::1", False),
        ("[fe80::1]", False),
        ("localhost@example.com", False),
        ("example.com@localhost", False),
        ("localhost:80:80", False),
        ("localhost, example.com", False),
        ("", False),
        ("absent", False),
    ],
)
async def test_the_parameter_works_only_for_a_loopback_host(host: str, local: bool) -> None:
    request = asked("userId=alice", host=host)
    if local:
        assert (await DEVELOPMENT.authenticate(request)).user_id == "alice"
    else:
        with pytest.raises(Forbidden, match="--dev-allow-remote"):
            await DEVELOPMENT.authenticate(request)


@pytest.mark.parametrize(
    ("origin", "local"),
    [
        ("absent", True),
        ("http://localhost", True),
        ("http://localhost:3000", True),
        ("https://127.0.0.1:8443", True),
        ("http://[::1]:3000", True),
        ("http://example.com", False),
        ("http://localhost.example.com", False),
        ("http://example.com:3000", False),
        ("http://[::1].example.com", False),
        ("http://localhost@example.com", False),
        ("null", False),
        ("localhost", False),
        ("", False),
    ],
)
async def test_the_parameter_works_only_from_a_loopback_origin(origin: str, local: bool) -> None:
    request = asked("userId=alice", origin=origin)
    if local:
        assert (await DEVELOPMENT.authenticate(request)).user_id == "alice"
    else:
        with pytest.raises(Forbidden, match="origin"):
            await DEVELOPMENT.authenticate(request)


async def test_others_may_be_allowed_on_purpose() -> None:
    method = DevelopmentParameter(allow_remote=True)
    identity = await method.identify(
        asked("userId=alice", host="example.com", origin="http://example.com")
    )
    assert identity is not None
    assert identity.user_id == "alice"


async def test_tokens_work_from_anywhere() -> None:
    request = asked(f"token={ALICE}", host="example.com", origin="http://example.com")
    assert (await DEVELOPMENT.authenticate(request)).user_id == "alice"


async def test_bytes_that_are_no_text_do_not_break_the_check() -> None:
    assert (await DEVELOPMENT.authenticate(asked("userId=alice&x=\xff"))).user_id == "alice"
    for header in ("host", "origin"):
        with pytest.raises(Forbidden):
            await DEVELOPMENT.authenticate(asked("userId=alice", **{header: "\xff"}))
