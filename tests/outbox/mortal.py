"""A relay in a process of its own, which can be told at which of its steps to die."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import MetaData, event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tidewire.client import Publisher
from tidewire.core.event import Event
from tidewire.outbox import Outbox, Relay

# Forked from a process that has imported it all: there are many of them.
_CONTEXT: Final = multiprocessing.get_context("forkserver")


def die() -> None:
    """As a lost machine does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Steps:
    """Counts the steps of a relay, and dies before one of them."""

    def __init__(self, last: int | None, end: Callable[[], None] = die) -> None:
        self._left = last
        self._end = end

    def pass_by(self, *_: object) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._left = None
                self._end()

    def watch(self, engine: AsyncEngine) -> None:
        """Each statement and each commit is a step; what SQLAlchemy asks the catalogue is none."""

        def executing(connection: Any, cursor: object, statement: str, *_: object) -> None:
            if not any(word in statement for word in ("pg_catalog", "show ", "current_schema")):
                self.pass_by()

        event.listen(engine.sync_engine, "before_cursor_execute", executing)
        event.listen(engine.sync_engine, "commit", self.pass_by)


class DyingPublisher:
    """Publishes over HTTP; before it and after it is a step each."""

    def __init__(self, publisher: Publisher, steps: Steps) -> None:
        self._publisher = publisher
        self._steps = steps

    def publish(self, events: Sequence[Event], /, *, key: str) -> list[str]:
        self._steps.pass_by()
        ids = self._publisher.publish(events, key=key)
        self._steps.pass_by()
        return ids


def relay_until_empty(database: str, server: str, token: str, last: int | None) -> None:
    """What the process does: relays until nothing is left, or until it dies."""
    asyncio.run(_relay(database, server, token, last))


async def _relay(database: str, server: str, token: str, last: int | None) -> None:
    steps = Steps(last)
    outbox = Outbox(MetaData())
    engine, looker = (create_async_engine(database, poolclass=NullPool) for _ in range(2))
    steps.watch(engine)
    count = select(func.count()).select_from(outbox.table)
    with Publisher(server, token=token) as publisher:
        async with Relay(engine, DyingPublisher(publisher, steps), outbox=outbox):
            left = 1
            while left:
                await asyncio.sleep(0.01)
                async with looker.connect() as connection:
                    left = await connection.scalar(count) or 0


class MortalRelay:
    """The process."""

    def __init__(self, database: str, server: str, token: str, last: int | None = None) -> None:
        _CONTEXT.set_forkserver_preload([__name__, "aiosqlite", "asyncpg", "psycopg"])
        self._process = _CONTEXT.Process(
            target=relay_until_empty, args=(database, server, token, last), daemon=True
        )

    def start(self) -> None:
        self._process.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.join(10)

    def ended(self, seconds: float = 20.0) -> bool:
        """Waits for the end. Returns whether it got so far that it could end by itself."""
        self._process.join(seconds)
        code = self._process.exitcode
        assert code in (0, -signal.SIGKILL), code
        return code == 0
