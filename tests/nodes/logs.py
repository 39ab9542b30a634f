"""Logs with a fallback, each with a way to Redis that fails when a test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes import FakeJournal
from tests.tcpproxy import Proxy
from tests.waiting import until
from tidewire.core.clock import Clock
from tidewire.core.log import EventLog
from tidewire.core.position import Edge
from tidewire.logs import Retention
from tidewire.logs.fallback import FallbackLog, State
from tidewire.logs.link import connector
from tidewire.logs.redis import RedisLog
from tidewire.logs.spool import Bound


@dataclass
class Node:
    """A log with a way to Redis of its own."""

    log: FallbackLog
    proxy: Proxy
    journal: FakeJournal

    async def leave(self) -> None:
        """Redis goes away, and the log knows."""
        self.proxy.refuse()
        await until(lambda: self.log.log.hearing.away is not None)

    async def come_back(self) -> None:
        self.proxy.pass_on()
        await self.home()

    async def home(self) -> None:
        """Until everything is in the log that all share."""
        await until(
            lambda: self.log.state is State.SHARED and self.log.log.hearing.away is None, 15
        )


def log_at(
    port: int,
    name: str,
    *,
    journal: FakeJournal | None = None,
    folder: Path | None = None,
    bound: Bound | None = None,
    clock: Clock | None = None,
) -> FallbackLog:
    shared = RedisLog(connector(f"redis://127.0.0.1:{port}"), Retention(), name=name)
    return FallbackLog(
        shared, journal=journal or FakeJournal(), folder=folder, bound=bound, clock=clock
    )


@asynccontextmanager
async def a_node(proxy: Proxy, name: str, **more: Any) -> AsyncIterator[Node]:
    journal = FakeJournal()
    log = log_at(proxy.port, name, journal=journal, **more)
    await log.open()
    try:
        yield Node(log, proxy, journal)
    finally:
        await log.close()


async def held(log: EventLog) -> list[tuple[str, int]]:
    """What the log holds: ids and numbers."""
    page = await log.read(Edge.EARLIEST, limit=1 << 20, max_bytes=1 << 30)
    return [(entry.id, entry.event().data["n"]) for entry in page.entries]
