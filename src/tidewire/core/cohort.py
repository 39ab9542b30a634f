"""Live readers who stand at one cursor, and so get the same bytes."""

from collections.abc import Iterable

from tidewire.core.index import Index
from tidewire.core.log import Entry
from tidewire.core.position import Cursor


class Cohort:
    """Readers at a cursor; they move together.

    Attributes:
        cursor: where they stand.
        index: who they are.
    """

    __slots__ = ("cursor", "index")

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.index = Index()

    def pass_by(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[str]]:
        """Moves over entries. Returns those that were not seen before, and the cursor after
        each of these."""
        cursor = self.cursor
        fresh: list[Entry] = []
        cursors: list[str] = []
        for entry in entries:
            seen = entry.seen_by(cursor)
            cursor = entry.pass_by(cursor)
            if not seen:
                fresh.append(entry)
                cursors.append(str(cursor))
        self.cursor = cursor
        return fresh, cursors

    def take_in(self, other: "Cohort") -> None:
        """Takes the readers of another cohort, which has come to the same cursor."""
        for reader in tuple(other.index):
            other.index.remove(reader)
            self.index.add(reader)
            reader.cohort = self
