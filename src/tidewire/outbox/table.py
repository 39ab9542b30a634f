"""The table in which events wait, and how they come into it."""

import hashlib
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.orm import Mapper, Session, registry, scoped_session

from tidewire.core.errors import ConfigurationError
from tidewire.core.event import Event
from tidewire.outbox.record import encode

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

NAME: Final = "tidewire_outbox"
MAX_NAME_BYTES: Final = 63
"""PostgreSQL cuts longer names."""

_NOTIFIED: Final = "tidewire.outbox.notified"


class Outbox:
    """A table of events that wait to be published.

    It stands in your metadata, so that your migrations make it. Programs in other languages may
    write to it, too: ``INSERT INTO tidewire_outbox (event) VALUES ('{"type": "news", …}')``.

    Attributes:
        table: ``id``; ``event``, the JSON of the event; ``created_at``; ``batch``, the name under
            which it is being published, and ``sealed_at``, since when (Unix milliseconds);
            ``problem``, why it cannot be published.
    """

    def __init__(
        self,
        metadata: MetaData,
        *,
        name: str = NAME,
        schema: str | None = None,
        notify: bool = True,
    ) -> None:
        """Adds the table to the metadata.

        Args:
            metadata: yours, such as ``Base.metadata``.
            name: of the table.
            schema: where it stands, if not in the default one.
            notify: on PostgreSQL, whether an add wakes the relay by NOTIFY. Transactions that do
                so commit one after another, and cannot be prepared (two-phase commit); without it
                the relay finds them when it looks, twice a second.

        Raises:
            ConfigurationError: the name is too long for a channel of PostgreSQL.
            sqlalchemy.exc.InvalidRequestError: the metadata has a table of this name.
        """
        self.table = Table(
            name,
            metadata,
            # SQLite numbers only what is an INTEGER; and without AUTOINCREMENT it would give the
            # numbers of rows that are gone to later ones.
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
            Column("event", Text, nullable=False),
            Column(
                "created_at", DateTime(timezone=True), nullable=False, server_default=func.now()
            ),
            Column("batch", String(32)),
            Column("sealed_at", BigInteger),
            Column("problem", Text),
            schema=schema,
            sqlite_autoincrement=True,
        )
        if len(self.channel.encode()) > MAX_NAME_BYTES:
            raise ConfigurationError(f"{self.channel!r} is longer than {MAX_NAME_BYTES} bytes.")
        self.notify = notify
        # Of its own, so that several metadata may have an outbox.
        self._row: Any = type("OutboxRow", (), {})
        mapper: Mapper[Any] = registry(metadata=metadata).map_imperatively(self._row, self.table)
        event.listen(mapper, "after_insert", self._after_insert)

    @property
    def channel(self) -> str:
        """Where PostgreSQL tells of new rows."""
        return self.table.fullname

    @property
    def lock(self) -> int:
        """The advisory lock of PostgreSQL that the relay which leads has: a bigint."""
        digest = hashlib.sha256(f"tidewire outbox {self.channel}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    def add(
        self,
        session: "Session | scoped_session[Any] | AsyncSession | async_scoped_session[Any] "
        "| Connection",
        *events: Event,
    ) -> None:
        """Adds events to the transaction: if it commits they are published, in this order, and if
        it is rolled back they never were.

        A session writes them when it flushes; a connection at once. With an asynchronous
        connection: ``await connection.run_sync(outbox.add, event)``.

        Raises:
            ValueError: there are no events, or one is in a log already.
            TypeError: that is neither a session nor a connection.
        """
        if not events:
            raise ValueError("there is no event to add")
        texts = [encode(each) for each in events]
        if isinstance(session, Connection):
            session.execute(insert(self.table), [{"event": text} for text in texts])
            self._tell(session)
        elif callable(add := getattr(session, "add", None)):
            for text in texts:
                row = self._row()
                row.event = text
                add(row)
        else:
            raise TypeError(
                f"An event is added to a session or a connection, not to {session!r}. With an "
                "asynchronous connection: await connection.run_sync(outbox.add, event)."
            )

    def _after_insert(self, mapper: Mapper[Any], connection: Connection, row: object) -> None:
        # Once for each transaction is enough, and for each part of one that may be rolled back.
        here = connection.get_nested_transaction() or connection.get_transaction()
        if connection.info.get(_NOTIFIED) is not here:
            connection.info[_NOTIFIED] = here
            self._tell(connection)

    def _tell(self, connection: Connection) -> None:
        # It arrives when the transaction commits.
        if self.notify and connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_notify(self.channel, "")))
