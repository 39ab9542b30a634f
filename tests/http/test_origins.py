"""Cookies are sent by browsers for any page: only pages of ours may act with them."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import HTTPConnection

from tests.http.server import SECRET, Live, check_problem, client, serving
from tidewire import Identity, Settings, Tidewire

APP = "https://app.example.com"
COOKIE = {"cookie": "session=alice"}
READS = ["/api/sse", "/api/realtime/polling", "/api/realtime/cursor", "/api/auth/sse-token"]


async def session(request: HTTPConnection) -> Identity | None:
    user = request.cookies.get("session") or request.headers.get("x-key")
    return Identity(user, roles=frozenset({"ADMIN"})) if user else None


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    settings = Settings.load(
        sse_jwt_secret=SECRET, nextauth_secret=None, cors_origins=APP, drain_seconds=0
    )
    tidewire = Tidewire(settings, session=session)
    async with serving(tidewire.app, tidewire.drain) as url, client(url) as http:
        yield Live(tidewire, url, http)


async def read(server: Live, path: str, **headers: str) -> httpx.Response:
    sent = {**COOKIE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with server.http.stream("GET", path, headers=sent) as answer:
        if "event-stream" not in answer.headers["content-type"]:
            await answer.aread()
        return answer


async def write(server: Live, **headers: str) -> httpx.Response:
    sent = {**COOKIE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await server.http.post("/api/realtime/publish", headers=sent, json={"type": "news"})


@pytest.mark.parametrize("path", READS)
async def test_a_foreign_page_opens_no_stream_and_no_poll_in_the_name_of_its_visitor(
    server: Live, path: str
) -> None:
    foreign = [
        {"origin": "https://evil.test"},
        {"origin": "https://evil.test", "sec_fetch_site": "cross-site"},
        {"origin": "https://sibling.example.com", "sec_fetch_site": "same-site"},
        {"origin": "null"},
        # An image or a frame: their requests carry no Origin.
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    ]
    for headers in foreign:
        check_problem(await read(server, path, **headers), 403, "AUTH_FORBIDDEN")
    assert (await read(server, "/livez", origin="https://evil.test")).status_code == 200


@pytest.mark.parametrize("path", READS)
async def test_our_own_pages_and_allowed_ones_read_with_cookies(server: Live, path: str) -> None:
    ours = [
        {},
        {"origin": server.url},
        {"origin": server.url.replace("http:", "https:")},
        {"origin": APP, "sec_fetch_site": "same-site"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none", "sec_fetch_mode": "navigate"},
        {
            "sec_fetch_site": "cross-site",
            "sec_fetch_mode": "navigate",
            "sec_fetch_dest": "document",
        },
    ]
    for headers in ours:
        assert (await read(server, path, **headers)).status_code == 200, headers


async def test_a_foreign_page_changes_nothing_in_the_name_of_its_visitor(server: Live) -> None:
    foreign = [
        {},
        {"origin": "https://evil.test"},
        {"origin": "https://evil.test", "sec_fetch_site": "cross-site"},
        {"origin": f"{APP}.evil.test"},
        {"origin": f"{APP}:8443"},
        {"origin": server.url + "0"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ]
    head = await server.cursor()
    for headers in foreign:
        check_problem(await write(server, **headers), 403, "AUTH_FORBIDDEN")
    assert await server.cursor() == head


async def test_our_own_pages_and_allowed_ones_publish_with_cookies(server: Live) -> None:
    ours = [
        {"origin": server.url},
        {"origin": APP},
        {"origin": APP.upper().replace("HTTPS", "https") + ":443"},
        {"sec_fetch_site": "same-origin"},
        {"origin": "null", "sec_fetch_site": "same-origin"},
        # A proxy in front that calls us by another name.
        {"host": "backend", "origin": "https://other.test", "sec_fetch_site": "same-origin"},
        {"host": "other.test", "origin": "https://other.test"},
        {"host": "other.test:443", "origin": "https://other.test"},
        {"host": "other.test", "origin": "http://other.test:80"},
    ]
    for headers in ours:
        assert (await write(server, **headers)).status_code == 200, headers


async def test_tokens_are_good_whichever_page_sends_them(server: Live) -> None:
    issued = server.tidewire.issue_token(
        Identity("bob", permissions=frozenset({"publish"}), method="session")
    )
    answer = await server.http.post(
        "/api/realtime/publish",
        headers={"authorization": f"Bearer {issued.token}", "origin": "https://evil.test"},
        json={"type": "news"},
    )
    assert answer.status_code == 200


async def test_what_no_browser_sends_by_itself_needs_no_origin(server: Live) -> None:
    headers = {"x-key": "alice"}
    body = {"type": "news"}
    answer = await server.http.post("/api/realtime/publish", headers=headers, json=body)
    assert answer.status_code == 200
    headers["origin"] = "https://evil.test"
    answer = await server.http.post("/api/realtime/publish", headers=headers, json=body)
    check_problem(answer, 403, "AUTH_FORBIDDEN")
