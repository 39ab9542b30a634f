"""Whose turn it is: everybody once in every period, each at a time of its own."""

from collections.abc import Iterator

from tidewire.core.connections import Connection


class Rounds:
    """Connections in the order in which their turns come.

    All wait equally long, so whoever had its turn goes to the end, and only those whose turn it
    is are touched.
    """

    __slots__ = ("_period", "_turns")

    def __init__(self, period: float) -> None:
        """``period``: seconds."""
        self._period = period
        self._turns: dict[Connection, float] = {}

    def add(self, connection: Connection, now: float) -> None:
        """Gives a connection its first turn a period from now, monotonic seconds."""
        self._turns[connection] = now + self._period

    def remove(self, connection: Connection) -> None:
        """Gives it no more turns; a second time does nothing."""
        self._turns.pop(connection, None)

    def due(self, now: float) -> Iterator[Connection]:
        """Those whose turn has come, each with its next turn a period from now. Connections may
        leave while this runs."""
        following = now + self._period
        while self._turns:
            first = next(iter(self._turns))
            if self._turns[first] > now:
                return
            del self._turns[first]
            self._turns[first] = following
            yield first
