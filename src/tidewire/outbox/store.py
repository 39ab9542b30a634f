"""The statements by which a relay moves rows: waiting → sealed → gone, or set aside."""

import asyncio
import secrets
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import CursorResult, Row, Table, delete, func, inspect, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError, TidewireError
from tidewire.core.event import Event
from tidewire.outbox.batch import MAX_CHARACTERS, MAX_EVENTS, Batch, grouped
from tidewire.outbox.record import decode

MAX_PROBLEM_CHARACTERS: Final = 2_000

Result = TypeVar("Result")


class Store:
    """The table, by the connection of the relay that leads.

    Each step is one transaction, and says all that there is to say: whoever leads next goes on
    from there.
    """

    def __init__(self, connection: AsyncConnection, table: Table, *, clock: Clock) -> None:
        self._connection = connection
        self._table = table
        self._clock = clock
        self._in_thread = connection.dialect.name == "sqlite"

    async def check(self) -> None:
        """Passes where there is such a table.

        Raises:
            ConfigurationError: there is none.
        """
        table = self._table

        def found(connection: object) -> bool:
            return inspect(self._connection.sync_connection).has_table(
                table.name, schema=table.schema
            )

        async with self._connection.begin():
            if not await self._connection.run_sync(found):
                raise ConfigurationError(
                    f"The database has no table {table.fullname}. Make it by a migration, or by "
                    "metadata.create_all(engine)."
                )

    async def sealed(self) -> list[Batch]:
        """What was sealed before: it may have been published, or not."""
        return await self._step(self._sealed())

    async def _sealed(self) -> list[Batch]:
        c = self._table.c
        found = select(c.id, c.batch, c.sealed_at, c.event).where(c.batch.is_not(None))
        async with self._connection.begin():
            rows = (await self._connection.execute(found)).all()
            good = await self._decoded([(row.id, row.event) for row in rows])
        return grouped(
            [(row.id, row.batch, row.sealed_at, good[row.id]) for row in rows if row.id in good]
        )

    async def advance(self, done: Sequence[int] = (), *, limit: int = MAX_EVENTS) -> Batch | None:
        """Forgets rows that were published, and seals the next, in one transaction.

        Args:
            done: the ids of those that were.
            limit: so many at most.

        Returns:
            What is to be published now; None if nothing waits.
        """
        return await self._step(self._advance(done, limit))

    async def _advance(self, done: Sequence[int], limit: int) -> Batch | None:
        name = secrets.token_hex(16)
        sealed_at = self._clock.now()
        async with self._connection.begin():
            if done:
                await self._connection.execute(
                    delete(self._table).where(self._table.c.id.in_(done))
                )
            rows: Iterable[Row[tuple[int, str]]] = await self._seal(name, sealed_at, limit)
            # The database returns them in any order.
            texts = sorted((row.id, row.event) for row in rows)
            events = await self._decoded(texts)
        if not events:
            # All that was sealed was bad, or nothing was.
            return await self._advance((), limit) if texts else None
        return Batch(name, sealed_at, tuple(events), tuple(events.values()))

    async def release(self, ids: Sequence[int]) -> None:
        """Lets sealed rows wait again, to be published otherwise."""
        await self._step(self._release(ids))

    async def set_aside(self, id_: int, reason: str, *, release: Sequence[int]) -> None:
        """Keeps a row that cannot be published, with the reason, and lets others wait again."""
        await self._step(self._release(release, but=(id_, reason)))

    async def _release(self, ids: Sequence[int], *, but: tuple[int, str] | None = None) -> None:
        async with self._connection.begin():
            await self._connection.execute(
                update(self._table)
                .where(self._table.c.id.in_(ids))
                .values(batch=None, sealed_at=None)
            )
            if but is not None:
                await self._set_aside(*but)

    async def _seal(self, name: str, sealed_at: int, limit: int) -> CursorResult[tuple[int, str]]:
        c = self._table.c
        waiting = (
            select(c.id, c.event)
            .where(c.batch.is_(None), c.problem.is_(None))
            .order_by(c.id)
            .limit(limit)
            # One who led until a moment ago may still be at it. SQLite has one writer anyway.
            .with_for_update()
            .cte("waiting")
        )
        sized = select(
            waiting.c.id,
            func.row_number().over(order_by=waiting.c.id).label("number"),
            func.sum(func.length(waiting.c.event)).over(order_by=waiting.c.id).label("total"),
        ).cte("sized")
        chosen = select(sized.c.id).where(or_(sized.c.number == 1, sized.c.total <= MAX_CHARACTERS))
        return await self._connection.execute(
            update(self._table)
            .where(c.id.in_(chosen), c.batch.is_(None))
            .values(batch=name, sealed_at=sealed_at)
            .returning(c.id, c.event)
        )

    async def _decoded(self, texts: Sequence[tuple[int, str]]) -> dict[int, Event]:
        """The events of rows, by their ids; those that are none are set aside."""
        good = {}
        for id_, text in texts:
            try:
                good[id_] = decode(text)
            except TidewireError as error:
                await self._set_aside(id_, error.detail)
        return good

    async def _set_aside(self, id_: int, reason: str) -> None:
        await self._connection.execute(
            update(self._table)
            .where(self._table.c.id == id_)
            .values(batch=None, sealed_at=None, problem=reason[:MAX_PROBLEM_CHARACTERS])
        )

    async def _step(self, step: Coroutine[Any, Any, Result]) -> Result:
        """Carries out a step, and ends when it has ended."""
        if not self._in_thread:
            return await step
        # What a thread does goes on when nobody waits for it any more. Who leads next must not find
        # it half done.
        task = asyncio.create_task(step)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.gather(task, return_exceptions=True)
            raise
