"""What docs/sessions.md shows is run as it stands there."""

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.docs.test_session_examples import browser, listening, refusal
from tests.serve.processes import COMMAND, clean_environment, running, url_in

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sessions.md").read_text()
SECRET = "a-secret-of-the-tests-of-more-than-32-bytes"


def block(language: str, holding: str) -> str:
    """The only block of the page in a language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    (found,) = [text for text in blocks if holding in text]
    return str(found)


def output_of(command: list[str], env: dict[str, str]) -> str:
    """What a command writes; it must end well."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def publish_to_chiefs(what: str, env: dict[str, str]) -> None:
    output_of([COMMAND, "publish", "news", json.dumps(what), "--role", "CHIEF"], env)


async def test_the_function_of_the_page_lets_alice_in_until_she_signs_out(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(block("python", "SESSIONS = "))
    command = [COMMAND, "serve", "desk:app", "--port", "0"]
    env = clean_environment(tmp_path, SSE_JWT_SECRET=SECRET)
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = await asyncio.to_thread(url_in, server)
        at_server = env | {"TIDEWIRE_URL": url}
        async with browser(url, httpx.Cookies({"sid": "a-session"})) as alice:
            async with listening(alice) as stream:
                publish_to_chiefs("too early", at_server)
                assert (await alice.post("/promote?user=alice")).status_code == 200
                publish_to_chiefs("in time", at_server)
                assert (await stream.next("news"))["data"] == "in time"
                assert (await alice.post("/logout")).status_code == 200
                assert (await stream.next("problem"))["data"]["code"] == "AUTH_REVOKED"
            assert await refusal(alice) == (401, "AUTH_REQUIRED")


async def test_a_session_extends_its_open_stream_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(block("python", "SESSIONS = "))
    command = [COMMAND, "serve", "desk:app", "--port", "0"]
    with running(command, tmp_path, clean_environment(tmp_path), cwd=tmp_path) as server:
        url = await asyncio.to_thread(url_in, server)
        async with (
            browser(url, httpx.Cookies({"sid": "a-session"})) as alice,
            listening(alice) as stream,
        ):
            opened = time.time() * 1000
            answer = await alice.post(
                "/api/auth/sse-token/refresh", json={"clientId": stream.client_id}
            )
            assert answer.status_code == 200, answer.text
            assert abs(answer.json()["expiresAt"] - opened - 3_600_000) < 10_000


async def test_the_cookie_of_an_application_beside_opens_a_stream(tmp_path: Path) -> None:
    async def sign_in(request: Request) -> Response:
        request.session.update(user_id="alice", roles=["ADMIN"])
        return Response()

    shop = Starlette(
        routes=[Route("/", sign_in)],
        middleware=[Middleware(SessionMiddleware, secret_key=SECRET)],
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(shop), base_url="http://shop.example.com"
    ) as at_the_shop:
        await at_the_shop.get("/")
        cookies = httpx.Cookies({"session": at_the_shop.cookies["session"]})

    (tmp_path / "beside.py").write_text(block("python", "StarletteSession"))
    command = [COMMAND, "serve", "beside:app", "--port", "0"]
    env = clean_environment(tmp_path, SECRET_KEY=SECRET)
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = await asyncio.to_thread(url_in, server)
        async with browser(url, cookies) as alice, browser(url) as visitor:
            async with listening(alice) as stream:
                event = {"type": "news", "data": 1, "metadata": {"userIds": ["alice"]}}
                assert (await alice.post("/api/realtime/publish", json=event)).is_success
                assert (await stream.next("news"))["data"] == 1
            assert await refusal(visitor) == (401, "AUTH_REQUIRED")


async def test_the_token_that_the_page_signs_opens_a_stream(tmp_path: Path) -> None:
    env = clean_environment(tmp_path, SSE_JWT_SECRET=SECRET)
    signed = output_of([sys.executable, "-c", block("python", "HS256")], env)
    with running([COMMAND, "serve", "--port", "0"], tmp_path, env) as server:
        url = await asyncio.to_thread(url_in, server)
        async with browser(url) as alice:
            alice.headers["authorization"] = f"Bearer {signed}"
            async with listening(alice) as stream:
                revoke = block("sh", "/api/auth/revoke").replace("http://127.0.0.1:8000", url)
                revoke = revoke.replace("$(tidewire ", f"$({COMMAND} ")
                assert output_of(["sh", "-ec", revoke], env) == ""
                assert (await stream.next("problem"))["data"]["code"] == "AUTH_REVOKED"
            assert await refusal(alice) == (401, "AUTH_REVOKED")


async def test_tokens_of_an_issuer_are_read_by_the_settings_of_the_page(tmp_path: Path) -> None:
    settings = dict(re.findall(r"export (\w+)='?([^\s']+)", block("sh", "TIDEWIRE_JWKS")))
    key = RSAKey.generate_key(2048, {"kid": "one"})
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    env = clean_environment(tmp_path, **settings | {"TIDEWIRE_JWKS": str(keys)})
    now = int(time.time())
    claims = {
        "iss": "https://login.example.com/",
        "aud": "shop-mobile",
        "sub": "0b5e",
        "preferred_username": "alice",
        "realm_access": {"roles": ["ADMIN"]},
        "iat": now,
        "exp": now + 300,
    }
    with running([COMMAND, "serve", "--port", "0"], tmp_path, env) as server:
        url = await asyncio.to_thread(url_in, server)
        async with browser(url) as alice:
            token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)
            alice.headers["authorization"] = f"Bearer {token}"
            async with listening(alice) as stream:
                # An administrator may publish: so the roles were found.
                event = {"type": "news", "data": 1, "metadata": {"userIds": ["alice"]}}
                answer = await alice.post("/api/realtime/publish", json=event)
                assert answer.is_success, answer.text
                assert (await stream.next("news"))["data"] == 1
            token = jwt.encode({"alg": "RS256", "kid": "one"}, claims | {"aud": "bank"}, key)
            alice.headers["authorization"] = f"Bearer {token}"
            assert await refusal(alice) == (401, "AUTH_WRONG_AUDIENCE")
