"""Which of several relays publishes. The others wait for its place."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tidewire.core.errors import ConfigurationError
from tidewire.outbox.table import Outbox

DATABASES: Final = ("postgresql", "sqlite")


@asynccontextmanager
async def leading(
    engine: AsyncEngine, outbox: Outbox, *, look_seconds: float
) -> AsyncIterator[AsyncConnection]:
    """Waits until no other relay leads, and leads within the block.

    On PostgreSQL whoever leads has an advisory lock, which ends with its connection; all that it
    does to the table goes by that connection, so one that has lost the lock changes nothing more.
    On SQLite it has a lock on a file beside the database, which ends with its process.

    Args:
        engine: the database.
        outbox: its table.
        look_seconds: how often it looks whether it can lead.

    Raises:
        ConfigurationError: the database is of another kind.
    """
    kind = engine.dialect.name
    if kind not in DATABASES:
        raise ConfigurationError(
            f"An outbox in {kind} is not relayed: there is a relay for PostgreSQL and SQLite."
        )
    lock = _advisory if kind == "postgresql" else _file
    async with lock(engine, outbox, look_seconds) as connection:
        yield connection


@asynccontextmanager
async def _advisory(
    engine: AsyncEngine, outbox: Outbox, look_seconds: float
) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="READ COMMITTED")
        try:
            # Asked for again and again: who waits inside a statement holds back VACUUM.
            while not await _scalar(connection, "pg_try_advisory_lock", outbox.lock):  # noqa: ASYNC110
                await asyncio.sleep(look_seconds)
            yield connection
            await _scalar(connection, "pg_advisory_unlock", outbox.lock)
        except BaseException:
            # The lock is not to go back into the pool with it.
            await connection.invalidate()
            raise


async def _scalar(connection: AsyncConnection, function: str, key: int) -> bool:
    async with connection.begin():
        return bool(await connection.scalar(select(getattr(func, function)(key))))


@asynccontextmanager
async def _file(
    engine: AsyncEngine, outbox: Outbox, look_seconds: float
) -> AsyncIterator[AsyncConnection]:
    path = engine.url.database
    if not path or ":memory:" in path or path.startswith("file:"):
        raise ConfigurationError(
            "An outbox in SQLite is relayed from a file that has a path: sqlite+aiosqlite:///path."
        )
    beside = Path(f"{path}-{outbox.channel}.lock")
    file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(file):  # noqa: ASYNC110 - nothing tells that it is free
            await asyncio.sleep(look_seconds)
        async with engine.connect() as connection:
            yield connection
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
