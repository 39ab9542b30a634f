"""A relay that is killed, wherever it is: nothing is lost, nothing comes twice, order holds."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from tests.http.server import SECRET, Live, live, make_tidewire
from tests.outbox.databases import Database
from tests.outbox.mortal import MortalRelay
from tidewire import Event
from tidewire.auth.tokens import Tokens
from tidewire.client import Publisher
from tidewire.core.clock import SystemClock
from tidewire.outbox import Relay

EVENTS = 600  # more than go together


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    async with live(make_tidewire(rate_limits="off")) as running:
        yield running


def publisher_token() -> str:
    tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
    return tokens.issue("shop", permissions=["publish"]).token


async def told(server: Live) -> list[object]:
    """All that the log holds, in its order."""
    found: list[object] = []
    since = "earliest"
    while True:
        answer = await server.poll(since=since, limit=500)
        found += [event["data"] for event in answer["events"]]
        since = answer["cursor"]
        if not answer["hasMore"]:
            return found


def fill(database: Database, first: int) -> list[object]:
    numbers = [*range(first, first + EVENTS)]
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, *(Event("number", number) for number in numbers))
    return [*numbers]


# Both drivers of PostgreSQL take the same steps.
@pytest.mark.parametrize("database", ["sqlite", "asyncpg"], indirect=True)
async def test_killed_before_any_of_its_steps_it_leaves_what_another_finishes(
    database: Database, server: Live
) -> None:
    expected: list[object] = []
    token = publisher_token()
    heir = database.open()
    done, step = False, 0
    # A process is a while in coming, and every statement has a commit beside it.
    stride = 1 if database.is_sqlite else 2
    while not done:
        expected += fill(database, len(expected))
        dying = MortalRelay(database.async_url, server.url, token, step)
        dying.start()
        done = await asyncio.to_thread(dying.ended)
        assert (database.waiting() == 0) >= done
        with Publisher(server.url, token=token) as publisher:
            async with Relay(heir, publisher, look_seconds=0.01):
                await database.emptied()
        assert await told(server) == expected, f"killed before step {step}"
        step += stride
    # Taking the lead, looking for what was sealed, and two batches.
    assert step > 10


async def test_two_relays_and_the_one_that_leads_is_killed_again_and_again(
    database: Database, server: Live
) -> None:
    token = publisher_token()
    expected: list[object] = []
    leading = MortalRelay(database.async_url, server.url, token)
    leading.start()
    for _ in range(3):
        expected += fill(database, len(expected))
        waiting = MortalRelay(database.async_url, server.url, token)
        waiting.start()
        leading.kill()
        leading = waiting
    assert await asyncio.to_thread(leading.ended)
    assert await told(server) == expected


async def test_the_crash_test_would_see_a_repeat(database: Database, server: Live) -> None:
    expected = fill(database, 0)
    token = publisher_token()
    relay = MortalRelay(database.async_url, server.url, token)
    relay.start()
    assert await asyncio.to_thread(relay.ended)
    with database.engine.begin() as connection:
        connection.execute(delete(database.outbox.table))
    fill(database, 0)
    again = MortalRelay(database.async_url, server.url, token)
    again.start()
    assert await asyncio.to_thread(again.ended)
    assert await told(server) == expected * 2
