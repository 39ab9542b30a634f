"""Whose authority is to be looked at when."""

import heapq
from collections.abc import Iterator
from itertools import count

from tidewire.core.connections import Connection


class Agenda:
    """Each connection stands in it once, validly: an item whose time is not the connection's
    ``look_at`` was overtaken, and is passed over."""

    __slots__ = ("_dead", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Connection]] = []
        self._order = count()
        self._dead = 0

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
