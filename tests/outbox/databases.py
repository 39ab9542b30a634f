"""Databases with an outbox, and what tests ask of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests.outbox.postgres import Postgres
from tests.waiting import until
from tidewire.outbox import Outbox

KINDS = ("sqlite", "asyncpg", "psycopg")


class Database:
    """A database of its own, with an outbox and a table of orders."""

    def __init__(self, url: str, async_url: str) -> None:
        self.url = url
        self.async_url = async_url
        self.metadata = MetaData()
        self.orders = Table(
            "orders",
            self.metadata,
            Column("id", Integer, primary_key=True),
            Column("customer", String),
        )
        self.outbox = Outbox(self.metadata)
        self.engine: Engine = create_engine(url)
        self._opened: list[AsyncEngine] = []
        self.metadata.create_all(self.engine)

    @property
    def is_sqlite(self) -> bool:
        return make_url(self.url).get_backend_name() == "sqlite"

    def open(self) -> AsyncEngine:
        """Another engine, for the running event loop."""
        opened = create_async_engine(self.async_url)
        self._opened.append(opened)
        return opened

    def waiting(self) -> int:
        """How many rows the outbox has."""
        with self.engine.connect() as connection:
            count = connection.scalar(select(func.count()).select_from(self.outbox.table))
        return int(count or 0)

    def texts(self) -> list[str]:
        with self.engine.connect() as connection:
            table = self.outbox.table
            return [*connection.scalars(select(table.c.event).order_by(table.c.id))]

    async def emptied(self, seconds: float = 10.0) -> None:
        """Returns when all is relayed."""
        await until(lambda: self.waiting() == 0, seconds)

    async def close(self) -> None:
        for engine in self._opened:
            await engine.dispose()
        self.engine.dispose()


def sqlite(folder: Path) -> Database:
    """In a file, with a write-ahead log, as servers use it."""
    path = folder / "shop.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return Database(f"sqlite:///{path}", f"sqlite+aiosqlite:///{path}")


@contextmanager
def within(server: Postgres, name: str, driver: str) -> Iterator[Database]:
    """A database of this name in a cluster, which is dropped afterwards."""
    admin = create_engine(
        server.url("psycopg", "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield Database(server.url("psycopg", name), server.url(driver, name))
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
