"""Laggards: readers who were live and have fallen behind, unlike those who have only begun."""

from tidewire.core.cohorts import Cohorts
from tidewire.core.reader import Reader


class Laggards:
    """Those of one node, and how far behind they are."""

    __slots__ = ("_cohorts", "_readers")

    def __init__(self, cohorts: Cohorts) -> None:
        """``cohorts``: those who are live."""
        self._cohorts = cohorts
        self._readers: set[Reader] = set()

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, reader: Reader) -> None:
        """Takes in a reader who has just fallen behind."""
        self._readers.add(reader)

    def discard(self, reader: Reader) -> bool:
        """Lets a reader go, who is live again or has left. Returns whether it was here."""
        was_here = reader in self._readers
        self._readers.discard(reader)
        return was_here

    def clear(self) -> None:
        """Lets all of them go."""
        self._readers.clear()

    def behind(self) -> tuple[int, int]:
        """How many they are, and by how many events the last of them is behind."""
        return len(self), max(0, max(self._distances(), default=0))

    def farther_than(self, events: int) -> int:
        """How many are more than so many events behind."""
        return sum(distance > events for distance in self._distances())

    def _distances(self) -> list[int]:
        here = 0 if self._cohorts.main is None else self._cohorts.here().offset
        return [here - reader.cursor.position.offset for reader in self._readers]
