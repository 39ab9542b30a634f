"""A relay publishes what was committed, and forgets it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from tests.http.server import make_tidewire
from tests.outbox.databases import Database, within
from tests.outbox.postgres import Postgres, postgres
from tests.waiting import until
from tidewire import Event, Tidewire, TidewireError
from tidewire.client import Unreachable
from tidewire.core.errors import ConfigurationError, EventTooLarge, InvalidEvent
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Edge
from tidewire.outbox import Relay
from tidewire.outbox.bell import Bell

POSTGRES = pytest.mark.parametrize("database", ["asyncpg", "psycopg"], indirect=True)
NEVER = 600.0
"""Seconds in which a relay looks by itself, where a test shows that it need not."""


@pytest.fixture
async def tidewire() -> AsyncIterator[Tidewire]:
    made = make_tidewire()
    await made.start()
    yield made
    await made.stop()


class Recorder:
    """Publishes nothing, and remembers what it was asked to. May fail first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = [*failures]
        self.asked: list[tuple[IdempotencyKey, list[Any]]] = []
        self.published: list[Any] = []

    async def __call__(self, events: Sequence[Event], /, *, key: IdempotencyKey) -> None:
        numbers = [each.data for each in events]
        self.asked.append((key, numbers))
        if self.failures:
            raise self.failures.pop(0)
        self.published += numbers


def add(database: Database, *numbers: int) -> None:
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, *(Event("number", number) for number in numbers))


async def held(tidewire: Tidewire) -> list[Any]:
    """The payloads of all that the log holds."""
    node = await tidewire.start()
    page = await node.log.read(Edge.EARLIEST, limit=100_000, max_bytes=10**9)
    return [entry.event().data for entry in page.entries]


async def test_what_was_committed_is_published_in_order_and_gone(
    database: Database, tidewire: Tidewire
) -> None:
    add(database, *range(1200))
    async with Relay(database.open(), tidewire.publish):
        await database.emptied()
        add(database, 1200)
        await database.emptied()
    assert await held(tidewire) == [*range(1201)]


async def test_targets_priority_and_metadata_arrive(database: Database, tidewire: Tidewire) -> None:
    added = Event("news", {"a": 1}, "high", "shop", {"userIds": ["alice"], "correlationId": "c"})
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, added)
    async with Relay(database.open(), tidewire.publish):
        await database.emptied()
    node = await tidewire.start()
    (entry,) = (await node.log.read(Edge.EARLIEST)).entries
    assert entry.fresh() == added


class Doze:
    """Tells when a relay has nothing to do but to wait for the bell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bell: Bell | None = None
        self._rings = 0
        wait, ring = Bell.wait, Bell.ring

        async def waiting(bell: Bell, seconds: float) -> None:
            self._bell = bell
            await wait(bell, seconds)
            self._bell = None

        def ringing(bell: Bell, *rest: object) -> None:
            self._rings += 1
            ring(bell, *rest)

        monkeypatch.setattr(Bell, "wait", waiting)
        monkeypatch.setattr(Bell, "ring", ringing)

    async def begins(self) -> None:
        """Returns when it waits, and PostgreSQL was told that it wants to be woken."""
        await until(lambda: self._bell is not None and self._rings > 0 and not self._bell.has_rung)


@POSTGRES
async def test_postgresql_wakes_it_when_a_transaction_commits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, doze = Recorder(), Doze(monkeypatch)
    engine = database.open()
    async with Relay(database.open(), recorder, look_seconds=NEVER):
        await doze.begins()
        # More than once by each way: connections come back from the pool.
        for number in range(3):
            add(database, number)
            await until(lambda told=number: recorder.published[-1:] == [told])  # type: ignore[misc]
            await doze.begins()
        for number in range(3, 6):
            async with engine.begin() as connection:
                await connection.run_sync(database.outbox.add, Event("number", number))
            await until(lambda told=number: recorder.published[-1:] == [told])  # type: ignore[misc]
            await doze.begins()
    assert recorder.published == [*range(6)]


@POSTGRES
async def test_a_notification_that_a_savepoint_took_back_is_sent_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, doze = Recorder(), Doze(monkeypatch)
    async with Relay(database.open(), recorder, look_seconds=NEVER):
        for number in range(0, 20, 2):
            await doze.begins()
            with Session(database.engine) as session, session.begin():
                savepoint = session.begin_nested()
                database.outbox.add(session, Event("number", number))
                session.flush()
                savepoint.rollback()
                database.outbox.add(session, Event("number", number + 1))
            await until(lambda told=number + 1: recorder.published[-1:] == [told])  # type: ignore[misc]
    assert recorder.published == [*range(1, 20, 2)]


@POSTGRES
async def test_a_lost_notification_costs_no_event(database: Database) -> None:
    recorder = Recorder()
    async with Relay(database.open(), recorder, look_seconds=0.05):
        with database.engine.begin() as connection:
            connection.execute(
                text("INSERT INTO tidewire_outbox (event) VALUES (:e)"),
                {"e": '{"type": "number", "data": 1}'},
            )
        await database.emptied()
    assert recorder.published == [1]


async def test_of_several_relays_one_publishes(database: Database) -> None:
    recorders = [Recorder() for _ in range(3)]
    relays = [Relay(database.open(), each, look_seconds=0.02) for each in recorders]
    async with relays[0], relays[1], relays[2]:
        for number in range(30):
            add(database, number)
            await database.emptied()
    assert sorted(len(each.published) for each in recorders) == [0, 0, 30]


async def test_when_the_one_that_leads_ends_another_goes_on(database: Database) -> None:
    first, second = Recorder(), Recorder()
    async with Relay(database.open(), first, look_seconds=0.02):
        add(database, 1)
        await database.emptied()
        follower = asyncio.create_task(Relay(database.open(), second, look_seconds=0.02).run())
        add(database, 2)
        await database.emptied()
    add(database, 3)
    await database.emptied()
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    assert (first.published, second.published) == ([1, 2], [3])


@POSTGRES
async def test_one_that_loses_its_connection_while_it_publishes_seals_nothing_more(
    database: Database, tidewire: Tidewire
) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(events: Sequence[Event], /, *, key: IdempotencyKey) -> None:
        inside.set()
        await go_on.wait()
        await tidewire.publish(events, key=key)

    add(database, 1, 2)
    first = asyncio.create_task(Relay(database.open(), slowly, look_seconds=NEVER).run())
    await inside.wait()
    with database.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    async with Relay(database.open(), tidewire.publish, look_seconds=0.02):
        await database.emptied()
        add(database, 3)
        await database.emptied()
        # Too late, and under the same name: it changes nothing.
        go_on.set()
        add(database, 4)
        await database.emptied()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await held(tidewire) == [1, 2, 3, 4]


async def test_what_fails_is_tried_again_under_the_same_key(database: Database) -> None:
    recorder = Recorder(Unreachable("Gone."), Unreachable("Still gone."), TidewireError("No."))
    add(database, 1, 2)
    async with Relay(database.open(), recorder):
        await until(lambda: len(recorder.asked) >= 3)
        add(database, 3)
        await database.emptied()
    assert [numbers for _, numbers in recorder.asked] == [[1, 2]] * 4 + [[3]]
    assert len({key for key, _ in recorder.asked}) == 2


async def test_an_event_that_is_refused_is_set_aside_and_the_others_are_published(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(InvalidEvent("It is bad.", index=1))
    add(database, 1, 2, 3)
    async with Relay(database.open(), recorder):
        await until(lambda: len(recorder.published) == 2)
        await until(lambda: database.waiting() == 1)
        table = database.outbox.table
        with database.engine.connect() as connection:
            row = connection.execute(select(table)).one()
        assert (row.problem, row.batch, row.sealed_at) == ("It is bad.", None, None)
        assert f"row {row.id} cannot be published" in caplog.text
        # It was mended; or the server was.
        with database.engine.begin() as connection:
            connection.execute(table.update().values(problem=None))
        await database.emptied()
    assert recorder.published == [1, 3, 2]


async def test_a_row_that_is_no_event_is_set_aside(database: Database, tidewire: Tidewire) -> None:
    with database.engine.begin() as connection:
        for bad in ("no JSON", '{"type": "ping"}'):
            connection.execute(database.outbox.table.insert().values(event=bad))
    add(database, 1)
    async with Relay(database.open(), tidewire.publish):
        await until(lambda: database.waiting() == 2)
        add(database, 2)
        await until(lambda: database.waiting() == 2)
    assert await held(tidewire) == [1, 2]
    with database.engine.connect() as connection:
        problems = [*connection.scalars(select(database.outbox.table.c.problem))]
    assert "JSON" in problems[0]
    assert "reserved" in problems[1]


async def test_what_is_too_much_for_one_request_is_published_in_several(
    database: Database,
) -> None:
    asked: list[int] = []
    published: list[Any] = []

    async def publish(events: Sequence[Event], /, *, key: IdempotencyKey) -> None:
        asked.append(len(events))
        if len(events) > 3:
            raise EventTooLarge("A proxy takes three.")
        published.extend(each.data for each in events)

    add(database, *range(20))
    async with Relay(database.open(), publish):
        await database.emptied()
    assert published == [*range(20)]
    assert asked[:4] == [20, 10, 5, 2]


async def test_a_batch_has_a_bound_of_characters_too(database: Database) -> None:
    recorder = Recorder()
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, *(Event("blob", "x" * 100_000) for _ in range(5)))
    async with Relay(database.open(), recorder):
        await database.emptied()
    assert [len(numbers) for _, numbers in recorder.asked] == [2, 2, 1]


async def test_a_table_that_is_not_there_is_an_error_that_says_so(database: Database) -> None:
    database.metadata.drop_all(database.engine)
    with pytest.raises(ConfigurationError, match="no table tidewire_outbox"):
        await asyncio.wait_for(Relay(database.open(), Recorder()).run(), 10)


async def test_a_database_of_another_kind_is_refused() -> None:
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    with pytest.raises(ConfigurationError, match="a file that has a path"):
        await asyncio.wait_for(Relay(engine, Recorder()).run(), 10)
    engine.dialect.name = "mysql"
    with pytest.raises(ConfigurationError, match="mysql"):
        await asyncio.wait_for(Relay(engine, Recorder()).run(), 10)


async def test_a_mistake_in_what_publishes_is_raised_and_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    add(database, 1)
    # The second looks like one of the database.
    for mistake in (ZeroDivisionError(), ConnectionError()):
        with pytest.raises(type(mistake)):
            await asyncio.wait_for(Relay(database.open(), Recorder(mistake)).run(), 10)
    async with Relay(database.open(), Recorder(ZeroDivisionError("a mistake"))):
        await until(lambda: "relayed no more: a mistake" in caplog.text)
    recorder = Recorder()
    async with Relay(database.open(), recorder):
        await database.emptied()
    assert recorder.published == [1]


async def test_a_repeat_that_comes_too_late_to_be_known_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    add(database, 1)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(Relay(database.open(), Recorder(ZeroDivisionError())).run(), 10)
    table = database.outbox.table
    with database.engine.begin() as connection:
        connection.execute(table.update().values(sealed_at=table.c.sealed_at - 601_000))
    async with Relay(database.open(), Recorder()):
        await database.emptied()
    assert "may be published twice" in caplog.text


async def test_what_was_published_in_time_is_told_nothing_about(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    add(database, 1)
    with caplog.at_level(logging.WARNING):
        async with Relay(database.open(), Recorder()):
            await database.emptied()
    assert caplog.text == ""


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_it_outlives_its_database(driver: str, tidewire: Tidewire) -> None:
    # A cluster of its own: others need theirs.
    with postgres() as server, within(server, "shop", driver) as database:
        try:
            add(database, 1)
            async with Relay(database.open(), tidewire.publish, look_seconds=0.1):
                await database.emptied()
                await asyncio.to_thread(restart, server)
                # The pool of the test's own engine has connections that are gone.
                database.engine.dispose()
                add(database, 2)
                await database.emptied(20)
                # The bell rings again, too.
            assert await held(tidewire) == [1, 2]
        finally:
            await database.close()


def restart(server: Postgres) -> None:
    server.kill()
    server.start()


@POSTGRES
async def test_one_that_waits_holds_no_transaction_open(database: Database) -> None:
    async with (
        Relay(database.open(), Recorder(), look_seconds=0.05),
        Relay(database.open(), Recorder(), look_seconds=0.05),
    ):
        add(database, 1)
        await database.emptied()
        # There is one for each statement, and for a moment only.
        await until(lambda: open_transactions(database) == 0)


def open_transactions(database: Database) -> int:
    asked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
    )
    with database.engine.connect() as connection:
        return int(connection.scalar(asked) or 0)


@POSTGRES
@pytest.mark.parametrize(
    "setting",
    ["statement_timeout = 300", "lock_timeout = 300", "default_transaction_read_only = on"],
)
async def test_what_the_database_refuses_for_now_is_tried_again(
    database: Database, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    add(database, 1)
    name = database.engine.url.database
    with database.engine.connect() as free:
        # It began before, so the setting is none of its own.
        free.execute(text(f"ALTER DATABASE {name} SET {setting}"))
        free.commit()
        free.execute(text("LOCK TABLE tidewire_outbox IN ACCESS EXCLUSIVE MODE"))
        async with Relay(database.open(), recorder, look_seconds=0.05):
            if "read_only" in setting:
                free.rollback()
            await until(lambda: caplog.text.count("it is tried again") >= 2)
            assert recorder.published == []
            free.rollback()
            free.execute(text(f"ALTER DATABASE {name} RESET {setting.split()[0]}"))
            free.commit()
            await until(lambda: recorder.published == [1])
            await database.emptied()


@POSTGRES
async def test_what_the_database_does_not_understand_is_an_error(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE tidewire_outbox RENAME COLUMN batch TO bunch"))
    with pytest.raises(ProgrammingError, match="batch"):
        await asyncio.wait_for(Relay(database.open(), Recorder()).run(), 10)
