"""Which credential decides: every kind of session beside every kind of explicit credential."""

from collections.abc import Mapping
from itertools import product

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
from tidewire.core.errors import AuthenticationError, StaleSession
from tidewire.core.target import Identity

CLOCK = FakeClock()
TOKENS = Tokens(["a-secret-of-thirty-two-bytes-0001"], clock=CLOCK, setting="")
OTHERS = Tokens(["a-secret-of-thirty-two-bytes-0002"], clock=CLOCK, setting="")


class CookieSession:
    """A session whose cookie says what it is: a user's name, `stale` or `anonymous`."""

    hint = "a session cookie"

    async def identify(self, request: HTTPConnection) -> Identity | None:
        cookie = request.cookies.get("session", "anonymous")
        if cookie == "stale":
            raise StaleSession("The session has expired.")
        return None if cookie == "anonymous" else Identity(cookie, method="session")


SESSIONS: Mapping[str, str | None] = {
    "good": "alice",
    "stale": "stale",
    "anonymous": "anonymous",
    "absent": None,
}
EXPLICIT: Mapping[str, str | None] = {
    "good": TOKENS.issue("alice").token,
    "for another": TOKENS.issue("bob").token,
    "expired": TOKENS.issue("alice", lifetime=-1).token,
    "bad": OTHERS.issue("alice").token,
    "absent": None,
}
WAYS = ("token", "bearer")
PARAMETERS = ("eve", None)


def expected(session: str, token: str, way: str, parameter: str | None) -> str:
    """What the contract says: the method that decides, or the code of the refusal."""
    method = {"token": "jwt_token", "bearer": "bearer_token"}[way]
    refusal = {"expired": "AUTH_EXPIRED_TOKEN", "bad": "AUTH_INVALID_TOKEN"}
    if session == "good":
        return "AUTH_CONFLICT" if token == "for another" else "session"
    if token in ("good", "for another"):
        return method
    if token in refusal:
        return refusal[token]
    if session == "stale":
        return "AUTH_STALE_SESSION"
    return "parameter_dev" if parameter else "AUTH_REQUIRED"


def asked(session: str, token: str, way: str, parameter: str | None) -> HTTPConnection:
    headers = [(b"host", b"127.0.0.1:8000")]
    query = []
    cookie, given = SESSIONS[session], EXPLICIT[token]
    if cookie is not None:
        headers.append((b"cookie", f"session={cookie}".encode()))
    if given is not None and way == "bearer":
        headers.append((b"authorization", f"Bearer {given}".encode()))
    if given is not None and way == "token":
        query.append(f"token={given}")
    if parameter is not None:
        query.append(f"userId={parameter}")
    return HTTPConnection(
        {
            "type": "http",
            "scheme": "http",
            "path": "/api/sse",
            "server": ("127.0.0.1", 8000),
            "query_string": "&".join(query).encode(),
            "headers": headers,
        }
    )


@pytest.mark.parametrize(
    ("session", "token", "way", "parameter"), list(product(SESSIONS, EXPLICIT, WAYS, PARAMETERS))
)
async def test_the_first_credential_that_is_present_decides(
    session: str, token: str, way: str, parameter: str | None
) -> None:
    journal = FakeJournal()
    authenticator = Authenticator(
        sessions=[CookieSession()],
        tokens=[QueryToken(TOKENS), BearerToken(TOKENS)],
        others=[DevelopmentParameter()],
        journal=journal,
    )
    request = asked(session, token, way, parameter)
    outcome: str
    try:
        outcome = (await authenticator.authenticate(request)).method
    except AuthenticationError as error:
        outcome = error.code
    assert outcome == expected(session, token, way, parameter)
    # Passing over a cookie is the one exception to the rule, so it is noted.
    assert bool(journal.notes) == (session == "stale" and token in ("good", "for another"))
