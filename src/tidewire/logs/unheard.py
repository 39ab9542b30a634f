"""What a process has appended, until it hears it in the log that nodes share."""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.logs.codec import spooled
from tidewire.logs.writer import Batch


class Unheard:
    """Entries in two parts, both in order: what the log took, and what is *afloat*: yielded from
    memory, for nobody knows when it will be heard.

    Attributes:
        is_followed: whether somebody hears the log, and asks for what is afloat.
    """

    def __init__(self) -> None:
        self.is_followed = False
        self._taken: deque[Entry] = deque()
        self._afloat: deque[Entry] = deque()
        # How many of those that were afloat have been let go: followers count all that ever were.
        self._dropped = 0
        self._heard: dict[str, int] = {}

    @property
    def afloat(self) -> int:
        """How many are afloat."""
        return len(self._afloat)

    def heard(self, producer: str) -> int:
        """The last number of a producer that was heard; 0 = none."""
        return self._heard.get(producer, 0)

    def take(self, producer: str, batch: Batch, ids: Iterable[Position]) -> None:
        """Remembers what the log took, under the ids that it gave."""
        if not self.is_followed:
            # Nobody hears, and nobody will ask for it.
            return
        heard = self.heard(producer)
        for event, place, id_ in zip(batch.events, batch.places(producer), ids, strict=True):
            if place.offset > heard:
                self._taken.append(spooled(event, place, accepted=id_))

    def float(self, batch: Batch, places: Iterable[Position]) -> None:
        """Remembers what the log did not take."""
        self._afloat += map(spooled, batch.events, places)

    def leave(self) -> None:
        """The log is away: what it took, and was not heard, is yielded from memory too."""
        self._afloat += self._taken
        self._taken.clear()

    def come_home(self) -> None:
        """All that was afloat is in the log. It stays until it is heard, where somebody hears."""
        if not self.is_followed:
            self._dropped += len(self._afloat)
            self._afloat.clear()

    def hear(self, entries: Iterable[Entry]) -> None:
        """Lets go of what was heard in the log, and of all of its producers before it."""
        for entry in entries:
            self._heard[entry.producer] = entry.number
        while self._taken and self._is_heard(self._taken[0]):
            self._taken.popleft()
        while self._afloat and self._is_heard(self._afloat[0]):
            self._afloat.popleft()
            self._dropped += 1

    def after(self, count: int) -> tuple[list[Entry], int]:
        """What is afloat beyond so many that ever were, but for what was heard; and how many
        that makes."""
        beyond = islice(self._afloat, max(0, count - self._dropped), None)
        fresh = [entry for entry in beyond if not self._is_heard(entry)]
        return fresh, self._dropped + len(self._afloat)

    def _is_heard(self, entry: Entry) -> bool:
        return entry.number <= self.heard(entry.producer)
