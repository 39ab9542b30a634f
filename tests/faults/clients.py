"""Clients that follow as the wire contract says, and remember all that they were told."""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import httpx

from tests.faults.cluster import PING_SECONDS, Node, bearer
from tests.faults.history import Hole, Seen, Who

Way: TypeAlias = Literal["sse", "poll"]

PATIENCE: Final = PING_SECONDS * 4.0
"""Seconds of silence after which a connection is given up."""

HELD: Final = 1.0
"""Seconds that a poll lets its answer be held."""

AGAIN: Final = 0.1
"""Seconds before the next try, and at most before one that the server gave a time for."""

AT_MOST: Final = 0.5
LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Block:
    """One event of a stream: its name, its JSON and its ``id:`` line."""

    event: str
    envelope: Mapping[str, Any]
    id: str | None


class Blocks:
    """Blocks of a stream, out of pieces of any size. A block that was cut is none."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Block]:
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        for block in blocks:
            fields: dict[str, str] = {}
            # Only line feeds end a line here: JSON may hold what Python takes for other ends.
            for line in block.decode().split("\n"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            if "data" in fields:
                yield Block(
                    fields.get("event", "message"), json.loads(fields["data"]), fields.get("id")
                )


class Client:
    """One client, with one cursor over all its connections.

    With one node and one way it stays as long as it can; else it goes about every second to a
    node and a way that it draws.
    """

    def __init__(
        self, name: str, who: Who, nodes: Sequence[Node], ways: Sequence[Way] = ("sse",)
    ) -> None:
        self.name = name
        self.who = who
        self.nodes = nodes
        self.cursor: str | None = None
        self.since = 0.0
        """When it first had a cursor, monotonic seconds."""
        self.history: list[Seen | Hole] = []
        self.connected: list[Mapping[str, Any]] = []
        """The data of each ``connected``."""
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

    async def _run(self) -> None:
        async with httpx.AsyncClient(
            headers=bearer(self.who), trust_env=False, timeout=PATIENCE
        ) as http:
            while True:
                node, way = self._chance.choice(self.nodes), self._chance.choice(self._ways)
                restless = len(self.nodes) > 1 or len(self._ways) > 1
                delay = AGAIN
                try:
                    async with asyncio.timeout(
                        self._chance.uniform(0.5, 1.5) if restless else None
                    ):
                        follow = self._stream if way == "sse" else self._poll
                        delay = await follow(http, node)
                except TimeoutError:
                    pass
                except httpx.TransportError as error:
                    self.notes.append(f"{way} at {node.name}: {error!r}")
                await asyncio.sleep(delay)

    async def _stream(self, http: httpx.AsyncClient, node: Node) -> float:
        """Reads one stream to its end; returns when to come back, seconds."""
        headers = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        async with http.stream("GET", f"{node.url}/api/sse", headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                return self._refused(answer, node)
            blocks = Blocks()
            async for data in answer.aiter_bytes():
                for block in blocks.feed(data):
                    self._take(block, node)
        return AGAIN

    async def _poll(self, http: httpx.AsyncClient, node: Node) -> float:
        """Polls until a poll is refused; returns when to come back, seconds."""
        while True:
            wait = 0 if self.cursor is None else HELD
            since = self.cursor or "latest"
            query = {"since": since, "wait": str(wait), "limit": str(LIMIT)}
            answer = await http.get(
                f"{node.url}/api/realtime/polling", params=query, timeout=wait + PATIENCE
            )
            if answer.status_code != 200:
                return self._refused(answer, node)
            found = answer.json()
            if found["gap"] is not None:
                self._miss(found["gap"])
            for event in found["events"]:
                self._see(event, node)
            self._move(found["cursor"])

    def _take(self, block: Block, node: Node) -> None:
        if "id" in block.envelope:
            self._see(block.envelope, node)
            if block.id is None:
                self.problems.append(f"an event without a cursor: {block}")
        data = block.envelope["data"]
        match block.event:
            case "connected":
                self.connected.append(data)
            case "gap":
                self._miss(data)
            case "problem" | "disconnecting":
                self.notes.append(f"{block.event} at {node.name}: {data}")
        if block.id is not None:
            self._move(block.id)

    def _see(self, event: Mapping[str, Any], node: Node) -> None:
        seen = Seen(event["data"]["k"], event["id"], at=time.monotonic(), node=node.name)
        self.history.append(seen)

    def _miss(self, gap: Mapping[str, str]) -> None:
        hole = Hole(gap["reason"], gap["from"], gap["to"], at=time.monotonic())
        self.history.append(hole)

    def _move(self, cursor: str) -> None:
        self.cursor = cursor
        if not self._following.is_set():
            self.since = time.monotonic()
            self._following.set()

    def _refused(self, answer: httpx.Response, node: Node) -> float:
        text = f"{answer.status_code} at {node.name}: {answer.text}"
        if answer.status_code < 500 and answer.status_code != 429:
            self.problems.append(text)
        else:
            self.notes.append(text)
        try:
            return min(float(answer.headers["retry-after"]), AT_MOST)
        except (KeyError, ValueError):
            return AGAIN
