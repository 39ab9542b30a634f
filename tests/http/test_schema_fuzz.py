"""What the server says of itself, held against what it answers: whatever is sent, it answers as
its description says, and never that it failed."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import pytest
import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.http.server import make_tidewire, serving

Case: TypeAlias = schemathesis.Case[Any]

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]

LONGEST_WAIT: Final = 0.01
"""Seconds that a poll may ask to be held here."""

TOKEN: Final = "/api/auth/sse-token"
"""Where a token does not get its successor."""

METHODS: Final = {"get", "put", "post", "delete", "patch", "trace"}
"""To try where the description does not name them. Of OPTIONS it does not speak: browsers ask."""


def described() -> dict[str, Any]:
    """The document, without what stands for every status that it does not name: beside that,
    no status would be undocumented."""
    document: dict[str, Any] = json.loads(json.dumps(make_tidewire().openapi()))
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"].pop("default", None)
    return document


CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"max-examples": 25, "deterministic": True, "database": "none"},
        "phases": {"coverage": {"unexpected-methods": sorted(METHODS)}},
    }
)
SCHEMA = schemathesis.openapi.from_dict(described(), config=CONFIG)


class EndStreams:
    """Ends a stream after its first bytes, as a client does that leaves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streams = False
        left = asyncio.Event()

        async def receive_or_leave() -> Message:
            asked = asyncio.ensure_future(receive())
            leaving = asyncio.ensure_future(left.wait())
            await asyncio.wait([asked, leaving], return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if asked.done():
                return asked.result()
            asked.cancel()
            return {"type": "http.disconnect"}

        async def send_and_leave(message: Message) -> None:
            nonlocal streams
            if left.is_set():
                return
            if message["type"] == "http.response.start":
                streams = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
            elif streams:
                assert message["body"], "a stream opens with bytes"
                message = {**message, "more_body": False}
                left.set()
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive_or_leave, send_and_leave)


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """A development server without rates, on a loop of its own: what asks here is synchronous."""
    tidewire = make_tidewire(rate_limits="off")
    started = threading.Event()
    served: list[str] = []

    async def serve() -> None:
        async with serving(EndStreams(tidewire.app), tidewire.drain) as url:
            served.append(url)
            started.set()
            await asyncio.to_thread(ended.wait)

    ended = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10), "the server did not start"
        yield served[0]
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(scope="module")
def token(running: str) -> str:
    """Of an administrator who may publish."""
    answer = requests.get(
        f"{running}/api/auth/sse-token",
        params={"userId": "admin", "roles": "ADMIN", "permissions": "publish", "topics": "a,b"},
        timeout=10,
    )
    told: str = answer.json()["token"]
    return told


def ask(case: Case, url: str, session: requests.Session, **more: Any) -> int:
    """Asks, checks the answer against its description, and returns its status."""
    wait = case.query.get("wait")
    try:
        if isinstance(wait, int | float | str) and LONGEST_WAIT < float(wait) <= 60:
            case.query["wait"] = LONGEST_WAIT
    except ValueError:
        pass
    response = case.call(base_url=url, session=session, timeout=10, **more)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
        assert response.json()["status"] == response.status_code
    return response.status_code


@SCHEMA.parametrize()
def test_nobody_is_answered_as_described(
    case: Case, running: str, session: requests.Session
) -> None:
    case.query.pop("userId", None)
    ask(case, running, session)


@SCHEMA.parametrize()
def test_an_administrator_with_a_token_is_answered_as_described(
    case: Case, running: str, session: requests.Session, token: str
) -> None:
    # A token in the query would go first.
    case.query.pop("token", None)
    status = ask(case, running, session, headers={"Authorization": f"Bearer {token}"})
    assert status not in (401, 403) or "topics" in case.query or case.path == TOKEN, "not known"


@SCHEMA.parametrize()
def test_an_administrator_by_parameter_is_answered_as_described(
    case: Case, running: str, session: requests.Session
) -> None:
    case.query.pop("token", None)
    case.query.update({"userId": "admin", "roles": "ADMIN", "permissions": "publish"})
    status = ask(case, running, session)
    assert status not in (401, 403) or "topics" in case.query, "not known"
