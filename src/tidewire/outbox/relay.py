"""The relay: takes what was committed from the table, and publishes it."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol, Self, assert_never

from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from tidewire.client.backoff import Backoff
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import TidewireError
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey
from tidewire.outbox.batch import MAX_EVENTS, Again, Batch, Done, SetAside, Split, Verdict, judged
from tidewire.outbox.bell import Bell, bell
from tidewire.outbox.lead import leading
from tidewire.outbox.store import Store
from tidewire.outbox.table import Outbox

LOOK_SECONDS: Final = 0.5
BACKOFF: Final = Backoff(200, 30_000)

_MISTAKEN: Final = "42"
"""The class of SQLSTATEs of what PostgreSQL does not understand or permit."""

_LOGGER: Final = logging.getLogger("tidewire.outbox")


class Publish(Protocol):
    """Publishes, all or nothing and in order: ``Tidewire.publish``."""

    def __call__(self, events: Sequence[Event], /, *, key: IdempotencyKey) -> Awaitable[object]: ...


class Publishing(Protocol):
    """One that publishes, and returns when it is done: a ``tidewire.client.Publisher``."""

    def publish(self, events: Sequence[Event], /, *, key: str) -> object: ...


class Relay:
    """Publishes what stands in an outbox, and then forgets it.

        async with Relay(engine, tidewire.publish):
            yield

    Any number may run, in as many processes: one leads, and the others wait for its place. While
    nothing can be published, or the database cannot be reached, it tries again, for ever.

    **What is promised.** Each committed event is published; and once, unless a repeat is needed
    later than ten minutes after the first attempt: then, perhaps, twice. What one transaction
    added is published in the order in which it was added, and after all that was committed before
    it was added.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        publish: Publish | Publishing,
        *,
        outbox: Outbox | None = None,
        look_seconds: float = LOOK_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        """Prepares it; nothing is connected yet.

        Args:
            engine: of PostgreSQL (asyncpg, psycopg) or SQLite (aiosqlite). On PostgreSQL the relay
                has two of its connections, to the database itself or to a pooler that gives each
                client a session of its own.
            publish: what publishes: ``tidewire.publish``, or a ``Publisher``.
            outbox: whose table; default: one of the usual name.
            look_seconds: how often it looks by itself, for what nothing told it of.
            clock: where the time comes from.
        """
        self._engine = engine
        self._publish = publish
        self._outbox = outbox or Outbox(MetaData())
        self._look_seconds = look_seconds
        self._clock = clock or SystemClock()
        self._limit = MAX_EVENTS
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Relays until it is cancelled.

        Raises:
            ConfigurationError: there is no such table, or the database is of a kind that is not
                relayed.
            DBAPIError: PostgreSQL does not understand or permit what is asked (SQLSTATE 42…).
            Exception: whatever ``publish`` raises that is no `TidewireError`. Nothing is lost.
        """
        async with bell(self._engine, self._outbox) as made:
            while True:
                try:
                    async with leading(
                        self._engine, self._outbox, look_seconds=self._look_seconds
                    ) as connection:
                        store = Store(connection, self._outbox.table, clock=self._clock)
                        await self._lead(store, made)
                except _PublishFailed as failed:
                    raise failed.error from None
                except Exception as error:
                    if not _will_pass(error):
                        raise
                    # What the driver says, without the statement: events are nobody's to log.
                    cause = error.orig if isinstance(error, DBAPIError) else error
                    _LOGGER.warning("the database cannot be used; it is tried again: %s", cause)
                await asyncio.sleep(_delay(self._failures) / 1000)
                self._failures += 1

    async def __aenter__(self) -> Self:
        """Begins to relay, in a task."""
        self._task = asyncio.create_task(self.run(), name="tidewire-outbox")
        self._task.add_done_callback(_told)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends it. What is not yet published stays where it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _lead(self, store: Store, made: Bell) -> None:
        await store.check()
        # Whoever led before may have published them, and died before it could say so.
        sealed = deque(await store.sealed())
        in_doubt = {batch.name for batch in sealed}
        while True:
            batch = sealed.popleft() if sealed else await store.advance(limit=self._limit)
            if batch is None:
                await made.wait(self._look_seconds)
            else:
                following = await self._settle(store, batch, in_doubt=batch.name in in_doubt)
                if following is not None:
                    sealed.append(following)
            # To lead is not enough: a database that is read only gives locks, too.
            self._failures = 0

    async def _settle(self, store: Store, batch: Batch, *, in_doubt: bool) -> Batch | None:
        """Publishes a batch, and carries out what follows from that. Returns the next one, where
        that is known already."""
        match await self._verdict(batch, in_doubt):
            case Done():
                self._limit = min(MAX_EVENTS, self._limit * 2)
                return await store.advance(batch.ids, limit=self._limit)
            case SetAside(index, reason):
                bad = batch.ids[index]
                _LOGGER.error("row %s cannot be published, and is set aside: %s", bad, reason)
                await store.set_aside(bad, reason, release=batch.ids)
            case Split():
                self._limit = max(1, len(batch.ids) // 2)
                await store.release(batch.ids)
            case Again():
                raise AssertionError("it was to be tried again")
            case never:
                assert_never(never)
        return None

    async def _verdict(self, batch: Batch, in_doubt: bool) -> Verdict:
        """What became of it; while that is open, it is tried again."""
        attempt = 0
        while True:
            outlived = batch.outlived_key(self._clock.now())
            try:
                await self._send(batch)
            except TidewireError as error:
                verdict = judged(error, batch)
                if not isinstance(verdict, Again):
                    return verdict
                # An error that does not say so may have come after the log had it.
                in_doubt = in_doubt or getattr(error, "in_doubt", True)
                _LOGGER.warning("could not publish; it is tried again: %s", error)
                await asyncio.sleep(max(_delay(attempt), verdict.after) / 1000)
                attempt += 1
            else:
                if in_doubt and outlived:
                    _LOGGER.warning(
                        "%s events may be published twice, from row %s on: they were first tried "
                        "more than ten minutes before",
                        len(batch.ids),
                        batch.ids[0],
                    )
                return Done()

    async def _send(self, batch: Batch) -> None:
        try:
            if callable(self._publish):
                await self._publish(batch.events, key=batch.key)
            else:
                await asyncio.to_thread(self._publish.publish, batch.events, key=batch.key.scope)
        except TidewireError:
            raise
        except Exception as error:
            raise _PublishFailed(error) from error


class _PublishFailed(Exception):
    """A mistake in what publishes: not to be taken for one of the database."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _delay(failures: int) -> int:
    """How long to wait after so many failures, milliseconds."""
    return BACKOFF.delay(failures, random.random())  # noqa: S311 - spreads load


def _will_pass(error: Exception) -> bool:
    """Whether it is about how the database is now, and not about what was said to it."""
    # By its SQLSTATE: of which class an error is differs from driver to driver.
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    if isinstance(state, str) and state.startswith(_MISTAKEN):
        return False
    # SQLAlchemy 2.0 lets through what asyncpg raises while it connects.
    from_driver = type(error).__module__.partition(".")[0] == "asyncpg"
    return from_driver or isinstance(error, DBAPIError | PoolTimeout | OSError)


def _told(task: asyncio.Task[None]) -> None:
    # Nobody may wait for it until the application ends.
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOGGER.error("the outbox is relayed no more: %s", error, exc_info=error)
