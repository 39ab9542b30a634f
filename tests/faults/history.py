"""What publishers were promised, and what a client was told: the two sides that are compared."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

USERS: Final = ("alice", "bob")
ROLE: Final = "staff"


@dataclass(frozen=True, slots=True)
class Who:
    """The identity of a client."""

    user: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class To:
    """Whom an event is for; with neither user nor role: everyone."""

    user: str | None = None
    role: str | None = None

    def includes(self, who: Who) -> bool:
        """The rule of who may see, written here once more: the suite does not ask the code that
        it tests."""
        if self.user is None and self.role is None:
            return True
        return self.user == who.user or self.role in who.roles

    @property
    def metadata(self) -> dict[str, Any]:
        metadata = {}
        if self.user is not None:
            metadata["userIds"] = [self.user]
        if self.role is not None:
            metadata["roles"] = [self.role]
        return metadata

    @classmethod
    def draw(cls, chance: random.Random) -> "To":
        return chance.choice([cls(), cls(), *(cls(user=user) for user in USERS), cls(role=ROLE)])


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event for which a publisher read a 2xx. Times are monotonic seconds.

    Attributes:
        publisher: who sent it; a publisher awaits each answer before it sends the next.
        number: its place among the events of this publisher: 1, 2, 3, …
        to: whom it is for.
        id: what the answer called it.
        durable: what the answer said.
        status: 200 or 202.
        node: the node that accepted it.
        began: when it was sent for the first time.
        ended: when the 2xx was read.
    """

    publisher: str
    number: int
    to: To = field(default_factory=To)
    id: str = ""
    durable: bool = True
    status: int = 200
    node: str = ""
    began: float = 0.0
    ended: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.publisher}-{self.number}"

    @property
    def epoch(self) -> str:
        """Of the log or the spool in which it was accepted."""
        return self.id.rpartition("-")[2]


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that a client received."""

    key: str
    id: str
    at: float = 0.0
    node: str = ""

    @property
    def publisher(self) -> str:
        return self.key.rpartition("-")[0]

    @property
    def number(self) -> int:
        return int(self.key.rpartition("-")[2])


@dataclass(frozen=True, slots=True)
class Hole:
    """A gap that a client was told of."""

    reason: str
    from_: str = ""
    to: str = ""
    at: float = 0.0


History: TypeAlias = Sequence[Seen | Hole]
"""What one client was told, in its order."""


def seen_in(history: History) -> list[Seen]:
    return [item for item in history if isinstance(item, Seen)]


def holes_in(history: History) -> list[Hole]:
    return [item for item in history if isinstance(item, Hole)]
