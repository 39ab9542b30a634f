"""The flight recorder: what became of connections, the newest of it, in a ring of fixed size.

It has a record of each change, and none of what is delivered: where a cursor stood at two changes
says what was written between them. The ring is made at once, by columns, and a record refers to
what is there already: an idle connection costs nothing in it.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from tidewire.core.clock import Clock
from tidewire.core.position import Cursor
from tidewire.core.target import Identity

RECORDS: Final = 20_000

What: TypeAlias = Literal[
    "opened",
    "resumed",
    "behind",
    "caughtUp",
    "refreshed",
    "identityChanged",
    "gap",
    "pinged",
    "polled",
    "closing",
    "closed",
]
"""What becomes of a connection."""

_WHATS: Final[tuple[What, ...]] = get_args(What)
_NUMBERS: Final = {what: number for number, what in enumerate(_WHATS)}


class Record(NamedTuple):
    """One change.

    Attributes:
        timestamp: Unix milliseconds.
        what: what happened.
        client_id: the stream; of a poll the name of its instance; "" where it has none, and
            where all live streams of the node are meant.
        identity: who it was, as they were then; None where all are meant.
        types: the event types that were wanted; empty = all.
        cursor: where the reader stood afterwards.
        since: where it had begun: of a poll the cursor, of a gap the place that was asked for.
        detail: why, in words.
    """

    timestamp: int
    what: What
    client_id: str
    identity: Identity | None
    types: frozenset[str]
    cursor: Cursor | None
    since: str | None
    detail: str | None

    @property
    def user_id(self) -> str:
        return "" if self.identity is None else self.identity.user_id

    def to_json(self, node: str) -> dict[str, Any]:
        """The record as administrators see it."""
        told = {
            "timestamp": self.timestamp,
            "clientId": self.client_id,
            "userId": self.user_id,
            "node": node,
            "what": self.what,
            "cursor": None if self.cursor is None else str(self.cursor),
            "detail": self.detail,
        }
        return told if self.since is None else {**told, "from": self.since}


class Recorder:
    """The records of one node.

    Attributes:
        gaps: how many gaps were told, by reason, since the start.
        endings: how many streams have ended, by reason, since the start.
    """

    __slots__ = (
        "_at",
        "_began",
        "_client",
        "_clock",
        "_cursor",
        "_detail",
        "_identity",
        "_next",
        "_since",
        "_size",
        "_types",
        "_what",
        "_wrapped",
        "endings",
        "gaps",
    )

    def __init__(self, clock: Clock, *, size: int = RECORDS) -> None:
        """Makes an empty ring of ``size`` records."""
        self.gaps: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self._clock = clock
        self._size = size
        self._began = clock.now()
        self._next = 0
        self._wrapped = False
        self._at = array("q", bytes(8 * size))
        self._what = bytearray(size)
        self._client: list[str] = [""] * size
        self._identity: list[Identity | None] = [None] * size
        self._types: list[frozenset[str]] = [frozenset()] * size
        self._cursor: list[Cursor | None] = [None] * size
        self._since: list[str | None] = [None] * size
        self._detail: list[str | None] = [None] * size

    def __len__(self) -> int:
        return self._size if self._wrapped else self._next

    @property
    def kept_since(self) -> int:
        """From when on everything is kept, Unix milliseconds."""
        return self._at[self._next] if self._wrapped else self._began

    def note(
        self,
        what: What,
        client_id: str,
        identity: Identity | None,
        types: frozenset[str] = frozenset(),
        *,
        cursor: Cursor | None = None,
        since: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Keeps a record, in place of the oldest one."""
        place = self._next
        self._at[place] = self._clock.now()
        self._what[place] = _NUMBERS[what]
        self._client[place] = client_id
        self._identity[place] = identity
        self._types[place] = types
        self._cursor[place] = cursor
        self._since[place] = since
        self._detail[place] = detail
        self._next = (place + 1) % self._size
        self._wrapped = self._wrapped or not self._next

    def of_client(self, client_id: str) -> list[Record]:
        """All of one stream, oldest first."""
        return list(self._found(lambda place: self._client[place] == client_id))

    def of_user(self, user_id: str) -> list[Record]:
        """All of one user, and what all streams of this node were told; oldest first."""

        def concerns(place: int) -> bool:
            identity = self._identity[place]
            return identity is None or identity.user_id == user_id

        return list(self._found(concerns))

    def _found(self, wanted: Callable[[int], bool]) -> Iterator[Record]:
        first = self._next if self._wrapped else 0
        for step in range(len(self)):
            place = (first + step) % self._size
            if wanted(place):
                yield Record(
                    self._at[place],
                    _WHATS[self._what[place]],
                    self._client[place],
                    self._identity[place],
                    self._types[place],
                    self._cursor[place],
                    self._since[place],
                    self._detail[place],
                )
