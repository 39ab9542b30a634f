"""Publishers: constant traffic that remembers what it was promised."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx

from tests.faults.cluster import Node, bearer, http_client
from tests.faults.history import Accepted, To, Who

PATIENCE: Final = 5.0
"""Seconds that a publisher waits for an answer before it sends the same again."""

PAUSE: Final = 0.06
"""Seconds between two publishes."""

AGAIN: Final = 0.1
"""Seconds before what was not accepted is sent again."""

LARGEST_BATCH: Final = 4

HOLD_SECONDS: Final = 10.0
"""Within these every request under way is accepted, or something is wrong."""


class Publisher:
    """Publishes to one node, one request after the other.

    What got no 2xx is sent again to the same node, with the same body and Idempotency-Key, until
    it gets one: so after the end everything that was sent is accepted, or somebody is to blame.
    """

    def __init__(self, name: str, node: Node) -> None:
        self.name = name
        self.node = node
        self.accepted: list[Accepted] = []
        self.sent: dict[str, To] = {}
        self.problems: list[str] = []
        self.turn = asyncio.Lock()
        """Held while a request is under way."""
        self._chance = random.Random(name)  # noqa: S311 - the same in every run
        self._count = 0
        self._stopping = False

    async def run(self) -> None:
        headers = bearer(Who(self.name), permissions=["publish"])
        async with http_client(PATIENCE, base_url=self.node.url, headers=headers) as http:
            while not self._stopping:
                async with self.turn:
                    await self._publish(http)
                await asyncio.sleep(PAUSE)

    def stop(self) -> None:
        """Sends nothing new; what was sent is still sent again until it is accepted."""
        self._stopping = True

    async def _publish(self, http: httpx.AsyncClient) -> None:
        size = self._chance.choice([1, 1, 1, self._chance.randint(2, LARGEST_BATCH)])
        targets = [To.draw(self._chance) for _ in range(size)]
        events = []
        for number, to in enumerate(targets, self._count + 1):
            key = f"{self.name}-{number}"
            self.sent[key] = to
            event: dict[str, Any] = {"type": "notification", "data": {"k": key}}
            events.append({**event, "metadata": to.metadata} if to != To() else event)
        body = events[0] if size == 1 else {"events": events}
        headers = {"Idempotency-Key": f"{self.name}-{self._count + 1}"}
        began = time.monotonic()
        while True:
            answer = await self._post(http, body, headers)
            if answer is not None and answer.is_success:
                self._accept(answer, targets, began)
                return
            await asyncio.sleep(AGAIN)

    async def _post(
        self, http: httpx.AsyncClient, body: Any, headers: dict[str, str]
    ) -> httpx.Response | None:
        try:
            answer = await http.post("/api/realtime/publish", json=body, headers=headers)
        except httpx.TransportError:
            return None
        # 409: the first request with this key is still under way.
        if 400 <= answer.status_code < 500 and answer.status_code not in (409, 429):
            self.problems.append(f"{self.name}: {answer.status_code} {answer.text}")
        return answer

    def _accept(self, answer: httpx.Response, targets: Sequence[To], began: float) -> None:
        promise = answer.json()
        ids, durable = promise["ids"], promise["durable"]
        if len(ids) != len(targets) or answer.status_code != (200 if durable else 202):
            self.problems.append(f"{self.name}: {answer.status_code} {answer.text}")
        ended = time.monotonic()
        for id_, to in zip(ids, targets, strict=False):
            self._count += 1
            self.accepted.append(
                Accepted(
                    self.name,
                    self._count,
                    to,
                    id=id_,
                    durable=durable,
                    status=answer.status_code,
                    node=self.node.name,
                    began=began,
                    ended=ended,
                )
            )


class Traffic:
    """All publishers."""

    def __init__(self, publishers: Sequence[Publisher]) -> None:
        self.publishers = publishers
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def accepted(self) -> list[Accepted]:
        return [event for publisher in self.publishers for event in publisher.accepted]

    @property
    def sent(self) -> dict[str, To]:
        return {key: to for publisher in self.publishers for key, to in publisher.sent.items()}

    @property
    def problems(self) -> list[str]:
        return [text for publisher in self.publishers for text in publisher.problems]

    def start(self) -> None:
        self._tasks = [asyncio.create_task(publisher.run()) for publisher in self.publishers]

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """No request is under way meanwhile. For faults that may take from a publisher both its
        answer and the memory of its key: what it sends again is then a new event, and rightly."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(HOLD_SECONDS):
                for publisher in self.publishers:
                    await stack.enter_async_context(publisher.turn)
            yield

    async def finish(self, seconds: float) -> None:
        """Ends the traffic when all that was sent is accepted."""
        for publisher in self.publishers:
            publisher.stop()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        names = [
            publisher.name
            for publisher, task in zip(self.publishers, self._tasks, strict=True)
            if task in late
        ]
        await self.end()
        assert not names, f"not accepted within {seconds} s, though sent again: {', '.join(names)}"

    async def end(self) -> None:
        """Ends it now."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
