"""Over HTTP: who has a cookie of next-auth or @auth/core opens a stream as that user."""

from collections.abc import AsyncIterator

import pytest
from httpx_sse import aconnect_sse

from tests.http.server import Live, live
from tests.sessions.cookies import NAMES, SECRET, header, made
from tidewire import Event, Settings, Tidewire


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    """A server that has nothing but the secret of the sessions."""
    settings = Settings.load(nextauth_secret=SECRET, sse_jwt_secret=None)
    async with live(Tidewire(settings)) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["plain", "long", "veryLong"])
async def test_a_real_cookie_opens_a_stream_as_its_user_and_roles(
    server: Live, name: str, kind: str
) -> None:
    cookie = {"cookie": header(made()[f"{kind} {name}"])}
    async with aconnect_sse(server.http, "GET", "/api/sse", headers=cookie) as source:
        assert source.response.status_code == 200
        events = source.aiter_sse()
        connected = (await anext(events)).json()
        assert connected["data"]["clientInfo"]["authMethod"] == "session"
        for target in ({"roles": ["ADMIN"]}, {"userIds": ["bob"]}):
            await server.tidewire.publish(Event(type="notForAlice", data=None, metadata=target))
        for target in ({"roles": ["EDITOR"]}, {"userIds": ["alice"]}):
            await server.tidewire.publish(Event(type="forAlice", data=None, metadata=target))
        assert [(await anext(events)).event for _ in range(2)] == ["forAlice", "forAlice"]
        await events.aclose()
    answer = await server.http.get("/api/realtime/polling", headers=cookie)
    assert answer.json()["userId"] == "alice"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["expired", "other"])
@pytest.mark.parametrize("path", ["/api/sse", "/api/realtime/polling", "/api/auth/sse-token"])
async def test_an_expired_cookie_or_one_of_another_secret_is_a_401(
    server: Live, name: str, kind: str, path: str
) -> None:
    cookie = {"cookie": header(made()[f"{kind} {name}"])}
    answer = await server.http.get(path, headers=cookie)
    assert answer.status_code == 401
    assert answer.json()["code"] == "AUTH_STALE_SESSION"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["plain", "long"])
async def test_a_cookie_that_was_changed_is_a_401(server: Live, name: str, kind: str) -> None:
    text = header(made()[f"{kind} {name}"])
    cookie = {"cookie": text[:-30] + ("B" if text[-30] == "A" else "A") + text[-29:]}
    answer = await server.http.get("/api/sse", headers=cookie)
    assert answer.status_code == 401
    assert answer.json()["code"] == "AUTH_STALE_SESSION"


@pytest.mark.parametrize("name", NAMES)
async def test_an_anonymous_session_is_no_credential(server: Live, name: str) -> None:
    cookie = {"cookie": header(made()[f"anonymous {name}"])}
    answer = await server.http.get("/api/sse", headers=cookie)
    assert answer.status_code == 401
    assert answer.json()["code"] == "AUTH_REQUIRED"
