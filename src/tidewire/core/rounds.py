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
        # Looked up once: a dict that is emptied from its front finds its first ever more slowly.
        ready = []
        for connection, turn in self._turns.items():
            if turn > now:
                break
            ready.append(connection)
        for connection in ready:
            if self._turns.pop(connection, None) is not None:
                self._turns[connection] = following
                yield connection
