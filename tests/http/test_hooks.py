"""Hooks of the application, which never are in the way."""

import asyncio

from tests.fakes import FakeJournal, FakeSink
from tidewire import Identity, Visit
from tidewire.core.connections import Connection
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.http.hooks import CLOSE_SECONDS, Hooks


def connection() -> Connection:
    reader = Reader(Identity("ann"), FakeSink(), Cursor(Position(1, 0, "abcd")))
    return Connection(reader, "sse", connected_at=0, opened=0.0, client_type="web")


async def test_the_end_of_a_stream_is_told_after_its_beginning_however_long_that_takes() -> None:
    told: list[tuple[str, str | None]] = []
    began, go_on = asyncio.Event(), asyncio.Event()

    async def arrived(visit: Visit) -> None:
        began.set()
        await go_on.wait()
        told.append(("arrived", visit.reason))

    async def left(visit: Visit) -> None:
        told.append(("left", visit.reason))

    hooks = Hooks(FakeJournal(), arrived, left)
    it = connection()
    hooks.connected(it)
    hooks.disconnected(it)
    await began.wait()
    assert told == []
    go_on.set()
    await hooks.close()
    assert told == [("arrived", None), ("left", "left")]


async def test_a_hook_that_fails_is_noted() -> None:
    async def fail(visit: Visit) -> None:
        raise RuntimeError(visit.user_id)

    journal = FakeJournal()
    hooks = Hooks(journal, fail, None)
    hooks.connected(connection())
    await hooks.close()
    assert journal.notes == ["a hook of the application failed"]


async def test_a_hook_that_never_ends_does_not_keep_the_node_from_ending() -> None:
    async def wait(visit: Visit) -> None:
        await asyncio.Event().wait()

    hooks = Hooks(FakeJournal(), wait, None)
    hooks.connected(connection())
    async with asyncio.timeout(CLOSE_SECONDS + 5):
        await hooks.close()
