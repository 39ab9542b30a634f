"""Whose authority is to be looked at when."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Final

from tidewire.core.connections import Connection

WARN_BEFORE_MS: Final = 300_000
"""How long before its end an authority is said to be expiring, at most; a quarter of what is
left when the stream opens, where that is less."""

UNDATED_AUTHORITY_MS: Final = 3_600_000
"""How long a stream may stay open on a credential that does not say when it ends."""


class Agenda:
    """Each connection stands in it once, validly: an item whose time is not the connection's
    ``look_at`` was overtaken, and is passed over."""

    __slots__ = ("_dead", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Connection]] = []
        self._order = count()
        self._dead = 0

    def watch(self, connection: Connection, now: int) -> None:
        """Says when the authority of a connection ends, and looks at it when that is to be
        announced; ``now`` in Unix milliseconds."""
        ends = connection.reader.identity.expires_at
        connection.authority_ends = now + UNDATED_AUTHORITY_MS if ends is None else ends
        lead = min(WARN_BEFORE_MS, max(0, connection.authority_ends - now) // 4)
        self.put(connection.authority_ends - lead, connection)

    def put(self, at: int, connection: Connection) -> None:
        self.forget(connection)
        connection.look_at = at
        heapq.heappush(self._heap, (at, next(self._order), connection))

    def forget(self, connection: Connection) -> None:
        if connection.look_at is not None:
            connection.look_at = None
            self._overtaken()

    def due(self, now: int) -> Iterator[Connection]:
        while self._heap and self._heap[0][0] <= now:
            at, _, connection = heapq.heappop(self._heap)
            if connection.look_at == at:
                connection.look_at = None
                yield connection
            else:
                self._dead -= 1

    def _overtaken(self) -> None:
        # Many come and go long before their time: what is dead must not pile up.
        self._dead += 1
        if self._dead * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].look_at == item[0]]
            heapq.heapify(self._heap)
            self._dead = 0
