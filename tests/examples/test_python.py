"""Examples in Python: each starts by its command, and an event arrives."""

import re
from pathlib import Path

import httpx

from tests.examples.starting import EXAMPLES, address, browser, free_port, listening, started


async def test_fastapi_tells_who_is_asked_by_its_dependency(tmp_path: Path) -> None:
    async with (
        started("fastapi", tmp_path, "--port", "0") as run,
        browser(await address(run, "listens on")) as http,
        listening(http, "/api/sse?userId=alice") as stream,
    ):
        answer = await http.post("/orders?userId=alice")
        assert (await stream.next("notification")).id == answer.json()
        refused = await http.post("/orders")
        assert (refused.status_code, refused.json()["code"]) == (401, "AUTH_REQUIRED")


async def test_starlette_tells_by_what_it_has_mounted(tmp_path: Path) -> None:
    async with (
        started("starlette", tmp_path, "--port", "0") as run,
        browser(await address(run, "listens on")) as http,
        listening(http, "/live/api/sse?userId=alice") as stream,
    ):
        answer = await http.post("/orders?customer=alice")
        assert (await stream.next("notification")).id == answer.text


async def test_flask_tells_through_the_server_beside_it(tmp_path: Path) -> None:
    env = {"TIDEWIRE_PORT": str(free_port())}
    async with (
        started("flask", tmp_path, "--port", "0", **env) as run,
        browser(await address(run, "Running on")) as http,
        browser(await address(run, "listens on")) as reader,
        listening(reader, f"/api/sse?token={shown_token(run.output)}") as stream,
    ):
        answer = await http.post("/orders?customer=alice")
        assert answer.status_code == 200, run.output
        assert (await stream.next("notification")).id == answer.text


def shown_token(output: str) -> str:
    token = re.search(r"token=([\w.-]+)", output)
    assert token is not None, output
    return token[1]


async def posted(http: httpx.AsyncClient, path: str, form: str, **fields: str) -> int:
    """Posts one of Django's forms, with the token that stands in it."""
    page = await http.get(form)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None, page.text
    return (await http.post(path, data={"csrfmiddlewaretoken": token[1], **fields})).status_code


async def test_django_tells_what_it_has_committed_to_whom_it_knows(tmp_path: Path) -> None:
    env = {"DJANGO_DATABASE": str(tmp_path / "shop.sqlite3")}
    async with (
        started("django", tmp_path, "--port", "0", **env) as run,
        browser(await address(run, "listens on")) as http,
    ):
        assert (await http.get("/api/sse")).status_code == 401
        login = "/accounts/login/"
        assert await posted(http, login, login, username="alice", password="wonderland") == 302
        async with listening(http, "/api/sse") as stream:
            assert await posted(http, "/orders", "/", dish="Oysters") == 302
            assert await posted(http, "/orders", "/", dish="Oysters") == 409
            assert await posted(http, "/orders", "/", dish="Crab") == 302
            assert '"Oysters: it' in (await stream.next("notification")).data
            assert '"Crab: it' in (await stream.next("notification")).data
        assert (await http.get("/tidewire.js")).status_code == 200


def test_every_example_has_a_readme_that_starts_it() -> None:
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and (folder / "start").exists():
            assert f"examples/{folder.name}/start" in (folder / "README.md").read_text()
            assert (folder / "start").stat().st_mode & 0o111
