"""Who is connected where: what the other nodes say of themselves. No I/O, no time of its own.

Each node renews a lease, and tells with it whose numbers have changed. So whether a user has
room for one more stream is known without asking anybody, and a node that was killed vanishes
with its lease.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidewire.core.connections import Connections
from tidewire.core.control import Attendance

LEASE_SECONDS: Final = 25.0
"""How long a node that says nothing is believed to be there."""

USERS_TOGETHER: Final = 5_000
"""Users that one message names at most."""


@dataclass(slots=True)
class Neighbour:
    """Another node.

    Attributes:
        heard_at: when it said something last, monotonic seconds.
        users: user → how many open streams and held polls, and how many stale or idle ones.
        figures: what it says of itself.
    """

    heard_at: float
    users: dict[str, tuple[int, int]] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)


class Presence:
    """The other nodes, as this one knows them."""

    __slots__ = ("_neighbours", "node", "parted_at")

    def __init__(self, node: str) -> None:
        """``node``: the name of this one."""
        self.node = node
        self.parted_at = 0
        """When another node went or was lost last, Unix ms; 0 = never. What it remembered of
        the time before that is gone with it."""
        self._neighbours: dict[str, Neighbour] = {}

    def __iter__(self) -> Iterator[tuple[str, Neighbour]]:
        return iter(sorted(self._neighbours.items()))

    def __len__(self) -> int:
        return len(self._neighbours)

    def hear(self, told: Attendance, now: float) -> None:
        """Takes what another node says of itself; ``now`` in monotonic seconds."""
        if told.gone:
            self._neighbours.pop(told.node, None)
            return
        neighbour = self._neighbours.setdefault(told.node, Neighbour(now))
        neighbour.heard_at = now
        if told.figures:
            neighbour.figures = told.figures
        if told.whole:
            neighbour.users.clear()
        for user, (opened, spare) in told.users.items():
            if opened:
                neighbour.users[user] = (opened, spare)
            else:
                neighbour.users.pop(user, None)

    def elsewhere(self, user_id: str) -> int:
        """How many open streams and held polls a user has on other nodes."""
        return sum(one.users.get(user_id, (0, 0))[0] for one in self._neighbours.values())

    def dispensable(self, user_id: str) -> str | None:
        """A node where a user has a stale or idle stream."""
        for node, one in self:
            if one.users.get(user_id, (0, 0))[1]:
                return node
        return None

    @property
    def users(self) -> set[str]:
        """All users of the other nodes."""
        return {user for one in self._neighbours.values() for user in one.users}

    def excuse(self, now: float) -> None:
        """Renews all leases: it was this node that heard nothing."""
        for neighbour in self._neighbours.values():
            neighbour.heard_at = now

    def expire(self, now: float) -> list[tuple[str, Neighbour]]:
        """Lets go of the nodes whose lease is over, and returns them."""
        over = [item for item in self if now - item[1].heard_at > LEASE_SECONDS]
        for node, _ in over:
            del self._neighbours[node]
        return over

    def speaks_for(self, lost: str) -> bool:
        """Whether it is this node that tells of another one's end: one of them does."""
        return all(self.node < node for node, _ in self if node != lost)

    def attendance(
        self,
        connections: Connections,
        figures: Mapping[str, Any],
        *,
        whole: bool = False,
        asks: bool = False,
    ) -> Iterator[Attendance]:
        """What this node says of itself: of the users whose numbers have changed since, or of
        all; in as many messages as it takes."""
        named = connections.all_users() if whole else connections.touched
        users = [(user, connections.numbers_of(user)) for user in named]
        connections.touched.clear()
        for begin in range(0, len(users) or 1, USERS_TOGETHER):
            first = begin == 0
            yield Attendance(
                self.node,
                dict(users[begin : begin + USERS_TOGETHER]),
                whole=whole and first,
                figures=figures if first else {},
                asks=asks and first,
            )
