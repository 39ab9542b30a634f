"""What comes into the outbox is what the transaction commits."""

import json
from typing import Any

import pytest
from sqlalchemy import MetaData, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.outbox.databases import Database
from tidewire import Event, notification, outbox
from tidewire.core.errors import ConfigurationError
from tidewire.outbox import Outbox


def numbers(database: Database) -> list[Any]:
    return [json.loads(each)["data"] for each in database.texts()]


def numbered(*which: int) -> list[Event]:
    return [Event("number", number) for number in which]


def test_what_is_committed_is_there_in_its_order_and_what_is_rolled_back_is_not(
    database: Database,
) -> None:
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, *numbered(*range(40)))
        session.flush()
        database.outbox.add(session, *numbered(40, 41))
    with Session(database.engine) as session:
        database.outbox.add(session, *numbered(100))
        session.flush()
        session.rollback()
    assert numbers(database) == [*range(42)]


def test_what_a_savepoint_takes_back_is_not_there(database: Database) -> None:
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, *numbered(1))
        savepoint = session.begin_nested()
        database.outbox.add(session, *numbered(2))
        session.flush()
        savepoint.rollback()
        database.outbox.add(session, *numbered(3))
    assert numbers(database) == [1, 3]


def test_it_stands_and_falls_with_what_else_the_transaction_writes(database: Database) -> None:
    def order(customer: str) -> None:
        with Session(database.engine) as session, session.begin():
            database.outbox.add(session, Event("order", customer))
            session.execute(insert(database.orders).values(id=1, customer=customer))

    order("alice")
    with pytest.raises(Exception, match=r"(?i)unique"):
        order("bob")
    assert numbers(database) == ["alice"]


def test_a_connection_takes_it_too(database: Database) -> None:
    with database.engine.begin() as connection:
        database.outbox.add(connection, *numbered(1, 2))
    with database.engine.connect() as connection:
        database.outbox.add(connection, *numbered(3))
    assert numbers(database) == [1, 2]


async def test_asynchronous_sessions_and_connections_take_it(database: Database) -> None:
    engine = database.open()
    async with AsyncSession(engine) as session, session.begin():
        database.outbox.add(session, *numbered(1, 2))
    async with AsyncSession(engine) as session:
        database.outbox.add(session, *numbered(3))
        await session.rollback()
    async with engine.begin() as connection:
        await connection.run_sync(database.outbox.add, *numbered(4))
    assert numbers(database) == [1, 2, 4]


def test_what_is_no_event_to_publish_is_refused_when_it_is_added(database: Database) -> None:
    with Session(database.engine) as session:
        with pytest.raises(ValueError, match="no event"):
            database.outbox.add(session)
        with pytest.raises(ValueError, match="in a log already"):
            database.outbox.add(session, Event("news", id="1-1-abcd", timestamp=1))
        with pytest.raises(TypeError, match="run_sync"):
            database.outbox.add(database.engine, Event("news"))  # type: ignore[arg-type]
        session.commit()
    assert numbers(database) == []


def test_other_programs_write_plain_rows(database: Database) -> None:
    wire = json.dumps({"type": "news", "data": 1, "metadata": {"roles": ["EDITOR"]}})
    with database.engine.begin() as connection:
        connection.execute(text("INSERT INTO tidewire_outbox (event) VALUES (:e)"), {"e": wire})
    assert numbers(database) == [1]


def test_targets_are_kept(database: Database) -> None:
    with Session(database.engine) as session, session.begin():
        database.outbox.add(session, notification("a", "b", users=["bob", "alice"]))
    assert json.loads(database.texts()[0])["metadata"] == {"userIds": ["alice", "bob"]}


def test_several_outboxes_live_side_by_side() -> None:
    first, second = Outbox(MetaData()), Outbox(MetaData(), name="other", schema="shop")
    assert second.channel == "shop.other"
    assert first.lock != second.lock
    assert -(2**63) <= first.lock < 2**63


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="63 bytes"):
        Outbox(MetaData(), name="n" * 64)


def test_every_public_name_is_there_and_is_shown() -> None:
    assert {*outbox.__all__} <= {*dir(outbox)}
    assert all(getattr(outbox, name) is not None for name in outbox.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Inbox'"):
        _ = outbox.Inbox
