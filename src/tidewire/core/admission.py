"""Whether there is room for one more connection, and who is not let in for a while."""

from dataclasses import dataclass
from typing import Final

from tidewire.core.clock import Clock
from tidewire.core.connections import Connection, Connections
from tidewire.core.errors import Forbidden, NodeFull, TooManyConnections

TRY_AGAIN_MS: Final = 5_000

REFUSED_SECONDS: Final = 60.0
"""How long an instance that was told to stay away is not let in."""


@dataclass(frozen=True, slots=True)
class Caps:
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
        self, connections: Connections, caps: Caps, clock: Clock, stale_after: float
    ) -> None:
        """``stale_after``: seconds, as `Connection.look` takes them."""
        self._connections = connections
        self._caps = caps
        self._clock = clock
        self._stale_after = stale_after
        self._refused: dict[tuple[str, str], float] = {}

    def make_room(self, user_id: str, *, leaving: int = 0) -> Connection | None:
        """The connection that has to go so that a user may have one more; None if there is room.

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
        if not self._caps.user or self._connections.open_of(user_id) - leaving < self._caps.user:
            return None
        now = self._clock.monotonic()
        spare = self._connections.dispensable(user_id, now, self._stale_after)
        if spare is None:
            raise TooManyConnections(
                f"You have {self._caps.user} open streams and held polls, which is the limit. "
                "Close one, share one between tabs, or poll without 'wait'.",
                retry_after=TRY_AGAIN_MS,
            )
        return spare

    def _is_full(self, leaving: int) -> bool:
        cap = self._caps.node
        # Those on their way out are counted only where it matters: that takes a look at each.
        return (
            0 < cap <= len(self._connections) - leaving
            and sum(not other.closing for other in self._connections) - leaving >= cap
        )

    def refuse(self, connection: Connection) -> None:
        """Lets the instance of this connection not in for a minute, if it has a name."""
        if connection.instance_id is not None:
            now = self._clock.monotonic()
            self._refused = {who: until for who, until in self._refused.items() if until > now}
            self._refused[connection.user_id, connection.instance_id] = now + REFUSED_SECONDS

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
