"""The browser client as the server gives it to pages."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.middleware.gzip import GZipMiddleware

import tidewire
from tests.http.embedding import included, mounted
from tests.http.server import Live, check_problem, client, live, make_tidewire, serving

FILE = Path(tidewire.__file__).parent / "http" / "static" / "tidewire.js"
PAGE = "https://app.example.com"


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    """One that trusts a page of another origin, and whom nobody may ask for events."""
    async with live(make_tidewire(dev=False, cors_origins=PAGE)) as running:
        yield running


def check_module(answer: httpx.Response) -> None:
    assert answer.status_code == 200
    assert answer.content == FILE.read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


async def test_anyone_may_load_it(server: Live) -> None:
    answer = await server.http.get("/tidewire.js")
    check_module(answer)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r'"[^"]+"', answer.headers["etag"]), "a strong entity tag"


async def test_it_is_one_module_that_gives_the_client_and_imports_nothing() -> None:
    text = FILE.read_text("utf-8")
    first, _, _ = text.partition("\n")
    assert re.fullmatch(r"/\*! tidewire \d+\.\d+\.\d+ \(MIT\), with .+ \*/", first)
    exported = re.findall(r"export\{([^}]*)\}", text)
    names = {part.rpartition(" as ")[2] for part in exported[-1].split(",")}
    assert {"SSEClient", "TidewireError", "AuthenticationError", "getSSEToken"} <= names
    assert not re.search(r'\bfrom"|\bimport[ ("{*]', text)


async def test_head_says_the_same_without_the_body(server: Live) -> None:
    got, head = await server.http.get("/tidewire.js"), await server.http.head("/tidewire.js")
    assert (head.status_code, head.content) == (200, b"")
    told = ("content-type", "content-length", "etag", "cache-control", "x-content-type-options")
    assert {name: head.headers[name] for name in told} == {name: got.headers[name] for name in told}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"another", {}', '"another",W/{}', "*"])
async def test_who_has_it_is_told_so(server: Live, method: str, form: str) -> None:
    etag = (await server.http.get("/tidewire.js")).headers["etag"]
    answer = await server.http.request(
        method, "/tidewire.js", headers={"if-none-match": form.format(etag)}
    )
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "no-cache"
    assert "Origin" in answer.headers["vary"]
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("tag", ['"another"', "another", "", 'W/"another"', '"', "W/"])
async def test_who_has_another_gets_this_one(server: Live, tag: str) -> None:
    check_module(await server.http.get("/tidewire.js", headers={"if-none-match": tag}))


async def test_a_connection_goes_on_after_each_kind_of_answer(server: Live) -> None:
    etag = (await server.http.get("/tidewire.js")).headers["etag"]
    for _ in range(2):
        await server.http.head("/tidewire.js")
        await server.http.get("/tidewire.js", headers={"if-none-match": etag})
        check_module(await server.http.get("/tidewire.js"))


async def test_pages_of_trusted_origins_may_load_it_and_others_not(server: Live) -> None:
    for headers in ({}, {"if-none-match": "*"}):
        trusted = await server.http.get("/tidewire.js", headers={"origin": PAGE, **headers})
        assert trusted.headers["access-control-allow-origin"] == PAGE
        foreign = await server.http.get(
            "/tidewire.js", headers={"origin": "https://evil.example.com", **headers}
        )
        assert "access-control-allow-origin" not in foreign.headers
        assert "Origin" in foreign.headers["vary"]


async def test_nothing_can_be_done_to_it(server: Live) -> None:
    answer = await server.http.post("/tidewire.js")
    check_problem(answer, 405, "CLIENT_METHOD_NOT_ALLOWED")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("embed", [included, mounted])
async def test_it_is_there_where_tidewire_is_part_of_another_application(embed: Any) -> None:
    async with serving(embed(make_tidewire())) as url, client(url) as http:
        answer = await http.get("/live/tidewire.js")
        check_module(answer)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await http.head("/live/tidewire.js")).headers["etag"] == answer.headers["etag"]
        assert (await http.get("/tidewire.js")).status_code == 404


async def test_it_may_be_compressed_on_its_way() -> None:
    app = mounted(make_tidewire())
    app.add_middleware(GZipMiddleware)
    async with serving(app) as url, client(url) as http:
        answer, head = await http.get("/live/tidewire.js"), await http.head("/live/tidewire.js")
        assert answer.headers["content-encoding"] == "gzip"
        check_module(answer)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == answer.headers["content-length"]


async def test_the_file_is_read_once_and_not_before_somebody_asks(reads: list[Path]) -> None:
    async with live(make_tidewire()) as server:
        await server.http.get("/livez")
        assert FILE not in reads
        for _ in range(3):
            await server.http.get("/tidewire.js")
    assert reads.count(FILE) == 1
