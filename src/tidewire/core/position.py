"""Where an event stands in the log, and where a reader stands.

A position is ``<ms>-<offset>-<epoch>``. The offset alone gives the order; the milliseconds let
a reader start from a time; the epoch tells one log from another, so that a log that was lost
and begun anew is noticed and not guessed.
"""

import re
import secrets
from dataclasses import dataclass
from enum import Enum
from functools import total_ordering
from typing import Final, Self, TypeAlias

from tidewire.core.errors import InvalidCursor

MAX_CURSOR_LENGTH: Final = 256

MAX_SEEN: Final = 8
"""Producers that a cursor remembers at most: eight of the longest fit into its length."""

_NUMBER = r"(?:0|[1-9][0-9]{0,15})"
_POSITION = re.compile(rf"({_NUMBER})-({_NUMBER})-([a-z0-9]{{4,8}})")
_SEEN = re.compile(rf"([a-z][a-z0-9]{{0,15}})\.({_NUMBER})")
_MILLISECONDS = re.compile(_NUMBER)
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_name(length: int) -> str:
    """Draws a name of so many characters of ``[a-z0-9]``."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_epoch() -> str:
    """Draws the name of a new epoch: six characters."""
    return new_name(6)


@total_ordering
@dataclass(frozen=True, slots=True)
class Position:
    """The place of one event in one log.

    Attributes:
        ms: the log's clock at the append, Unix milliseconds; never goes backwards.
        offset: 1, 2, 3, … without holes; 0 only in the floor of a log that trimmed nothing.
        epoch: the log's name for this stretch of its life.
    """

    ms: int
    offset: int
    epoch: str

    def __str__(self) -> str:
        return f"{self.ms}-{self.offset}-{self.epoch}"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Position):
            return NotImplemented
        if self.epoch != other.epoch:
            raise ValueError(f"{self} and {other} are of different epochs and have no order")
        return self.offset < other.offset

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a position.

        Raises:
            InvalidCursor: the text is not a position.
        """
        match = _POSITION.fullmatch(text)
        if match is None:
            raise _malformed(text)
        return cls(int(match[1]), int(match[2]), match[3])


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, and what was already seen of spools that are not yet in the log.

    Attributes:
        position: everything up to here was read.
        seen: producer → number of its last event that was read, although it stands beyond
            ``position`` or in no log yet; by name, and empty nearly always.
    """

    position: Position
    seen: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return str(self.position) + "".join(f"~{name}.{number}" for name, number in self.seen)

    def last_seen(self, producer: str) -> int:
        """The number of the last event of a producer that was read out of turn; 0 if none."""
        for name, number in self.seen:
            if name == producer:
                return number
        return 0

    def reaches(self, other: "Cursor") -> bool:
        """Whether whoever stands here is known to have read all that is read by ``other``.

        Across epochs that is not known, and neither what was seen of a spool that has come home
        since; then the answer is no.
        """
        here, there = self.position, other.position
        return (
            here.epoch == there.epoch
            and here.offset >= there.offset
            and all(self.last_seen(name) >= number for name, number in other.seen)
        )

    def passed(self, position: Position, producer: str, number: int) -> "Cursor":
        """The cursor after an entry of the log at ``position``, seen before or not.

        A producer's numbers grow along the log. So once one stands there that is as high as the
        last that was seen, everything that was seen of it lies behind the cursor.
        """
        if not self.seen:
            return Cursor(position)
        return Cursor(
            position,
            tuple(part for part in self.seen if part[0] != producer or number < part[1]),
        )

    def saw(self, producer: str, number: int) -> "Cursor":
        """The cursor after an event of a spool.

        Of more than `MAX_SEEN` producers the one that is longest at rest is forgotten: the one
        with the lowest number. What it still brings to the log may come a second time.
        """
        seen = dict(self.seen)
        if number <= seen.get(producer, 0):
            return self
        seen[producer] = number
        if len(seen) > MAX_SEEN:
            del seen[min((name for name in seen if name != producer), key=seen.__getitem__)]
        return Cursor(self.position, tuple(sorted(seen.items())))

    def moved(self, position: Position) -> "Cursor":
        """The cursor at another position of the log, with the same seen of spools."""
        return Cursor(position, self.seen)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a cursor.

        Raises:
            InvalidCursor: longer than 256 characters, or not a cursor.
        """
        if len(text) > MAX_CURSOR_LENGTH:
            raise _malformed(text)
        head, *parts = text.split("~")
        seen = []
        for part in parts:
            match = _SEEN.fullmatch(part)
            if match is None:
                raise _malformed(text)
            seen.append((match[1], int(match[2])))
        if len({name for name, _ in seen}) != len(seen):
            raise _malformed(text)
        return cls(Position.parse(head), tuple(sorted(seen)))


class Edge(Enum):
    """The two ends of a log, as places to start from."""

    EARLIEST = "earliest"
    LATEST = "latest"

    def __str__(self) -> str:
        return self.value


Since: TypeAlias = Cursor | int | Edge
"""A place to start from: a cursor, Unix milliseconds (the first event with that or a later
time), or an end of the log. ``str()`` of each gives the text that `parse_since` reads."""


def parse_since(text: str) -> Since:
    """Reads what ``since``, ``lastEventId`` and ``Last-Event-ID`` may hold.

    Raises:
        InvalidCursor: neither a cursor, nor milliseconds, ``earliest`` or ``latest``.
    """
    if text in ("earliest", "latest"):
        return Edge(text)
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    return Cursor.parse(text)


def _malformed(text: str) -> InvalidCursor:
    shown = text if len(text) <= 64 else text[:64] + "…"
    return InvalidCursor(
        f"{shown!r} is not a cursor. Send one exactly as it was received "
        "(<ms>-<offset>-<epoch>), Unix milliseconds, 'earliest' or 'latest'."
    )
