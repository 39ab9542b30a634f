"""What wakes a relay when something was committed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from tidewire.outbox.table import Outbox

RETRY_SECONDS: Final = 1.0

_LOGGER: Final = logging.getLogger("tidewire.outbox")


class Bell:
    """Rings when there may be something new; at the latest when the wait is over."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self, *_: object) -> None:
        self._rung.set()

    @property
    def has_rung(self) -> bool:
        """Whether it has, since the last wait."""
        return self._rung.is_set()

    async def wait(self, seconds: float) -> None:
        """Returns when it has rung since the last wait, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()


@asynccontextmanager
async def bell(engine: AsyncEngine, outbox: Outbox) -> AsyncIterator[Bell]:
    """A bell, which PostgreSQL rings. On other databases nothing rings it."""
    made = Bell()
    if not outbox.notify or engine.dialect.driver not in _LISTENING:
        yield made
        return
    task = asyncio.create_task(_listen(engine, outbox, made), name="tidewire-outbox-bell")
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(engine: AsyncEngine, outbox: Outbox, made: Bell) -> None:
    listen = _LISTENING[engine.dialect.driver]
    while True:
        try:
            async with engine.connect() as connection:
                try:
                    raw = await connection.get_raw_connection()
                    await listen(raw.driver_connection, outbox.channel, made)
                finally:
                    # It is not to go back into the pool: it listens.
                    await connection.invalidate()
        except Exception as error:
            _LOGGER.info("not woken by PostgreSQL for now: %s", error)
        await asyncio.sleep(RETRY_SECONDS)


async def _by_asyncpg(connection: Any, channel: str, made: Bell) -> None:
    """Listens until the connection ends."""
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    await connection.add_listener(channel, made.ring)
    # What was committed before it listened.
    made.ring()
    await ended.wait()


async def _by_psycopg(connection: Any, channel: str, made: Bell) -> None:
    """Listens until the connection ends."""
    from psycopg.sql import SQL, Identifier

    await connection.set_autocommit(True)
    await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
    made.ring()
    async for _ in connection.notifies():
        made.ring()


_LISTENING: Final = {"asyncpg": _by_asyncpg, "psycopg": _by_psycopg}
