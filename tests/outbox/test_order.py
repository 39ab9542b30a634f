"""Whatever writers and relays do, in whatever order: each committed event once, and in order."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.orm import Session

from tests.http.server import make_tidewire
from tests.outbox.databases import Database
from tests.outbox.mortal import Steps
from tidewire import Event, Tidewire
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Edge
from tidewire.outbox import Relay

WRITERS = 3
Act = tuple[Literal["add", "commit", "rollback"], int] | tuple[Literal["relay"], int | None]

ACTS: st.SearchStrategy[Act] = st.one_of(
    st.tuples(st.just("add"), st.integers(0, WRITERS - 1)),
    st.tuples(st.just("add"), st.integers(0, WRITERS - 1)),
    st.tuples(st.just("commit"), st.integers(0, WRITERS - 1)),
    st.tuples(st.just("rollback"), st.integers(0, WRITERS - 1)),
    st.tuples(st.just("relay"), st.integers(0, 14) | st.none()),
)


class Died(Exception):
    """The relay has ended in the midst of something."""


@dataclass
class Writer:
    """A transaction that is open, and what it has added."""

    session: Session
    added: list[int] = field(default_factory=list)


@dataclass
class World:
    """A database, a log, and who writes."""

    database: Database
    tidewire: Tidewire
    writers: dict[int, Writer] = field(default_factory=dict)
    committed: list[list[int]] = field(default_factory=list)
    before: dict[int, set[int]] = field(default_factory=dict)
    """For each event: what had been committed when it was added."""

    async def act(self, act: Act) -> None:
        match act:
            case "add", int(who):
                if self.database.is_sqlite and self.writers.keys() - {who}:
                    return  # it has one writer at a time
                writer = self.writers.setdefault(who, Writer(Session(self.database.engine)))
                number = len(self.before)
                self.before[number] = {n for numbers in self.committed for n in numbers}
                self.database.outbox.add(writer.session, Event("number", number))
                writer.session.flush()
                writer.added.append(number)
            case "commit", int(who):
                if who in self.writers:
                    done = self.writers.pop(who)
                    done.session.commit()
                    done.session.close()
                    self.committed.append(done.added)
            case "rollback", int(who):
                if who in self.writers:
                    undone = self.writers.pop(who)
                    undone.session.rollback()
                    undone.session.close()
            case "relay", last:
                if not (self.database.is_sqlite and self.writers):
                    await self.relay(last)

    async def relay(self, last: int | None) -> None:
        """Relays until nothing is left, or until it dies at one of its steps."""

        def end() -> None:
            raise Died

        steps = Steps(last, end)
        engine = self.database.open()
        steps.watch(engine)

        async def publish(events: Sequence[Event], /, *, key: IdempotencyKey) -> None:
            steps.pass_by()
            await self.tidewire.publish(events, key=key)
            steps.pass_by()

        running = asyncio.create_task(Relay(engine, publish, look_seconds=0.005).run())
        empty = asyncio.create_task(self.database.emptied())
        await asyncio.wait({running, empty}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, empty):
            task.cancel()
            with suppress(asyncio.CancelledError, Died):
                await task
        await engine.dispose()

    async def held(self) -> list[Any]:
        node = await self.tidewire.start()
        page = await node.log.read(Edge.EARLIEST, limit=100_000, max_bytes=10**9)
        return [entry.event().data for entry in page.entries]

    async def check(self) -> None:
        for writer in self.writers.values():
            writer.session.rollback()
            writer.session.close()
        await self.relay(None)
        held = await self.held()
        assert sorted(held) == sorted(n for numbers in self.committed for n in numbers)
        place = {number: index for index, number in enumerate(held)}
        for numbers in self.committed:
            assert [place[n] for n in numbers] == sorted(place[n] for n in numbers)
            for number in numbers:
                late = {n for n in self.before[number] if place[n] > place[number]}
                assert not late, f"{late} had been committed before {number} was added: {held}"


@pytest.mark.parametrize("database", ["sqlite", "asyncpg"], indirect=True)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=25))
async def test_each_committed_event_is_published_once_and_in_order(
    database: Database, acts: list[Act]
) -> None:
    with database.engine.begin() as connection:
        connection.execute(delete(database.outbox.table))
    tidewire = make_tidewire()
    await tidewire.start()
    world = World(database, tidewire)
    try:
        for act in acts:
            await world.act(act)
        await world.check()
    finally:
        await tidewire.stop()


def write(database: Database, writer: int, luck: random.Random) -> list[list[str]]:
    """Forty transactions, some of which are rolled back; returns what was committed."""
    committed = []
    for number in range(40):
        names = [f"{writer}/{number}/{part}" for part in range(luck.randint(1, 4))]
        with Session(database.engine) as session:
            for name in names:
                database.outbox.add(session, Event("name", name))
                if luck.random() < 0.5:
                    session.flush()
            if luck.random() < 0.25:
                session.rollback()
            else:
                session.commit()
                committed.append(names)
    return committed


async def test_concurrent_writers_while_relays_come_and_go(database: Database) -> None:
    tidewire = make_tidewire()
    await tidewire.start()
    world = World(database, tidewire)
    writing = [
        asyncio.create_task(asyncio.to_thread(write, database, who, random.Random(who)))  # noqa: S311
        for who in range(6)
    ]
    luck = random.Random(7)  # noqa: S311
    while not all(task.done() for task in writing):
        await world.relay(luck.randrange(30))
    await world.relay(None)
    held = await world.held()
    await tidewire.stop()
    place = {name: index for index, name in enumerate(held)}
    assert len(place) == len(held), "something came twice"
    for task in writing:
        mine = [name for names in await task for name in names]
        assert [place.pop(name) for name in mine] == sorted(place_of(held, mine))
    assert not place, "something came that was rolled back"


def place_of(held: list[Any], names: list[str]) -> list[int]:
    found = {name: index for index, name in enumerate(held)}
    return [found[name] for name in names]
