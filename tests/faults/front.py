"""What stands in front of nodes, for those who know one address only."""

import asyncio
import itertools
import random
from collections.abc import Sequence

from tests.faults.cluster import Node
from tests.faults.observers import STAY
from tests.tcpproxy import Proxy


class Front:
    """A proxy that leads to one node, and about every second to the next one that is ready; who is
    connected is cut off then. With one node it cuts off all the same."""

    def __init__(self, name: str, nodes: Sequence[Node]) -> None:
        """Prepares it; `start` starts it. ``nodes`` must listen already."""
        self.name = name
        self._nodes = nodes
        self._chance = random.Random(name)  # noqa: S311 - the same in every run
        self._proxy = Proxy(nodes[0].port)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._proxy.port}"

    async def start(self) -> None:
        await asyncio.to_thread(self._proxy.start)
        self._task = asyncio.create_task(self._go_round())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(self._proxy.end)

    async def _go_round(self) -> None:
        for node in itertools.cycle([*self._nodes[1:], self._nodes[0]]):
            await asyncio.sleep(self._chance.uniform(*STAY))
            if await node.readiness() == 200:
                await asyncio.to_thread(self._proxy.switch, node.port)
