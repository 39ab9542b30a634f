"""Streams and held polls keep nothing of the request that opened them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import Depends, FastAPI

from tests.http.server import client, make_tidewire, serving, streaming
from tests.waiting import until

pytestmark = pytest.mark.both_sinks


class Pool:
    """A database's connection pool, as far as it can run dry."""

    def __init__(self) -> None:
        self.checked_out = 0
        self.ever = 0

    async def session(self) -> AsyncIterator[None]:
        self.checked_out += 1
        self.ever += 1
        try:
            yield
        finally:
            self.checked_out -= 1


async def test_a_database_session_before_our_routes_is_closed_while_a_stream_is_open() -> None:
    pool, tidewire = Pool(), make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, dependencies=[Depends(pool.session)])
    async with (
        serving(app, tidewire.drain) as url,
        client(url) as http,
        streaming(http, "/api/sse", {"userId": "alice"}) as stream,
    ):
        assert (await stream.block()).event == "connected"
        assert (pool.ever, pool.checked_out) == (1, 0)


async def test_a_database_session_before_our_routes_is_closed_while_a_poll_is_held() -> None:
    pool, tidewire = Pool(), make_tidewire()
    app = FastAPI(lifespan=tidewire.lifespan)
    app.include_router(tidewire.router, dependencies=[Depends(pool.session)])
    async with serving(app, tidewire.drain) as url, client(url) as http:
        params = {"userId": "alice", "since": "latest", "wait": "60"}
        poll = asyncio.create_task(http.get("/api/realtime/polling", params=params))
        node = await tidewire.start()
        await until(lambda: len(node.keeper.connections) == 1)
        assert (pool.ever, pool.checked_out) == (1, 0)
        await tidewire.drain()
        assert (await poll).status_code == 200
