"""Whether there is room for one more connection, and who is not let in for a while."""

from typing import Final, NamedTuple

from tidewire.core.clock import Clock
from tidewire.core.connections import Connection, Connections
from tidewire.core.control import Displace
from tidewire.core.errors import Forbidden, NodeFull, TooManyConnections
from tidewire.core.presence import Presence

TRY_AGAIN_MS: Final = 5_000

REFUSED_SECONDS: Final = 60.0
"""How long an instance that was told to stay away is not let in."""


class Caps(NamedTuple):
    """How many connections there may be at a time; 0 = no cap.

    Attributes:
        user: open streams and held polls of one user.
        node: of this node in all.
    """

    user: int = 10
    node: int = 0


class Admission:
    """Counts who is there, and remembers who was sent away."""

    def __init__(
        self,
        connections: Connections,
        presence: Presence,
        caps: Caps,
        clock: Clock,
        stale_after: float,
    ) -> None:
        """``stale_after``: seconds, as `Connection.look` takes them."""
        self._connections = connections
        self._presence = presence
        self._caps = caps
        self._clock = clock
        self._stale_after = stale_after
        self._refused: dict[tuple[str, str], float] = {}

    def make_room(self, user_id: str, *, leaving: int = 0) -> Connection | Displace | None:
        """What has to go so that a user may have one more: a connection of this node, or one of
        another. None if there is room.

        Args:
            user_id: whose.
            leaving: how many of the user's connections are about to go anyway.

        Raises:
            NodeFull: this node has as many as it can hold.
            TooManyConnections: the user has, and none of them is stale or idle.
        """
        if self._is_full(leaving):
            raise NodeFull(
                "This server has as many connections as it can hold. Try again, perhaps another.",
                retry_after=TRY_AGAIN_MS,
            )
        if not self._caps.user:
            return None
        here = self._connections.open_of(user_id) - leaving
        if here + self._presence.elsewhere(user_id) < self._caps.user:
            return None
        spare = self.dispensable(user_id)
        if spare is not None:
            return spare
        node = self._presence.dispensable(user_id)
        if node is not None:
            return Displace(user_id, node)
        raise TooManyConnections(
            f"You have {self._caps.user} open streams and held polls, which is the limit. "
            "Close one, share one between tabs, or poll without 'wait'.",
            retry_after=TRY_AGAIN_MS,
        )

    def dispensable(self, user_id: str) -> Connection | None:
        """The connection of a user on this node that can best be spared."""
        return self._connections.dispensable(user_id, self._clock.monotonic(), self._stale_after)

    def _is_full(self, leaving: int) -> bool:
        cap = self._caps.node
        return 0 < cap <= len(self._connections) - self._connections.closing - leaving

    def refuse(self, user_id: str, instance_id: str) -> None:
        """Lets an instance not in for a minute."""
        now = self._clock.monotonic()
        self._refused = {who: until for who, until in self._refused.items() if until > now}
        self._refused[user_id, instance_id] = now + REFUSED_SECONDS

    def check_refused(self, connection: Connection) -> None:
        """Lets everybody else pass.

        Raises:
            Forbidden: this instance was told to stay away, less than a minute ago.
        """
        if connection.instance_id is None:
            return
        until = self._refused.get((connection.user_id, connection.instance_id))
        if until is not None and self._clock.monotonic() < until:
            raise Forbidden("This stream was ended by an administrator. Try again in a minute.")
