"""The examples of sessions are served as they stand there, and used over HTTP."""

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.serve.processes import COMMAND, Process, clean_environment, running, until, url_in

ROOT = Path(__file__).parents[2]
PASSWORD = secrets.token_urlsafe()


class Stream:
    """An open stream, read event by event."""

    def __init__(self, events: AsyncIterator[ServerSentEvent]) -> None:
        self._events = events
        self.client_id = ""

    async def next(self, *types: str) -> dict[str, Any]:
        """The next event of one of these types; others are passed over."""
        async with asyncio.timeout(10):
            async for event in self._events:
                if event.event in types:
                    found: dict[str, Any] = json.loads(event.data)
                    return found
        raise AssertionError(f"ended before any of {types} came")


@asynccontextmanager
async def listening(http: httpx.AsyncClient) -> AsyncIterator[Stream]:
    """Opens a stream with the cookies that a client has."""
    async with aconnect_sse(http, "GET", "/api/sse") as source:
        assert source.response.status_code == 200
        stream = Stream(source.aiter_sse())
        stream.client_id = (await stream.next("connected"))["data"]["clientId"]
        yield stream


def browser(url: str, cookies: httpx.Cookies | None = None) -> httpx.AsyncClient:
    """A client that keeps cookies, and says of which page it is, as browsers do."""
    return httpx.AsyncClient(base_url=url, cookies=cookies, headers={"origin": url}, timeout=10)


async def refusal(http: httpx.AsyncClient) -> tuple[int, str]:
    """With what a stream is refused."""
    answer = await http.get("/api/sse")
    return answer.status_code, answer.json()["code"]


@asynccontextmanager
async def serving(target: str, folder: Path, **env: str) -> AsyncIterator[tuple[Process, str]]:
    command = [COMMAND, "serve", target, "--port", "0"]
    with running(command, folder, clean_environment(folder, **env), cwd=ROOT) as server:
        yield server, await asyncio.to_thread(url_in, server)


# Django

USERS = """
from django.contrib.auth.models import Group, User
editors = Group.objects.create(name="EDITOR")
User.objects.create_user("alice", password="{0}").groups.add(editors)
User.objects.create_user("bob", password="{0}")
User.objects.create_user("boss", password="{0}", is_staff=True)
"""


def manage(database: Path, *arguments: str) -> None:
    """Runs a command of Django, as manage.py does."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.django_sessions", *arguments],
        cwd=ROOT,
        env=clean_environment(database.parent, DJANGO_DATABASE=str(database)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with an editor, a user without a group, and an employee."""
    path = tmp_path_factory.mktemp("django") / "django.sqlite3"
    manage(path, "migrate", "-v", "0")
    manage(path, "shell", "-c", USERS.format(PASSWORD))
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> str:
    """A copy of it."""
    return str(shutil.copy(migrated, tmp_path))


async def posted(http: httpx.AsyncClient, path: str, form: str, **fields: str) -> int:
    """Posts one of Django's forms, with the token that stands in it; returns the status."""
    page = await http.get(form)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None, page.text
    answer = await http.post(path, data={"csrfmiddlewaretoken": token[1], **fields})
    return answer.status_code


async def sign_in(http: httpx.AsyncClient, name: str) -> None:
    path = "/accounts/login/"
    assert await posted(http, path, path, username=name, password=PASSWORD) == 302
    assert "sessionid" in http.cookies


async def test_whoever_is_signed_in_to_django_gets_the_events_of_their_groups(
    tmp_path: Path, database: str
) -> None:
    target = "examples.django_sessions:app"
    async with (
        serving(target, tmp_path, DJANGO_DATABASE=database) as (_, url),
        browser(url) as alice,
        browser(url) as bob,
        browser(url) as boss,
    ):
        await sign_in(alice, "alice")
        await sign_in(bob, "bob")
        await sign_in(boss, "boss")
        async with listening(alice) as at_alice, listening(bob) as at_bob:
            for what, roles in (("for editors", {"roles": ["EDITOR"]}), ("for all", {})):
                event = {"type": "news", "data": what, "metadata": roles}
                answer = await boss.post("/api/realtime/publish", json=event)
                assert answer.status_code in (200, 201), answer.text
            assert (await at_alice.next("news"))["data"] == "for editors"
            assert (await at_alice.next("news"))["data"] == "for all"
            assert (await at_bob.next("news"))["data"] == "for all"
        refused = await alice.post("/api/realtime/publish", json={"type": "news", "data": 1})
        assert refused.status_code == 403, "only staff may publish"


async def test_a_django_view_tells_what_it_has_committed_and_nothing_else(
    tmp_path: Path, database: str
) -> None:
    target = "examples.django_sessions:app"
    async with (
        serving(target, tmp_path, DJANGO_DATABASE=database) as (_, url),
        browser(url) as alice,
    ):
        await sign_in(alice, "alice")
        async with listening(alice) as stream:
            assert await posted(alice, "/rename", "/", name="bob") == 409
            assert await posted(alice, "/rename", "/", name="alicia") == 302
            assert (await stream.next("userUpdate"))["data"] == {"name": "alicia"}
        assert '<b id="name">alicia</b>' in (await alice.get("/")).text


async def test_signing_out_of_django_ends_the_streams_and_the_session_opens_no_other(
    tmp_path: Path, database: str
) -> None:
    target = "examples.django_sessions:app"
    async with (
        serving(target, tmp_path, DJANGO_DATABASE=database) as (_, url),
        browser(url) as alice,
    ):
        await sign_in(alice, "alice")
        kept = httpx.Cookies({"sessionid": alice.cookies["sessionid"]})
        async with listening(alice) as stream:
            assert await posted(alice, "/logout", "/") == 302
            problem = await stream.next("problem")
            assert problem["data"]["code"] == "AUTH_REVOKED"
            assert (await stream.next("disconnecting"))["data"]["reason"] == "revoked"
        assert await refusal(alice) == (401, "AUTH_REQUIRED")
        async with browser(url, kept) as thief:
            assert await refusal(thief) == (401, "AUTH_REQUIRED")


NEW_PASSWORD = """
from django.contrib.auth.models import User
alice = User.objects.get(username="alice")
alice.set_password("another")
alice.save()
"""


async def test_a_django_session_of_before_a_new_password_opens_no_stream(
    tmp_path: Path, database: str
) -> None:
    target = "examples.django_sessions:app"
    async with (
        serving(target, tmp_path, DJANGO_DATABASE=database) as (_, url),
        browser(url) as alice,
    ):
        await sign_in(alice, "alice")
        async with listening(alice):
            pass
        manage(Path(database), "shell", "-c", NEW_PASSWORD)
        assert await refusal(alice) == (401, "AUTH_REQUIRED")


async def test_a_visitor_of_the_django_site_gets_no_stream(tmp_path: Path, database: str) -> None:
    target = "examples.django_sessions:app"
    async with (
        serving(target, tmp_path, DJANGO_DATABASE=database) as (_, url),
        browser(url) as visitor,
        browser(url, httpx.Cookies({"sessionid": "made-up"})) as stranger,
    ):
        assert await refusal(visitor) == (401, "AUTH_REQUIRED")
        assert await refusal(stranger) == (401, "AUTH_REQUIRED")
        assert (await visitor.get("/")).status_code == 302


def opened_by(pid: int, path: str) -> int:
    """How often a process has a file open."""
    held = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held += os.readlink(descriptor).startswith(path)  # noqa: PTH115 - a number's target
        except FileNotFoundError:
            continue
    return held


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux what a process opened")
async def test_streams_of_django_users_hold_no_database_connection(
    tmp_path: Path, database: str
) -> None:
    target = "examples.django_sessions:app"
    async with (
        serving(target, tmp_path, DJANGO_DATABASE=database) as (server, url),
        browser(url) as alice,
    ):
        await sign_in(alice, "alice")
        async with listening(alice), listening(alice), listening(alice):
            # Django closes the connection of a view after its answer has come.
            await asyncio.to_thread(until, lambda: not opened_by(server.popen.pid, database))


# FastAPI


async def login(http: httpx.AsyncClient, name: str, password: str) -> int:
    return (await http.post("/login", json={"name": name, "password": password})).status_code


async def test_whoever_is_signed_in_to_the_fastapi_shop_hears_of_their_orders(
    tmp_path: Path,
) -> None:
    async with (
        serving("examples.fastapi_sessions:app", tmp_path) as (_, url),
        browser(url) as alice,
        browser(url) as bob,
    ):
        assert await login(alice, "alice", "guessed") == 401
        assert await refusal(alice) == (401, "AUTH_REQUIRED")
        assert (await alice.post("/orders")).status_code == 401

        assert await login(alice, "alice", "wonderland") == 204
        assert await login(bob, "bob", "builder") == 204
        async with listening(alice) as at_alice, listening(bob) as at_bob:
            of_alice = (await alice.post("/orders")).json()
            of_bob = (await bob.post("/orders")).json()
            assert (await at_alice.next("notification"))["id"] == of_alice
            assert (await at_bob.next("notification"))["id"] == of_bob


async def test_streams_of_the_fastapi_shop_hold_no_database_connection(tmp_path: Path) -> None:
    async with (
        serving("examples.fastapi_sessions:app", tmp_path) as (_, url),
        browser(url) as alice,
    ):
        assert await login(alice, "alice", "wonderland") == 204
        before = (await alice.get("/pool")).json()
        async with listening(alice), listening(alice):
            while_open = (await alice.get("/pool")).json()
        assert while_open == {"lent": 0, "ever": before["ever"] + 2}


async def test_signing_out_of_the_fastapi_shop_ends_the_streams_and_the_session_opens_no_other(
    tmp_path: Path,
) -> None:
    async with (
        serving("examples.fastapi_sessions:app", tmp_path) as (_, url),
        browser(url) as alice,
    ):
        assert await login(alice, "alice", "wonderland") == 204
        kept = httpx.Cookies({"session": alice.cookies["session"]})
        async with listening(alice) as stream:
            assert (await alice.post("/logout")).status_code == 204
            assert (await stream.next("problem"))["data"]["code"] == "AUTH_REVOKED"
        assert await refusal(alice) == (401, "AUTH_REQUIRED")
        async with browser(url, kept) as thief:
            assert await refusal(thief) == (401, "AUTH_REQUIRED")
