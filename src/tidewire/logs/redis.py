"""A log in Redis, Valkey or Dragonfly, which several nodes share.

One stream holds the entries, with ids ``<ms>-<offset>``; a hash beside it the head, the floor,
the table of epochs and the last call of each producer. Appending and reading are one script
each, so that what a log promises holds whoever else is at work. All nodes hear the stream, and
the control stream beside it, by one blocking read each.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, TypeVar

from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import LogAway
from tidewire.core.event import Event
from tidewire.core.journal import Journal, NullJournal
from tidewire.core.log import PAGE_BYTES, PAGE_ENTRIES, Gap, IdempotencyKey, LogStats, Page
from tidewire.core.position import Cursor, Edge, Position, Since, new_epoch
from tidewire.logs.codec import decode, encode
from tidewire.logs.hearing import Hearing
from tidewire.logs.keys import IDEMPOTENCY_SECONDS
from tidewire.logs.link import ANSWER_SECONDS, Connector, Link, Script, Word
from tidewire.logs.retention import Retention
from tidewire.logs.writer import Batch, Outcome, Writer

Answer = TypeVar("Answer")

SLOWEST_BYTES: Final = 1024 * 1024
"""Bytes a second that the way to Redis carries at least: large batches are waited for longer."""

KEPT_TOGETHER: Final = 500

CONTROL_LENGTH: Final = 10_000
"""Messages that the control stream keeps, about."""

PRODUCER_DAYS: Final = 7
"""How long the log remembers what a producer has appended, for one that brings a spool home."""

SCANNED_TOGETHER: Final = 1_000
SCAN_PAUSE_SECONDS: Final = 0.01
SWEEP_SECONDS: Final = 86_400.0
TRIM_SECONDS: Final = 5.0
"""How often an open log lets go of old producers, and trims what others have appended."""


class RedisLog:
    """An `EventLog` in Redis."""

    name = "redis"

    def __init__(
        self,
        connect: Connector,
        retention: Retention,
        *,
        name: str = "tidewire",
        clock: Clock | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Makes a log; nothing is connected yet.

        Args:
            connect: makes connections (`tidewire.logs.link.connector`).
            retention: how much it keeps. All nodes should say the same.
            name: tells one application from another on the same Redis.
            clock: the log's time; default: that of the Redis server, one for all nodes.
            journal: where failures are noted.
        """
        self._clock = clock
        self._retention = retention
        self._slot = "{" + name + "}"
        self._log = f"{self._slot}:log"
        self._meta = f"{self._slot}:meta"
        self._control = f"{self._slot}:control"
        self._decisions = f"{self._slot}:decisions"
        self._connector = connect
        self.link = Link(connect)
        self._reading = Link(connect, repeats=True)
        self._append = Script(_source("prelude.lua") + _source("append.lua"))
        self._read = Script(_source("prelude.lua") + _source("read.lua"))
        self._writer = Writer(self._commit, clock or SystemClock())
        self._seen = 0
        # What the clock of Redis said, and when that was here.
        self._told: tuple[int, float] | None = None
        self._opening = asyncio.Lock()
        self._ended = asyncio.Event()
        self._is_open = False
        self._upkeep: asyncio.Task[None] | None = None
        # Calls that append: how many were made, and how many of them were answered.
        self._asked = self._answered = 0
        self.hearing = Hearing(
            Link(connect),
            log=self._log,
            control=self._control,
            head=self._head,
            see=self._see,
            retention=retention,
            clock=clock,
            journal=journal or NullJournal(),
        )

    # Writing

    async def append(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[Position]:
        return await self._writer.append(events, key)

    async def _commit(self, batches: list[Batch]) -> None:
        self._asked += 1
        found = await self.commit(self._writer.producer, batches)
        self._answered += 1
        for batch, outcome in zip(batches, found, strict=True):
            batch.settle(outcome)

    async def commit(self, producer: str, batches: Sequence[Batch]) -> list[Outcome]:
        """Appends batches of a producer in order, in one round trip. What the log has of them
        already, by their numbers, is not appended again.

        Returns:
            What came of each batch.

        Raises:
            LogAway: it cannot be reached, or refuses, or no answer came.
        """
        keys: list[Word] = []
        size = sum(batch.size for batch in batches)
        words: list[Word] = [self._patience(size), producer, len(batches)]
        for batch in batches:
            index, digest = 0, "-"
            if batch.key is not None:
                keys.append(f"{self._slot}:key:{_hashed(batch.key.scope)}")
                index, digest = len(keys) + 2, _hashed(batch.key.digest)
            words += [batch.first, batch.accepted_at, int(batch.spooled), index, digest]
            words += [IDEMPOTENCY_SECONDS * 1000, len(batch.events)]
            for event in batch.events:
                words += [event.size, encode(event), event.body]
        answer = await _until_answered(lambda: self._run_append(self.link, keys, words, size))
        results = dict(part.split("=") for part in answer[5].decode().split())
        return [_outcome(results[str(batch.first)]) for batch in batches]

    def _patience(self, size: int) -> Word:
        """Until when an append of so many bytes is waited for, by the clock of Redis; less than
        that, so that an answer that is sent in time also comes in time."""
        if self._told is None:
            return ""
        ms, at = self._told
        seconds = ANSWER_SECONDS / 2 + size / SLOWEST_BYTES
        return ms + round((time.monotonic() - at + seconds) * 1000)

    async def _run_append(
        self, link: Link, keys: Sequence[Word], words: Sequence[Word], size: int = 0
    ) -> Any:
        kept = self._retention
        began = time.monotonic()
        answer = await self._append.run(
            link,
            [self._log, self._meta, *keys],
            self._now(),
            new_epoch(),
            self._seen,
            kept.events,
            kept.bytes,
            round(kept.seconds * 1000),
            *words,
            seconds=ANSWER_SECONDS + size / SLOWEST_BYTES,
        )
        self._see(Position.parse(answer[0].decode()))
        if self._clock is None:
            self._told = (answer[6], (began + time.monotonic()) / 2)
        return answer

    async def begin(self) -> None:
        """Begins a new epoch where the log is not what this node knew; else only trims."""
        await self._run_append(self.link, [], ["", "-", 0])

    async def clear(self) -> int:
        """Trims everything: moves the floor to the head and keeps the epoch. Returns how many."""
        answer = await self._run_append(self.link, [], ["", "-", -1])
        self.hearing.forget()
        return int(answer[4])

    async def stats(self) -> LogStats:
        """How full it is now."""
        while True:
            # Not where publishers wait for their turn.
            answer = await self._run_append(self._reading, [], ["", "-", 0])
            if not answer[4]:
                head, floor = (Position.parse(part.decode()) for part in answer[:2])
                return LogStats(answer[2], answer[3], floor, head)

    # Reading

    async def read(
        self,
        since: Since,
        *,
        limit: int = PAGE_ENTRIES,
        max_bytes: int = PAGE_BYTES,
        newest: int | None = None,
    ) -> Page:
        return await self._read_on(self._reading, since, limit, max_bytes, newest)

    async def _read_on(
        self, link: Link, since: Since, limit: int, max_bytes: int, newest: int | None
    ) -> Page:
        words = [
            self._now(),
            round(self._retention.seconds * 1000),
            self._seen,
            limit,
            max_bytes,
            -1 if newest is None else newest,
            *_asked(since),
        ]
        answer = await self._read.run(link, [self._log, self._meta], *words)
        if not answer:
            await self.begin()
            answer = await self._read.run(link, [self._log, self._meta], *words)
        if not answer:
            raise LogAway("The log changes under the hands of whoever reads it.")
        head, _, start = (Position.parse(part.decode()) for part in answer[:3])
        self._see(head)
        reason = answer[3].decode()
        gap = Gap(str(since), start, reason) if reason else None
        return Page(start, tuple(decode(*parts) for parts in answer[4]), head, gap)

    def recall(self, after: Position, *, limit: int, max_bytes: int) -> Page | None:
        """What was heard after a position; see `tidewire.core.log.Recalling`."""
        recent = self.hearing.recent
        return None if recent is None else recent.after(after, limit, max_bytes)

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        while not self._ended.is_set():
            looked = self.hearing.growth.count
            try:
                page = await self._next(after)
            except LogAway:
                if self._ended.is_set():
                    return
                raise
            if page.entries or page.gap is not None:
                after = page.end
                yield page
            elif not self._ended.is_set():
                await self.hearing.growth.beyond(looked)

    async def _next(self, after: Position) -> Page:
        await self.open()
        page = self.recall(after, limit=PAGE_ENTRIES, max_bytes=PAGE_BYTES)
        return await self.read(Cursor(after)) if page is None else page

    async def open(self) -> None:
        """Takes its place at the head, and hears the log from there. Until it is closed it then
        also trims what those appended who do not trim, and lets go of producers of long ago.

        Raises:
            LogAway: the log cannot be reached.
        """
        async with self._opening:
            if not self._is_open and not self._ended.is_set():
                await self.begin()
                await self.hearing.begin()
                self._is_open = True
                self._upkeep = asyncio.create_task(self._keep_up(), name="tidewire-upkeep")

    async def _head(self, link: Link) -> Position:
        return (await self._read_on(link, Edge.LATEST, 0, 0, None)).head

    async def _keep_up(self) -> None:
        # Whose clock is not that of Redis does not know how old a producer is.
        sweep_at = time.monotonic() if self._clock is None else float("inf")
        while True:
            # What does not succeed now is due again next time; who reads and appends tells of it.
            with contextlib.suppress(LogAway):
                if time.monotonic() >= sweep_at:
                    await self._forget_producers()
                    sweep_at = time.monotonic() + SWEEP_SECONDS
            await asyncio.sleep(TRIM_SECONDS)
            with contextlib.suppress(LogAway):
                await self.stats()

    async def _forget_producers(self) -> None:
        """Lets go of producers of long ago, step by step: there may be very many."""
        oldest = time.time_ns() // 1_000_000 - PRODUCER_DAYS * 86_400_000
        cursor: Word = 0
        while True:
            cursor, found = await self._reading.call(
                "HSCAN", self._meta, cursor, "MATCH", "p:*", "COUNT", SCANNED_TOGETHER
            )
            old = [
                name
                for name, record in zip(found[::2], found[1::2], strict=True)
                if _appended_at(record) < oldest
            ]
            if old:
                await self._reading.call("HDEL", self._meta, *old)
            if int(cursor) == 0:
                return
            await asyncio.sleep(SCAN_PAUSE_SECONDS)

    async def retire(self) -> None:
        """Closes it; and where all that was appended here was answered, so that nothing will be
        repeated, the log forgets this producer. Else it does so after `PRODUCER_DAYS`."""
        if self._asked and self._asked == self._answered:
            with contextlib.suppress(LogAway):
                await self.link.call("HDEL", self._meta, f"p:{self._writer.producer}")
        await self.close()

    # The control stream

    async def say(self, messages: Sequence[bytes], *, kept: Mapping[str, bytes]) -> None:
        """Puts messages on the control stream, and into the hash of decisions what is to be
        kept of them, by name; in one round trip. Where a connection is cut they may come twice.

        Raises:
            LogAway: as `append`.
        """
        commands: list[Sequence[Word]] = [
            ("HSET", self._decisions, name, decision) for name, decision in kept.items()
        ]
        for message in messages:
            words = ("XADD", self._control, "MAXLEN", "~", CONTROL_LENGTH, "*", "m", message)
            commands.append(words)
        for answer in await _until_answered(lambda: self.link.calls(commands)):
            if isinstance(answer, LogAway):
                raise answer

    async def kept(self) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yields all that was kept of what was ever said, by name; some of it perhaps twice.

        Raises:
            LogAway: the log cannot be reached.
        """
        cursor: Word = 0
        while True:
            cursor, found = await self._reading.call(
                "HSCAN", self._decisions, cursor, "COUNT", KEPT_TOGETHER
            )
            for name, decision in zip(found[::2], found[1::2], strict=True):
                yield name.decode(), decision
            if int(cursor) == 0:
                return

    def _now(self) -> Word:
        return "" if self._clock is None else self._clock.now()

    def _see(self, position: Position) -> None:
        self._seen = max(self._seen, position.offset)

    async def close(self) -> None:
        self._ended.set()
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await self._writer.close()
        await self.hearing.close()
        for link in (self.link, self._reading):
            await link.close()
        await self._connector.close()


async def _until_answered(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Calls again, where a connection was cut: if the first was carried out, its repeat does no
    harm and tells what came of it."""
    end = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return await call()
        except LogAway as error:
            cut = error.in_doubt and not isinstance(error.__cause__, TimeoutError)
            if not cut or time.monotonic() > end:
                raise


def _outcome(text: str) -> Outcome:
    if text == "conflict":
        return Outcome(conflict=True)
    if text == "appended":
        return Outcome()
    return Outcome(Position.parse(text.removeprefix("!")), appended=not text.startswith("!"))


def _asked(since: Since) -> tuple[Word, ...]:
    if isinstance(since, Cursor):
        position = since.position
        return ("cursor", position.ms, position.offset, position.epoch)
    return (since.value,) if isinstance(since, Edge) else ("time", since)


def _appended_at(record: bytes) -> int:
    """When a producer appended last, ms. Never long ago, for a record that is not of this form."""
    parts = record.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 2**63


def _hashed(text: str) -> str:
    # Of one length, and without the spaces that divide what the script stores.
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _source(name: str) -> str:
    return files("tidewire.logs").joinpath(name).read_text("utf-8")
