"""What is afloat: entries that a spool has accepted, and that are not heard in the log yet."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter
from typing import Final

from tidewire.core.log import Entry
from tidewire.core.position import Cursor, Position

_NUMBER: Final = attrgetter("number")


class Afloat:
    """Entries of spools, by their producers, in the order of their numbers."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}

    def take(self, entries: Iterable[Entry], cursor: Cursor) -> None:
        """Keeps those of a spool that were not seen at the cursor, until they come as entries of
        the log."""
        for entry in entries:
            if not entry.in_log:
                if not entry.seen_by(cursor):
                    self._entries.setdefault(entry.producer, []).append(entry)
            elif self._entries:
                self._come_home(entry)

    def _come_home(self, entry: Entry) -> None:
        afloat = self._entries.get(entry.producer)
        if afloat is not None:
            del afloat[: bisect_right(afloat, entry.number, key=_NUMBER)]
            if not afloat:
                del self._entries[entry.producer]

    def at(self, position: Position) -> Entry | None:
        """The entry that a spool accepted at a place; None if it is not afloat."""
        entries = self._entries.get(position.epoch, ())
        return next((entry for entry in entries if entry.position == position), None)

    def seen_by(self, cursor: Cursor) -> bool:
        """Whether all was seen at a cursor."""
        return all(
            entries[-1].number <= cursor.last_seen(producer)
            for producer, entries in self._entries.items()
        )

    def after(self, cursor: Cursor, max_bytes: int) -> list[Entry]:
        """The first of what was not seen at a cursor: so many bytes, and at most one entry
        beyond."""
        found: list[Entry] = []
        for producer, entries in self._entries.items():
            # Their numbers grow.
            first = bisect_right(entries, cursor.last_seen(producer), key=_NUMBER)
            for entry in islice(entries, first, None):
                if max_bytes <= 0:
                    return found
                found.append(entry)
                max_bytes -= len(entry.body)
        return found

    def clear(self) -> None:
        """Forgets all."""
        self._entries.clear()
