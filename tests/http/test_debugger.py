"""The debugger: who gets it, and what a browser is told to make of it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection

import tidewire
from tests.http.embedding import included, mounted
from tests.http.server import Live, check_problem, client, live, make_tidewire, serving
from tidewire import Identity, Settings, Tidewire

FOLDER = Path(tidewire.__file__).parent / "http" / "debugger"
PAGE = "/debug/sse"
MODULE = "/debug/sse/main.js"
PATHS = [PAGE, MODULE, "/debug/sse/panels/send.js", "/debug/sse/theme.css"]
SHOWN = [path for path in FOLDER.rglob("*") if path.suffix in {".css", ".js", ".svg"}]
SESSIONS = {"of-root": Identity("root", roles=frozenset({"ADMIN"})), "of-bob": Identity("bob")}


async def session(request: HTTPConnection) -> Identity | None:
    return SESSIONS.get(request.cookies.get("sid", ""))


@pytest.fixture
async def production() -> AsyncIterator[Live]:
    """One with sessions, that is in nobody's development."""
    settings = Settings.load(
        sse_jwt_secret=None, nextauth_secret=None, log_url=None, redis_url=None, dragonfly_url=None
    )
    async with live(Tidewire(settings, session=session)) as running:
        yield running


def mode(answer: httpx.Response) -> str:
    found = re.search(r'<meta name="mode" content="(\w+)">', answer.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", PATHS)
async def test_in_development_this_machine_gets_it(server: Live, path: str) -> None:
    answer = await server.http.get(path)
    assert answer.status_code == 200
    assert answer.content


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers", [{"host": "rebound.example.com:8000"}, {"origin": "https://evil.example.com"}]
)
async def test_in_development_strange_hosts_and_pages_do_not(
    server: Live, path: str, headers: dict[str, str]
) -> None:
    check_problem(await server.http.get(path, headers=headers), 403, "AUTH_FORBIDDEN")


async def test_in_development_a_credential_is_no_hindrance(server: Live) -> None:
    for headers in ({"cookie": "sid=of-another-app"}, {"authorization": "Bearer stale"}):
        assert (await server.http.get(PAGE, headers=headers)).status_code == 200


async def test_where_development_mode_does_not_trust_a_request_its_credential_decides() -> None:
    made = make_tidewire()
    async with live(made) as server:
        root = made.issue_token(Identity("root", roles=frozenset({"ADMIN"}), method="session"))
        bob = made.issue_token(Identity("bob", method="session"))
        host = {"host": "app.example.com"}

        async def ask(token: str) -> httpx.Response:
            return await server.http.get(PAGE, headers={**host, "authorization": f"Bearer {token}"})

        assert (await ask(root.token)).status_code == 200
        check_problem(await ask(bob.token), 403, "AUTH_FORBIDDEN")
        check_problem(await ask("forged"), 401, "AUTH_INVALID_TOKEN")


@pytest.mark.parametrize("path", PATHS)
async def test_elsewhere_only_administrators_get_it(production: Live, path: str) -> None:
    async def ask(**headers: str) -> httpx.Response:
        return await production.http.get(path, headers=headers)

    check_problem(await ask(), 401, "AUTH_REQUIRED")
    check_problem(await ask(cookie="sid=of-bob"), 403, "AUTH_FORBIDDEN")
    assert (await ask(cookie="sid=of-root")).status_code == 200
    # The link that somebody else's page has to it may be followed.
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await ask(cookie="sid=of-root", **visit, **{"sec-fetch-dest": "document"})).is_success
    # Their page may not read it.
    foreign = await ask(cookie="sid=of-root", origin="https://evil.example.com")
    check_problem(foreign, 403, "AUTH_FORBIDDEN")


async def test_the_parameter_of_development_opens_nothing_elsewhere(production: Live) -> None:
    query = {"userId": "developer", "roles": "ADMIN"}
    check_problem(await production.http.get(PAGE, params=query), 401, "AUTH_REQUIRED")


async def test_the_page_knows_whether_it_is_in_development(server: Live, production: Live) -> None:
    assert mode(await server.http.get(PAGE)) == "development"
    headers = {"cookie": "sid=of-root"}
    assert mode(await production.http.get(PAGE, headers=headers)) == "production"


@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_is_told_to_take_nothing_from_elsewhere(server: Live, path: str) -> None:
    headers = (await server.http.get(path)).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    for name in ("script-src", "style-src", "connect-src", "img-src"):
        assert policy[name] == "'self'"
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_page_is_kept_by_nobody_and_its_files_are_asked_for_again(server: Live) -> None:
    page = await server.http.get(PAGE)
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers
    answer = await server.http.get(MODULE)
    assert answer.headers["cache-control"] == "private, no-cache"
    known = {"if-none-match": f'"another", W/{answer.headers["etag"]}'}
    again = await server.http.get(MODULE, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    other = await server.http.get(MODULE, headers={"if-none-match": '"another"'})
    assert other.content == answer.content == (FOLDER / "main.js").read_bytes()


async def test_who_has_a_file_is_told_so_only_if_they_may_have_it(production: Live) -> None:
    answer = await production.http.get(MODULE, headers={"if-none-match": "*"})
    check_problem(answer, 401, "AUTH_REQUIRED")


@pytest.mark.parametrize("path", PATHS)
async def test_head_says_the_same_without_the_body(server: Live, path: str) -> None:
    got, head = await server.http.get(path), await server.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    volatile = {"date"}
    assert {name: head.headers[name] for name in head.headers.keys() - volatile} == {
        name: got.headers[name] for name in got.headers.keys() - volatile
    }


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        (PAGE, "text/html; charset=utf-8"),
        (MODULE, "text/javascript; charset=utf-8"),
        ("/debug/sse/theme.css", "text/css; charset=utf-8"),
        ("/debug/sse/icon.svg", "image/svg+xml"),
    ],
)
async def test_each_file_says_what_it_is(server: Live, path: str, media_type: str) -> None:
    assert (await server.http.get(path)).headers["content-type"] == media_type


@pytest.mark.parametrize(
    "path", ["nothing.js", "index.html", "../../app.py", "%2e%2e/routes/debugger.py", "panels"]
)
async def test_nothing_else_is_to_be_had(server: Live, path: str) -> None:
    answer = await server.http.get(f"{PAGE}/{path}")
    check_problem(answer, 404, "CLIENT_NOT_FOUND")


async def test_nothing_can_be_done_to_it(server: Live) -> None:
    for path in PATHS:
        check_problem(await server.http.post(path), 405, "CLIENT_METHOD_NOT_ALLOWED")


def test_all_that_it_is_made_of_is_named_relatively_and_is_there() -> None:
    """Under any prefix, and with no address of another host in it."""
    page = (FOLDER / "index.html").read_text("utf-8")
    assert not re.search(r"<(?:script|style)>|\son\w+=|\sstyle=", page), "nothing is inline"
    named = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert named
    for name in named:
        assert name.startswith("sse/")
        assert (FOLDER / name.removeprefix("sse/")).is_file()
    for path in SHOWN:
        text = path.read_text("utf-8")
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}
        for name in re.findall(r'(?:from|import) "([^"]+)"', text):
            assert name.startswith(("./", "../"))
            found = (path.parent / name).resolve()
            assert found.is_file() or found == (FOLDER / "../../tidewire.js").resolve()


@pytest.mark.parametrize("embed", [included, mounted])
async def test_it_is_there_where_tidewire_is_part_of_another_application(embed: Any) -> None:
    async with serving(embed(make_tidewire())) as url, client(url) as http:
        page = await http.get(f"/live{PAGE}")
        assert mode(page) == "development"
        for name in re.findall(r'(?:src|href)="([^"]*)"', page.text):
            assert (await http.get(page.url.join(name))).status_code == 200
        # What its modules name, from where they are.
        assert (await http.get(page.url.join("sse/../../tidewire.js"))).status_code == 200
        slash = await http.get(f"/live{PAGE}/")
        assert slash.status_code == 307
        assert str(slash.url.join(slash.headers["location"])) == str(page.url)
        assert (await http.get(PAGE)).status_code == 404


async def test_it_may_be_compressed_on_its_way() -> None:
    app = mounted(make_tidewire())
    app.add_middleware(GZipMiddleware)
    async with serving(app) as url, client(url) as http:
        answer = await http.get(f"/live{MODULE}")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == (FOLDER / "main.js").read_bytes()


async def test_its_files_are_read_once_and_not_before_somebody_asks(reads: list[Path]) -> None:
    module = FOLDER / "main.js"
    async with live(make_tidewire()) as server:
        await server.http.get("/livez")
        assert module not in reads
        for _ in range(3):
            await server.http.get(PAGE)
            await server.http.get(MODULE)
    assert reads.count(module) == 1
