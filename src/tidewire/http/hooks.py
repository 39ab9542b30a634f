"""What an application is told of comings and goings."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

from tidewire.core.connections import Connection
from tidewire.core.journal import Journal


class Visit(NamedTuple):
    """A client that came or left.

    Attributes:
        user_id: whose.
        node: the node that holds or held it.
        client_id: the stream or held poll; None where a whole node has vanished.
        transport: ``sse`` or ``polling``; None as above.
        client_type: what the client calls itself.
        reason: why it left: ``left`` when the client went by itself, ``node lost``, or what it
            was told; None when it came.
    """

    user_id: str
    node: str
    client_id: str | None = None
    transport: str | None = None
    client_type: str | None = None
    reason: str | None = None


CLOSE_SECONDS: Final = 0.5
"""How long hooks may take to end, when the node does."""

Hook: TypeAlias = Callable[[Visit], Awaitable[None]]


class Hooks:
    """Calls the application, in order for each stream, and never in the way of anything."""

    def __init__(
        self, journal: Journal, on_connect: Hook | None, on_disconnect: Hook | None
    ) -> None:
        self.node = ""
        self._journal = journal
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def connected(self, connection: Connection) -> None:
        if self._on_connect is not None:
            self._call(self._on_connect, self._of(connection, None))

    def disconnected(self, connection: Connection) -> None:
        if self._on_disconnect is not None:
            self._call(self._on_disconnect, self._of(connection, connection.reason or "left"))

    def lost(self, node: str, users: Iterable[str]) -> None:
        if self._on_disconnect is not None:
            for user in users:
                self._call(self._on_disconnect, Visit(user, node, reason="node lost"))

    async def close(self) -> None:
        """Waits a moment for what has been called."""
        tasks = tuple(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _of(self, connection: Connection, reason: str | None) -> Visit:
        return Visit(
            connection.user_id,
            self.node,
            connection.id,
            connection.transport,
            connection.client_type,
            reason,
        )

    def _call(self, hook: Hook, visit: Visit) -> None:
        # A client's end is told after its beginning, however long that takes.
        key = visit.client_id or visit.user_id
        task = asyncio.create_task(self._run(hook, visit, self._tasks.get(key)))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def _run(self, hook: Hook, visit: Visit, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await hook(visit)
        except Exception as error:
            self._journal.note(
                "a hook of the application failed",
                error=error,
                code="HOOK_FAILED",
                user=visit.user_id,
            )
