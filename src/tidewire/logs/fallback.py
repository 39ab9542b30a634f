"""Keeps going while the log is away, and brings home what was accepted meanwhile.

Theory of operation. Every append of this process goes through one lane and has a number. While
the log is *shared*, the lane leads to it. An append that fails, or hearing that fails, puts the
log *away*: from then on the lane leads into a spool, under the same numbers, and what it accepts
is yielded to this node's readers at once. One that is in doubt goes the same way: should it be
in the log after all, its number tells so to the log, and to every reader. A task tries, less and
less often and never at the same moment as other nodes, whether the log takes something again;
then the spool is brought home in order (*returning*) while new appends still queue behind it, and
once it is empty the log is shared again.

What this node had appended and not yet heard when the log went away is yielded from memory
before anything of the spool: a reader who has seen a number of a producer has seen all before it.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from tidewire.core.clock import Clock, SystemClock
from tidewire.core.control import ControlBus
from tidewire.core.errors import LogAway
from tidewire.core.event import Event
from tidewire.core.journal import Journal
from tidewire.core.log import (
    PAGE_BYTES,
    PAGE_ENTRIES,
    Condition,
    IdempotencyKey,
    LogStats,
    Page,
)
from tidewire.core.position import Cursor, Position, Since
from tidewire.logs.backlog import Backlog
from tidewire.logs.bus import RedisBus
from tidewire.logs.keys import Keys
from tidewire.logs.redis import RedisLog
from tidewire.logs.spool import Bound
from tidewire.logs.unheard import Unheard
from tidewire.logs.writer import Batch, Outcome, Writer

TRY_FIRST: Final = 0.1
TRY_LAST: Final = 1.0
"""Seconds between two tries whether the log is back, at most; each is drawn from half of that
upwards."""


READ_AGAIN_SECONDS: Final = 0.5
"""How long nothing is asked of a log that could not be read."""

DEAF_SECONDS: Final = 7.5
"""How long a log that can be written to may not be heard."""

LAST_SECONDS: Final = 0.5
"""How long the last try may take, when the process ends."""


class State(Enum):
    """Where the lane leads."""

    SHARED = "shared"
    AWAY = "away"
    RETURNING = "returning"


class FallbackLog:
    """An `EventLog` that accepts and yields also while the log that nodes share is away."""

    def __init__(
        self,
        log: RedisLog,
        *,
        journal: Journal,
        folder: Path | None = None,
        bound: Bound | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Makes a log; nothing is connected yet.

        Args:
            log: what nodes share.
            journal: where it is noted that the log went away, and came back.
            folder: where the spool is kept on disk; None = in memory.
            bound: what the spool holds at most.
            clock: where the time of what the spool accepts comes from.

        Raises:
            ConfigurationError: the folder cannot be used.
        """
        self.log = log
        self.state = State.SHARED
        self._journal = journal
        self._clock = clock or SystemClock()
        self._keys = Keys()
        self._writer = Writer(self._commit, self._clock)
        self._lane = asyncio.Lock()
        self._reason = ""
        self._returning: asyncio.Task[None] | None = None
        self._unheard = Unheard()
        self._backlog = Backlog(
            self._writer.producer,
            self._keys,
            self._unheard,
            log.hearing.find,
            clock=self._clock,
            journal=journal,
            folder=folder,
            bound=bound,
        )
        self._taken_at = 0.0
        self._closed = False

    @property
    def name(self) -> str:
        return self.log.name if self.state is State.SHARED else "spool"

    @property
    def condition(self) -> Condition:
        """How it is; see `tidewire.core.log.Degradable`."""
        away = self.log.hearing.away
        reason = self._reason if self.state is not State.SHARED else away.reason if away else ""
        return Condition(
            accepts=self._backlog.room(1, 1024),
            hearing=not self._is_deaf(),
            degraded=self.state is not State.SHARED or away is not None,
            reason=reason,
            spooled=self._backlog.events,
        )

    def _is_deaf(self) -> bool:
        """Whether the log takes what it is given, and has not been heard for long."""
        since = self.log.hearing.away_since
        return (
            since is not None and self._taken_at > since and time.monotonic() - since > DEAF_SECONDS
        )

    def durable(self, position: Position) -> bool:
        """Whether what was accepted there outlives this process."""
        return position.epoch != self._writer.producer or self._backlog.is_on_disk

    def bus(self) -> ControlBus:
        """The commands of the nodes that share the log."""
        return RedisBus(self.log, self._journal, refused=self._refused)

    def _refused(self, error: LogAway) -> None:
        """Redis takes no commands: it would take no events either."""
        if self.state is State.SHARED:
            self._leave(error)

    async def open(self) -> None:
        """Takes its place in the log, and brings home what earlier processes left on disk: it
        was accepted before anything that this one will accept.

        Raises:
            LogAway: the log cannot be reached, or does not take what was left.
        """
        await self.log.open()
        if not await self._backlog.open():
            return
        self.state = State.AWAY
        try:
            await self._bring_home()
        except BaseException:
            # The next try begins from the beginning.
            self._backlog.forget()
            self.state = State.SHARED
            raise

    # Writing

    async def append(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        known = self._keys.known(key, self._clock.now())
        return known if known is not None else await self._writer.append(events, key)

    async def _commit(self, batches: list[Batch]) -> None:
        async with self._lane:
            if self.state is State.SHARED:
                try:
                    if self.log.hearing.away is not None:
                        raise self.log.hearing.away.again()
                    found = await self.log.commit(self._writer.producer, batches)
                except LogAway as error:
                    self._leave(error)
                else:
                    for batch, outcome in zip(batches, found, strict=True):
                        self._done(batch, outcome)
                    return
            if await self._backlog.accept(batches):
                self.log.hearing.growth.grow()

    def _done(self, batch: Batch, outcome: Outcome) -> None:
        batch.settle(outcome)
        if outcome.first is None:
            return
        ids = batch.ids_from(outcome.first)
        self._keys.remember(batch.key, ids, self._clock.now())
        if outcome.appended:
            # Otherwise it is there under other numbers, and heard under those.
            self._unheard.take(self._writer.producer, batch, ids)

    def _leave(self, error: LogAway) -> None:
        self.state = State.AWAY
        self._reason = error.reason
        self._unheard.leave()
        self._journal.note(
            "the log is away; this node keeps going alone",
            error=error,
            next_try=round(TRY_FIRST * 1000),
        )
        if self._returning is None:
            self._returning = asyncio.create_task(self._return(), name="tidewire-return")

    async def _return(self) -> None:
        delay = TRY_FIRST
        while True:
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
            delay = min(delay * 2, TRY_LAST)
            try:
                await self._bring_home()
                self._returning = None
                return
            except LogAway as error:
                self.state = State.AWAY
                self._reason = error.reason
            except Exception as error:
                self.state = State.AWAY
                self._journal.note(
                    "bringing the spool home failed; it is tried again",
                    error=error,
                    code="SPOOL_FAILED",
                    next_try=round(delay * 1000),
                )

    async def _bring_home(self) -> None:
        await self.log.begin()
        self._taken_at = time.monotonic()
        brought = 0
        while True:
            waiting = self._backlog.first()
            if waiting is None:
                async with self._lane:
                    if self.log.hearing.away is not None:
                        # It takes events, and this node would not hear them.
                        raise self.log.hearing.away.again()
                    if self._backlog.first() is None:
                        await self._backlog.empty()
                        self._unheard.come_home()
                        self.state = State.SHARED
                        self._journal.note(
                            "the log is back",
                            recovered=["LOG_AWAY", "SPOOL_FAILED"],
                            brought=brought,
                        )
                        return
                continue
            producer, batches = waiting
            await self.log.commit(producer, batches)
            self.state = State.RETURNING
            self._backlog.brought(producer, batches)
            brought += sum(len(batch.events) for batch in batches)

    # Reading

    async def read(
        self,
        since: Since,
        *,
        limit: int = PAGE_ENTRIES,
        max_bytes: int = PAGE_BYTES,
        newest: int | None = None,
    ) -> Page:
        if self.log.hearing.away is not None:
            raise self.log.hearing.away.again()
        return await self.log.read(since, limit=limit, max_bytes=max_bytes, newest=newest)

    def recall(self, after: Position, *, limit: int, max_bytes: int) -> Page | None:
        """What was heard after a position; see `tidewire.core.log.Recalling`."""
        return self.log.recall(after, limit=limit, max_bytes=max_bytes)

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        """As `EventLog.follow`; and beside the log, what only this node has."""
        self._unheard.is_followed = True
        yielded = 0
        while not self._closed:
            looked = self.log.hearing.growth.count
            page, failed = await self._next(after)
            if page is not None:
                self._unheard.hear(page.entries)
                after = page.end
                yield page
                continue
            fresh, yielded = self._unheard.after(yielded)
            if fresh:
                yield Page(after, tuple(fresh), after)
            elif not self._closed:
                # A read that failed is tried again, also where nothing new is heard.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(READ_AGAIN_SECONDS if failed else None):
                        await self.log.hearing.growth.beyond(looked)

    async def _next(self, after: Position) -> tuple[Page | None, bool]:
        """What comes next in the log, if anything does; and whether it could not be asked."""
        page = self.recall(after, limit=PAGE_ENTRIES, max_bytes=PAGE_BYTES)
        if page is None:
            try:
                await self.log.open()
                page = await self.read(Cursor(after))
            except LogAway:
                return None, True
        return (page if page.entries or page.gap is not None else None), False

    # The rest

    async def stats(self) -> LogStats:
        """How full the log is."""
        return await self.log.stats()

    async def clear(self) -> int:
        """Trims the whole log. Returns how many."""
        return await self.log.clear()

    async def close(self) -> None:
        self._closed = True
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.gather(self._returning, return_exceptions=True)
        await self._writer.close()
        if self._backlog.events:
            await self._bring_home_at_last()
        await self.log.close()
        self._backlog.close()

    async def _bring_home_at_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._bring_home()
        except (LogAway, TimeoutError) as error:
            left = "stay on disk" if self._backlog.is_on_disk else "are lost with this process"
            self._journal.note(
                f"events that the log never took {left}", error=error, events=self._backlog.events
            )
