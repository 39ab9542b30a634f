"""A client that reads in one way, and writes down what it gets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from tests.waiting import PATIENCE, until
from tidewire.client import Client, Gap
from tidewire.client.backoff import Backoff
from tidewire.client.status import Status

Way: TypeAlias = Literal["sse", "longPolling", "shortPolling"]
WAYS: Final[tuple[Way, ...]] = ("sse", "longPolling", "shortPolling")


class Reader:
    """Attributes:
    seen: the numbers of the events, in order.
    data: their payloads.
    gaps: the holes.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.seen: list[Any] = []
        self.data: list[Any] = []
        self.gaps: list[Gap] = []
        self.client = Client(url, on_gap=self.gaps.append, **options)
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Reads all that comes."""
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.client:
            self.data.append(event.data)
            self.seen.append(event.data["n"])

    async def stands(self, condition: Callable[[Status], bool]) -> None:
        await until(lambda: condition(self.client.status), what=lambda: str(self.client.status))

    async def sees(self, expected: list[int], seconds: float = PATIENCE) -> None:
        """Waits for so many events, and says which they should be."""
        await until(lambda: len(self.seen) >= len(expected), seconds, lambda: str(self.seen))
        assert self.seen == expected

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


def hasten(client: Client) -> None:
    """Has a client that is not entered wait a tenth as long after failures."""
    settings = replace(client._state.settings, backoff=Backoff(50, 3_000))
    client._state = replace(client._state, settings=settings)


@asynccontextmanager
async def reading(url: str, way: Way = "sse", **options: Any) -> AsyncIterator[Reader]:
    """A reader that is connected in this way. For short polls the network must cut held ones."""
    reader = Reader(url, **options)
    async with entered(reader, way):
        yield reader


@asynccontextmanager
async def entered(reader: Reader, way: Way) -> AsyncIterator[None]:
    """Lets a reader read, from where it was."""
    try:
        if way == "shortPolling":
            # To come there two polls have to fail.
            hasten(reader.client)
        async with reader.client as client:
            if way != "sse":
                client.force_polling()
            reader.begin()
            await reader.stands(lambda status: status.is_connected and status.method == way)
            yield
    finally:
        await reader.end()
