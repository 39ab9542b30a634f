"""Pages of other origins: who may read answers, and which headers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http.server import Live, live, make_tidewire
from tidewire import Identity, Tidewire
from tidewire.core.errors import ConfigurationError

APP = "https://app.example.com"
EXPOSED = {
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "tidewire-cursor",
}


def guarded(**settings: Any) -> Tidewire:
    """One that is not in development mode, where pages of this machine would be trusted."""
    settings.setdefault("cors_origins", f"{APP}, http://intranet:8080")
    return make_tidewire(dev=False, **settings)


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    async with live(guarded()) as running:
        yield running


def bearer(server: Live) -> dict[str, str]:
    identity = Identity("alice", permissions=frozenset({"publish"}), method="session")
    return {"authorization": f"Bearer {server.tidewire.issue_token(identity).token}"}


def cors_of(answer: httpx.Response) -> dict[str, str]:
    prefix = "access-control-"
    return {name: value for name, value in answer.headers.items() if name.startswith(prefix)}


def check_readable(answer: httpx.Response, origin: str) -> None:
    headers = cors_of(answer)
    assert headers.pop("access-control-allow-origin") == origin
    assert headers.pop("access-control-allow-credentials") == "true"
    exposed = headers.pop("access-control-expose-headers").lower().split(", ")
    assert set(exposed) == EXPOSED
    assert headers == {}
    assert "Origin" in answer.headers["vary"].split(", ")


async def test_an_allowed_page_may_read_every_kind_of_answer(server: Live) -> None:
    headers = {"origin": APP, **bearer(server)}
    get, post = server.http.get, server.http.post
    check_readable(await get("/api/realtime/polling", headers=headers), APP)
    check_readable(await get("/api/realtime/cursor", headers=headers), APP)
    check_readable(await get("/api/realtime/cursor", headers={"origin": APP}), APP)
    check_readable(await post("/api/realtime/publish", headers=headers, content="{"), APP)
    check_readable(await get("/nowhere", headers=headers), APP)
    check_readable(await server.http.delete("/api/sse", headers=headers), APP)
    async with server.http.stream("GET", "/api/sse", headers=headers) as answer:
        assert answer.status_code == 200
        check_readable(answer, APP)
        assert (await anext(answer.aiter_raw())).startswith(b"event: connected\n")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "https://app.example.com.evil.test",
        "https://app.example.com:444",
        "http://app.example.com",
        "https://example.com",
        "https://app.example.com/",
        "https://app.example.com, https://evil.test",
        "http://localhost:3000",
        "null",
        "*",
        "",
    ],
)
async def test_a_foreign_page_may_read_nothing(server: Live, origin: str) -> None:
    headers = {"origin": origin, **bearer(server)}
    answers = [
        await server.http.get("/api/realtime/cursor", headers=headers),
        await server.http.options(
            "/api/sse", headers={"origin": origin, "access-control-request-method": "GET"}
        ),
    ]
    async with server.http.stream("GET", "/api/sse", headers=headers) as answer:
        answers.append(answer)
    for answer in answers:
        assert not [name for name in cors_of(answer) if "allow" in name or "expose" in name]
        # Or else a cache would give one page the answer for another.
        assert "Origin" in answer.headers["vary"]


async def test_without_an_origin_answers_still_say_that_they_vary(server: Live) -> None:
    answer = await server.http.get("/livez")
    assert answer.headers["vary"] == "Origin"
    assert cors_of(answer) == {}


@pytest.mark.parametrize("header", ["Last-Event-ID", "Authorization", "Idempotency-Key"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_that_asks_first_is_told_what_it_may_send(
    server: Live, method: str, header: str
) -> None:
    answer = await server.http.options(
        "/api/realtime/publish",
        headers={
            "origin": "http://intranet:8080",
            "access-control-request-method": method,
            "access-control-request-headers": f"{header.lower()},content-type",
        },
    )
    assert answer.status_code == 200
    headers = cors_of(answer)
    assert headers["access-control-allow-origin"] == "http://intranet:8080"
    assert headers["access-control-allow-credentials"] == "true"
    assert header in headers["access-control-allow-headers"].split(", ")
    assert method in headers["access-control-allow-methods"].split(", ")


@pytest.mark.parametrize(("method", "header"), [("DELETE", "content-type"), ("POST", "x-anything")])
async def test_what_is_taken_by_no_endpoint_is_not_allowed_either(
    server: Live, method: str, header: str
) -> None:
    answer = await server.http.options(
        "/api/realtime/publish",
        headers={
            "origin": APP,
            "access-control-request-method": method,
            "access-control-request-headers": header,
        },
    )
    assert answer.status_code == 400


async def test_by_default_the_origin_of_the_applications_own_url_is_allowed() -> None:
    tidewire = make_tidewire(dev=False, nextauth_url="https://app.example.com/api/auth")
    async with live(tidewire) as server:
        check_readable(await server.http.get("/livez", headers={"origin": APP}), APP)


async def test_named_origins_stand_in_place_of_the_default() -> None:
    async with live(guarded(nextauth_url="https://other.example.com")) as server:
        answer = await server.http.get("/livez", headers={"origin": "https://other.example.com"})
        assert cors_of(answer) == {}


async def test_by_default_nobody_else_may_read() -> None:
    async with live(make_tidewire(dev=False)) as server:
        assert cors_of(await server.http.get("/livez", headers={"origin": APP})) == {}


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:1"])
async def test_in_development_pages_of_this_machine_are_allowed(origin: str) -> None:
    async with live(make_tidewire()) as server:
        check_readable(await server.http.get("/livez", headers={"origin": origin}), origin)
        foreign = await server.http.get("/livez", headers={"origin": "http://localhost.evil.test"})
        assert cors_of(foreign) == {}


@pytest.mark.parametrize(
    "text", ["*", "https://*.example.com", "app.example.com", "https://a.test/x", "null", "ftp://a"]
)
def test_what_is_no_origin_is_refused_by_the_name_of_the_setting(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^TIDEWIRE_CORS_ORIGINS: "):
        guarded(cors_origins=text)


async def test_answers_say_what_they_are_and_pages_tell_nobody_where_they_were(
    server: Live,
) -> None:
    headers = bearer(server)
    answers = [
        await server.http.get("/livez"),
        await server.http.get("/api/realtime/cursor"),
        await server.http.get("/api/realtime/polling", headers=headers),
        await server.http.get("/nowhere"),
        await server.http.delete("/livez"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
