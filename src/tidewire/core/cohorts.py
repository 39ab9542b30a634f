"""All live readers of a node, and where they stand."""

from collections.abc import Iterator

from tidewire.core.cohort import Cohort
from tidewire.core.errors import Unavailable
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader


class Cohorts:
    """The main cohort stands where the node has heard the log. Readers who come from another
    node may have seen what that one's spool had: they stand beside it, until their cursors are
    the same.

    Attributes:
        main: the main cohort; None before the begin and after the end.
    """

    __slots__ = ("_others", "main")

    def __init__(self) -> None:
        self.main: Cohort | None = None
        self._others: dict[tuple[tuple[str, int], ...], Cohort] = {}

    def begin(self, cursor: Cursor) -> None:
        """Lets the main cohort stand at a cursor."""
        self.main = Cohort(cursor)

    def end(self) -> None:
        """Nobody is live any more."""
        self.main = None
        self._others.clear()

    def __iter__(self) -> Iterator[Cohort]:
        return iter(() if self.main is None else (self.main, *self._others.values()))

    @property
    def live(self) -> int:
        """How many readers there are."""
        return sum(len(cohort.index) for cohort in self)

    @property
    def cursor(self) -> Cursor:
        """Where the main cohort stands.

        Raises:
            Unavailable: there is none.
        """
        if self.main is None:
            raise Unavailable("This server is not started yet, or has stopped.", retry_after=1000)
        return self.main.cursor

    def here(self) -> Position:
        """How far in the log that is. Raises as `cursor`."""
        return self.cursor.position if self.main is None else self.main.cursor.position

    def join(self, reader: Reader) -> None:
        """Lets a reader who has everything be live, where its cursor stands."""
        cohort = self._at(reader.cursor)
        reader.cohort = cohort
        cohort.index.add(reader)
        # Its place is its cohort's from now on, and need not be kept for each.
        reader.cursor = cohort.cursor

    def leave(self, reader: Reader) -> None:
        """It is live no more; a second time does nothing."""
        if reader.cohort is not None:
            reader.cohort.index.remove(reader)
            reader.cohort = None

    def unite(self) -> None:
        """Puts together the cohorts that have come to one cursor."""
        if self._others:
            others, self._others = self._others, {}
            for cohort in others.values():
                self._at(cohort.cursor).take_in(cohort)
            self._others = {
                seen: cohort for seen, cohort in self._others.items() if len(cohort.index)
            }

    def _at(self, cursor: Cursor) -> Cohort:
        if self.main is None:
            return Cohort(cursor)
        if cursor.seen == self.main.cursor.seen:
            return self.main
        cohort = self._others.get(cursor.seen)
        if cohort is None:
            cohort = self._others[cursor.seen] = Cohort(cursor)
        return cohort
