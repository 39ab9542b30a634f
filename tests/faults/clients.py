"""Clients that follow as the wire contract says, written by hand: nothing stands between what a
node sends and what the oracle judges."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.faults.cluster import bearer
from tests.faults.observers import AGAIN, PATIENCE, Observer, Place, Way

HELD: Final = 1.0
"""Seconds that a poll lets its answer be held."""

AT_MOST: Final = 0.5
"""Seconds at most before a try that the server gave a time for."""

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


class Client(Observer):
    """One client."""

    async def _follow(self, http: httpx.AsyncClient, place: Place, way: Way) -> float:
        follow = self._stream if way == "sse" else self._poll
        return await follow(http, place)

    async def _stream(self, http: httpx.AsyncClient, place: Place) -> float:
        """Reads one stream to its end."""
        resume = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        headers = {**bearer(self.who), **resume}
        async with http.stream("GET", f"{place.url}/api/sse", headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                return self._refused(answer, place)
            blocks = Blocks()
            async for data in answer.aiter_bytes():
                for block in blocks.feed(data):
                    self._take(block, place)
        return AGAIN

    async def _poll(self, http: httpx.AsyncClient, place: Place) -> float:
        """Polls until a poll is refused."""
        headers = bearer(self.who)
        while True:
            wait = 0 if self.cursor is None else HELD
            since = self.cursor or "latest"
            query = {"since": since, "wait": str(wait), "limit": str(LIMIT)}
            answer = await http.get(
                f"{place.url}/api/realtime/polling",
                params=query,
                headers=headers,
                timeout=wait + PATIENCE,
            )
            if answer.status_code != 200:
                return self._refused(answer, place)
            self.ways.add("polling")
            found = answer.json()
            if found["gap"] is not None:
                self._told_of(found["gap"])
            for event in found["events"]:
                self._see(event["data"], event["id"], place)
            self._move(found["cursor"])

    def _take(self, block: Block, place: Place) -> None:
        data = block.envelope["data"]
        if "id" in block.envelope:
            self._see(data, block.envelope["id"], place)
            if block.id is None:
                self.problems.append(f"an event without a cursor: {block}")
        match block.event:
            case "connected":
                self.ways.add("sse")
            case "gap":
                self._told_of(data)
            case "problem" | "disconnecting":
                self.notes.append(f"{block.event} at {place.name}: {data}")
        if block.id is not None:
            self._move(block.id)

    def _told_of(self, gap: Mapping[str, str]) -> None:
        self._miss(gap["reason"], gap["from"], gap["to"])

    def _refused(self, answer: httpx.Response, place: Place) -> float:
        text = f"{answer.status_code} at {place.name}: {answer.text}"
        self._note_failure(text, answer.status_code)
        try:
            return min(float(answer.headers["retry-after"]), AT_MOST)
        except (KeyError, ValueError):
            return AGAIN
