"""Observers: who follows, and remembers all that it was told."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, Protocol, TypeAlias

import httpx

from tests.faults.cluster import PING_SECONDS, http_client
from tests.faults.history import Hole, Seen, Who

Way: TypeAlias = Literal["sse", "polling"]

PATIENCE: Final = PING_SECONDS * 4.0
"""Seconds of silence after which a connection is given up."""

AGAIN: Final = 0.1
"""Seconds before the next try, where the server gave no time for it."""

STAY: Final = (0.5, 1.5)
"""For so many seconds who goes about is in one place."""


class Place(Protocol):
    """Where one can follow: a node, or what stands in front of nodes."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...


class Observer(ABC):
    """One who follows, with one cursor over all its connections.

    With one place and one way it stays as long as it can; else it goes about every second to a
    place and a way that it draws.
    """

    def __init__(
        self, name: str, who: Who, places: Sequence[Place], ways: Sequence[Way] = ("sse",)
    ) -> None:
        self.name = name
        self.who = who
        self.places = places
        self.cursor: str | None = None
        self.since = 0.0
        """When it first had a cursor, monotonic seconds."""
        self.history: list[Seen | Hole] = []
        self.ways: set[Way] = set()
        """In which ways it was served."""
        self.problems: list[str] = []
        self.notes: list[str] = []
        """What went wrong and is allowed to: for the message of a failure."""
        self._ways = ways
        self._chance = random.Random(name)  # noqa: S311 - the same in every run
        self._following = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follows, from where it was."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Goes away, and keeps its cursor."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def following(self) -> None:
        """Returns once it has a cursor: from then on nothing may be missing."""
        await self._following.wait()

    @abstractmethod
    async def _follow(self, http: httpx.AsyncClient, place: Place, way: Way) -> float:
        """Follows until that ends; returns when to come back, seconds."""

    async def _run(self) -> None:
        async with http_client(PATIENCE) as http:
            while True:
                place, way = self._chance.choice(self.places), self._chance.choice(self._ways)
                restless = len(self.places) > 1 or len(self._ways) > 1
                delay = AGAIN
                try:
                    async with asyncio.timeout(self._chance.uniform(*STAY) if restless else None):
                        delay = await self._follow(http, place, way)
                except TimeoutError:
                    pass
                except httpx.TransportError as error:
                    self._note_failure(f"{way} at {place.name}: {error!r}")
                await asyncio.sleep(delay)

    def _see(self, data: Mapping[str, Any], id_: str, place: Place) -> None:
        self.history.append(Seen(data["k"], id_, at=time.monotonic(), node=place.name))

    def _miss(self, reason: str, from_: str, to: str) -> None:
        self.history.append(Hole(reason, from_, to, at=time.monotonic()))

    def _move(self, cursor: str) -> None:
        self.cursor = cursor
        if not self._following.is_set():
            self.since = time.monotonic()
            self._following.set()

    def _note_failure(self, text: str, status: int | None = None) -> None:
        """Notes what went wrong. A node may be out of reach, or unable to serve; it may not find
        fault with what was asked."""
        is_fault_found = status is not None and status < 500 and status != 429
        (self.problems if is_fault_found else self.notes).append(text)
