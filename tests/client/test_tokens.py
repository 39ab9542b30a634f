"""Tokens, with the real server."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.network import Network
from tests.client.reader import Reader
from tests.client.server import Server, token
from tests.waiting import until
from tidewire.client import Client, Control, Envelope, Token
from tidewire.core.errors import AuthenticationError, InvalidToken


class Issuer:
    """Hands over one token after the other, and the last again and again."""

    def __init__(self, *tokens: Any) -> None:
        self.asked = 0
        self._tokens = tokens

    def __call__(self) -> Any:
        self.asked += 1
        return self._tokens[min(self.asked, len(self._tokens)) - 1]


BEGINNINGS: dict[str, Callable[[Client], None]] = {
    "a stream": lambda client: None,
    "polls": lambda client: client.force_polling(),
}


@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_one_that_is_not_taken_is_replaced_once_and_nothing_else_is_noticed(
    server: Server, begin: Callable[[Client], None]
) -> None:
    issuer = Issuer("nonsense", token())
    alice = Reader(server.url, token=issuer)
    async with alice.client as client:
        begin(client)
        alice.begin()
        await client.connected()
        await server.publish([1], metadata={"userIds": ["alice"]})
        await alice.sees([1])
    await alice.end()
    assert issuer.asked == 2


@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_a_second_one_that_is_not_taken_stops_it_with_a_typed_error(
    server: Server, begin: Callable[[Client], None]
) -> None:
    issuer = Issuer("nonsense")
    async with Client(server.url, token=issuer) as client:
        begin(client)
        with pytest.raises(InvalidToken) as raised:
            await anext(client)
        assert (raised.value.code, raised.value.status) == ("AUTH_INVALID_TOKEN", 401)
        assert issuer.asked == 2
        assert client.status.connection_status == "stopped"
        with pytest.raises(AuthenticationError):
            await client.connected()


async def test_one_that_does_not_change_and_is_not_taken_stops_it_at_once(
    server: Server, net: Network
) -> None:
    async with Client(net.url, token="nonsense") as client:
        with pytest.raises(InvalidToken):
            await anext(client)
    assert len(net.requests) == 1


async def test_without_any_the_server_says_that_one_is_needed(server: Server) -> None:
    async with Client(server.url) as client:
        with pytest.raises(AuthenticationError) as raised:
            await client.connected()
        assert raised.value.code == "AUTH_REQUIRED"


async def test_a_topic_that_is_not_granted_is_a_typed_error_that_names_it(server: Server) -> None:
    async with Client(server.url, token=token(), topics=["secrets"]) as client:
        with pytest.raises(AuthenticationError, match="secrets") as raised:
            await anext(client)
    assert type(raised.value).__name__ == "Forbidden"
    assert raised.value.extra == {"topics": ["secrets"]}


async def test_one_that_runs_out_in_mid_stream_is_renewed_and_the_stream_goes_on(
    server: Server, net: Network
) -> None:
    seen: list[str] = []

    async def get() -> str:
        # One that is asynchronous.
        await asyncio.sleep(0)
        return issuer()  # type: ignore[no-any-return]

    issuer = Issuer(token(seconds=3), token())
    over = time.time() + 3
    async with Client(net.url, token=get) as client:
        await client.connected()
        await server.publish([1])
        await until(lambda: net.count("POST /api/auth/sse-token/refresh"))
        # By the clock of the server, which is ours, the first one has run out.
        await until(lambda: time.time() > over + 0.5)
        await server.publish([2])
        async for item in client.items():
            seen.append(item.type if isinstance(item, Control) else "event")
            if isinstance(item, Envelope) and item.data == {"n": 2}:
                break
        assert net.count("POST /api/auth/sse-token/refresh") == 1
    assert [word for word in seen if word != "event"] == ["connected", "authExpiring"]
    assert issuer.asked == 2
    assert net.count("GET /api/sse") == 1


async def test_one_that_runs_out_and_cannot_be_extended_is_replaced_without_a_hole(
    server: Server, net: Network
) -> None:
    net.refuses_posts = True
    issuer = Issuer(token(seconds=3), token())
    alice = Reader(net.url, token=issuer)
    async with alice.client as client:
        alice.begin()
        await client.connected()
        number = 0
        while net.count("GET /api/sse") < 2 or not client.status.is_connected:
            number += 1
            await server.publish([number])
            # The beat of the traffic.
            await asyncio.sleep(0.05)
        await server.publish([number + 1])
        await alice.sees([*range(1, number + 2)])
    await alice.end()
    assert alice.gaps == []


async def test_one_is_renewed_when_it_is_due_without_a_reconnect(
    server: Server, net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidewire.client.links.TOKEN_REST", 300)
    due = time.time() * 1000 + 500
    issuer = Issuer(Token(token(), due), {"token": token(), "refreshAfter": due + 500}, token())
    async with Client(net.url, token=issuer) as client:
        await client.connected()
        name = client.status.client_id
        await until(lambda: net.count("POST /api/auth/sse-token/refresh") == 2)
        assert client.status.client_id == name
    assert issuer.asked == 3


async def test_one_request_for_a_token_is_in_flight_however_many_want_one(
    server: Server,
) -> None:
    asked = 0
    given = asyncio.Event()

    async def get() -> str:
        nonlocal asked
        asked += 1
        await given.wait()
        return token()

    async with Client(server.url, token=get) as client:
        client.reconnect()
        client.force_polling()
        client.reconnect()
        await until(lambda: asked > 0)
        given.set()
        await client.connected()
    assert asked == 1


async def test_a_source_that_fails_is_asked_again_and_its_own_refusal_stops(
    server: Server,
) -> None:
    answers: list[Exception] = [OSError("away"), InvalidToken("Log in again.")]

    def get() -> str:
        raise answers.pop(0)

    async with Client(server.url, token=get) as client:
        with pytest.raises(InvalidToken, match="Log in again"):
            await anext(client)
    assert answers == []
