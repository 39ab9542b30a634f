"""What one node hears of a log in Redis: entries and messages, by one blocking read.

It stands at a place of its own in the stream of entries and in the control stream beside it, and
remembers the entries that it heard last. Now and then it asks whether the log is still the one
that it heard: one that came back empty, or shorter, says nothing by itself.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import LogAway
from tidewire.core.journal import Journal
from tidewire.core.position import Position
from tidewire.logs.codec import decode
from tidewire.logs.growth import Growth
from tidewire.logs.link import ANSWER_SECONDS, Link
from tidewire.logs.recent import Recent
from tidewire.logs.retention import Retention

BLOCK_SECONDS: Final = 1.0
SYNC_SECONDS: Final = 2.0
"""How long the blocking read waits, and how often it is asked whether the log is still the one
that was heard."""

HEAR_ENTRIES: Final = 1_000
HEAR_BYTES: Final = 1024 * 1024
"""What one blocking read takes at most: entries, and about so many bytes."""

RETRY_LAST: Final = 0.5


class Hearing:
    """One node's ear at a log.

    Attributes:
        growth: grows whenever something was heard, or hearing failed or began again.
        recent: the entries that were heard last; None before it has begun.
        away: why nothing is heard at the moment; None while all is well.
        away_since: since when, monotonic seconds.
        on_message: called with each message of the control stream, this node's own included.
        on_return: called when hearing begins again, and when the log is another one: messages may
            have been missed, and what was kept may be lost.
    """

    def __init__(
        self,
        link: Link,
        *,
        log: str,
        control: str,
        head: Callable[[Link], Awaitable[Position]],
        see: Callable[[Position], None],
        retention: Retention,
        clock: Clock | None,
        journal: Journal,
    ) -> None:
        """Makes an ear; nothing is connected yet.

        Args:
            link: a connection of its own.
            log: the key of the stream of entries.
            control: the key of the control stream.
            head: asks for the head of the log, by a link.
            see: told of how far the log reaches: its offsets are not to be given again.
            retention: how much the log keeps.
            clock: the log's time, where it is handed in.
            journal: where failures are noted.
        """
        self.growth = Growth()
        self.recent: Recent | None = None
        self.away: LogAway | None = None
        self.away_since: float | None = None
        self.on_message: Callable[[bytes], None] | None = None
        self.on_return: Callable[[], None] | None = None
        self._link = link
        self._log = log
        self._control = control
        self._head = head
        self._see = see
        self._retention = retention
        self._clock = clock or SystemClock()
        self._journal = journal
        self._message_id = "$"
        self._asked_at = 0.0
        self._entry_bytes = 256.0
        self._pump: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Takes its place at the heads of both streams, and hears them from there.

        Raises:
            LogAway: the log cannot be reached.
        """
        await self._ask()
        self._pump = asyncio.create_task(self._hear_on(), name="tidewire-hear")

    async def close(self) -> None:
        """Hears nothing more."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        self.growth.grow()
        await self._link.close()

    def forget(self) -> None:
        """Forgets the entries that it remembers."""
        if self.recent is not None:
            self.recent.restart(self.recent.end)

    def find(self, producer: str, number: int) -> Position | None:
        """The id with which an event of a producer was heard, if that is remembered."""
        return None if self.recent is None else self.recent.find(producer, number)

    async def _hear_on(self) -> None:
        delay = 0.0
        while True:
            try:
                if self.away is not None or time.monotonic() > self._asked_at + SYNC_SECONDS:
                    await self._ask()
                    if self.away is not None:
                        self.away = self.away_since = None
                        self._begin_again()
                await self._hear()
                delay = 0.0
            except Exception as error:
                if not isinstance(error, LogAway):
                    self._journal.note("hearing the log failed; it is tried again", error=error)
                    error = LogAway("Hearing the log failed.")
                # The first failure may be a connection that was cut, and the next one works.
                if delay:
                    self.away = error
                    self.away_since = self.away_since or time.monotonic()
                    self.growth.grow()
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
                delay = min(max(0.05, delay * 2), RETRY_LAST)
                self._asked_at = 0.0

    async def _ask(self) -> None:
        """Asks where the log stands. If it is another one, goes on from there: what lies before,
        followers read from the log, which tells them of the other epoch."""
        head = await self._head(self._link)
        if self.recent is None or self.recent.end.epoch != head.epoch:
            newest = await self._link.call("XREVRANGE", self._control, "+", "-", "COUNT", 1)
            self._message_id = newest[0][0].decode() if newest else "0-0"
            if self.recent is None:
                self.recent = Recent(head, self._retention, self._clock)
            else:
                self.recent.restart(head)
                self._begin_again()
        self._asked_at = time.monotonic()

    def _begin_again(self) -> None:
        self.growth.grow()
        if self.on_return is not None:
            self.on_return()

    async def _hear(self) -> None:
        assert self.recent is not None  # noqa: S101 - narrows; `begin` has made it
        end = self.recent.end
        count = max(8, min(HEAR_ENTRIES, int(HEAR_BYTES / self._entry_bytes)))
        answer = await self._link.call(
            *("XREAD", "COUNT", count, "BLOCK", round(BLOCK_SECONDS * 1000), "STREAMS"),
            *(self._log, self._control, f"{end.ms}-{end.offset}", self._message_id),
            seconds=BLOCK_SECONDS + ANSWER_SECONDS,
        )
        for stream, items in answer or ():
            if stream == self._log.encode():
                entries = [decode(id_, fields[1], fields[3]) for id_, fields in items]
                self._see(entries[-1].position)
                self.recent.hear(entries)
                size = sum(len(entry.body) + 64 for entry in entries)
                self._entry_bytes = max(self._entry_bytes / 2, size / len(entries))
                self.growth.grow()
            else:
                for id_, fields in items:
                    self._message_id = id_.decode()
                    if self.on_message is not None:
                        self.on_message(fields[1])
