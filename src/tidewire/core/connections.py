"""The registry of open streams and held polls: states, the index by user, figures."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tidewire.core.frame import Control
from tidewire.core.reader import Reader


class ConnectionState(Enum):
    """The life of a connection. What *we* write is no sign of the peer's life."""

    # There is one of each: the hash of a number is far cheaper than that of a name.
    __hash__ = object.__hash__

    CONNECTING = "connecting"
    """Accepted, first bytes not yet written."""
    CONNECTED = "connected"
    """Live, or catching up."""
    IDLE = "idle"
    """Nothing but pings for three minutes."""
    STALE = "stale"
    """What we write is not taken."""
    DISCONNECTING = "disconnecting"
    """Told to go, closing."""


class Happening(Enum):
    """What moves a connection from one state to another."""

    __hash__ = object.__hash__

    OPENED = "opened"
    QUIET = "quiet"
    DELIVERED = "delivered"
    BLOCKED = "blocked"
    DRAINED = "drained"
    CLOSING = "closing"


_S, _H = ConnectionState, Happening

TRANSITIONS: Final[dict[tuple[ConnectionState, Happening], ConnectionState]] = {
    (_S.CONNECTING, _H.OPENED): _S.CONNECTED,
    (_S.CONNECTED, _H.QUIET): _S.IDLE,
    (_S.CONNECTED, _H.BLOCKED): _S.STALE,
    (_S.IDLE, _H.DELIVERED): _S.CONNECTED,
    (_S.IDLE, _H.BLOCKED): _S.STALE,
    (_S.STALE, _H.DRAINED): _S.CONNECTED,
    (_S.CONNECTING, _H.CLOSING): _S.DISCONNECTING,
    (_S.CONNECTED, _H.CLOSING): _S.DISCONNECTING,
    (_S.IDLE, _H.CLOSING): _S.DISCONNECTING,
    (_S.STALE, _H.CLOSING): _S.DISCONNECTING,
}
"""Every move that there is. What is not here does not happen."""

_SPARE: Final = (ConnectionState.STALE, ConnectionState.IDLE)

IDLE_AFTER: Final = 180.0
"""Seconds without an event after which a connection is idle."""


def new_client_id() -> str:
    """Draws a client id: 128 random bits, as hex."""
    return secrets.token_hex(16)


class Census:
    """How many connections there are: in each state, and over each transport.

    It moves with them, so that whoever asks how many there are need not look at each.

    Attributes:
        states: of each state.
        transports: over each transport, ``sse`` and ``polling``.
    """

    __slots__ = ("states", "transports")

    def __init__(self) -> None:
        self.states = dict.fromkeys(ConnectionState, 0)
        self.transports: Counter[str] = Counter()

    def enter(self, connection: "Connection") -> None:
        """Counts a connection from now on."""
        connection.census = self
        self.states[connection.state] += 1
        self.transports[connection.transport] += 1

    def leave(self, connection: "Connection") -> None:
        """Counts it no more."""
        connection.census = None
        self.states[connection.state] -= 1
        self.transports[connection.transport] -= 1

    def move(self, before: ConnectionState, after: ConnectionState) -> None:
        """One that is counted has gone from one state to another."""
        self.states[before] -= 1
        self.states[after] += 1


@dataclass(slots=True, eq=False)
class Connection:
    """One open stream or held poll.

    Attributes:
        reader: what it reads.
        transport: ``sse`` or ``polling``.
        connected_at: Unix milliseconds.
        opened: monotonic seconds of the same moment.
        client_type: what the client calls itself.
        client_info: what else it says of itself.
        instance_id: a tab's own name; its new stream replaces its old one.
        id: 128 random bits, as hex.
        state: where it is in its life; changed by `happen` alone.
        authority_ends: until when it may stay open, Unix milliseconds.
        look_at: when its authority is looked at next; None while nobody has to.
        reason: why it ends, once that is known.
        settled: whether all nodes have heard that it replaced what its instance had before.
        census: where it is counted; None while it is registered nowhere.
    """

    reader: Reader
    transport: str
    connected_at: int
    opened: float
    client_type: str | None = None
    client_info: str | None = None
    instance_id: str | None = None
    id: str = field(default_factory=new_client_id)
    state: ConnectionState = ConnectionState.CONNECTING
    authority_ends: int = 0
    look_at: int | None = None
    reason: str | None = None
    settled: bool = True
    census: Census | None = field(default=None, repr=False)

    @property
    def user_id(self) -> str:
        return self.reader.identity.user_id

    @property
    def closing(self) -> bool:
        return self.state is ConnectionState.DISCONNECTING

    def happen(self, what: Happening) -> bool:
        """Moves to the next state; False where the table has no such move."""
        following = TRANSITIONS.get((self.state, what))
        if following is None:
            return False
        if self.census is not None:
            self.census.move(self.state, following)
        self.state = following
        return True

    def tell(self, control: Control) -> None:
        """Writes a control event, whether there is room or not."""
        sink = self.reader.sink
        sink.write(sink.encoding.control(control))

    def blocked(self, now: float, stale_after: float) -> bool:
        """Whether the peer has taken nothing for more than ``stale_after`` seconds."""
        since = self.reader.sink.blocked_since()
        return since is not None and now - since > stale_after

    def look(self, now: float, stale_after: float) -> None:
        """Brings the state up to date; both times in seconds, ``now`` monotonic."""
        quiet = now - max(self.opened, self.reader.delivered_at)
        if self.blocked(now, stale_after):
            self.happen(Happening.BLOCKED)
        else:
            self.happen(Happening.DRAINED)
            self.happen(Happening.QUIET if quiet > IDLE_AFTER else Happening.DELIVERED)


class Connections:
    """All connections of this node.

    Attributes:
        touched: the users whose numbers may have changed since somebody took note of them.
    """

    __slots__ = ("_by_id", "_by_user", "_census", "touched")

    def __init__(self) -> None:
        self.touched: set[str] = set()
        self._census = Census()
        self._by_id: dict[str, Connection] = {}
        # Most users have one, and a dict for it would weigh more than the connection.
        self._by_user: dict[str, dict[Connection, None] | Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._by_id.values())

    def add(self, connection: Connection) -> None:
        """Takes a connection in; a second time does nothing.

        Raises:
            ValueError: it is in another registry, or another one has its id.
        """
        if connection.census is self._census:
            return
        if connection.census is not None or connection.id in self._by_id:
            raise ValueError("a connection is in one registry, under an id of its own")
        self._by_id[connection.id] = connection
        self._census.enter(connection)
        user_id = connection.user_id
        siblings = self._by_user.get(user_id)
        if siblings is None:
            self._by_user[user_id] = connection
        elif isinstance(siblings, dict):
            siblings[connection] = None
        else:
            self._by_user[user_id] = {siblings: None, connection: None}
        self.touched.add(user_id)

    def remove(self, connection: Connection) -> None:
        """Takes a connection out; a second time does nothing."""
        if connection.census is not self._census:
            return
        del self._by_id[connection.id]
        self._census.leave(connection)
        user_id = connection.user_id
        siblings = self._by_user[user_id]
        self.touched.add(user_id)
        if isinstance(siblings, dict):
            del siblings[connection]
            if siblings:
                return
        del self._by_user[user_id]

    def get(self, client_id: str) -> Connection | None:
        return self._by_id.get(client_id)

    def of_user(self, user_id: str) -> tuple[Connection, ...]:
        """A user's connections, the oldest first."""
        found = self._by_user.get(user_id, ())
        return (found,) if isinstance(found, Connection) else tuple(found)

    def named(
        self, client_id: str | None, user_id: str | None, instance_id: str | None
    ) -> list[Connection]:
        """Those that match every name that is given; none, where neither a connection nor a user
        is named."""
        if client_id is not None:
            candidates = [self.get(client_id)]
        else:
            candidates = [] if user_id is None else [*self.of_user(user_id)]
        return [
            connection
            for connection in candidates
            if connection is not None
            and user_id in (None, connection.user_id)
            and instance_id in (None, connection.instance_id)
        ]

    def open_of(self, user_id: str) -> int:
        """How many of a user's connections are not on their way out."""
        return sum(not connection.closing for connection in self.of_user(user_id))

    def numbers_of(self, user_id: str) -> tuple[int, int]:
        """How many of a user's connections are open, and how many of these stale or idle."""
        states = [connection.state for connection in self.of_user(user_id)]
        spare = sum(state in _SPARE for state in states)
        return sum(state is not ConnectionState.DISCONNECTING for state in states), spare

    def all_users(self) -> Iterable[str]:
        return tuple(self._by_user)

    @property
    def users(self) -> int:
        """How many different users are connected."""
        return len(self._by_user)

    def states(self) -> dict[str, int]:
        """How many connections there are in each state, all states named."""
        return {state.value: number for state, number in self._census.states.items()}

    def transports(self) -> Counter[str]:
        """How many connections there are over each transport."""
        return self._census.transports.copy()

    @property
    def closing(self) -> int:
        """How many are on their way out."""
        return self._census.states[ConnectionState.DISCONNECTING]

    def sweep(self, connection: Connection, now: float, stale_after: float) -> bool:
        """Brings the state of a connection up to date; returns whether it is to be closed.

        A connection whose peer has taken nothing for ``stale_after`` seconds becomes stale, and
        is to be closed if the next sweep still finds it so. So is one that was told to go and
        whose peer does not even take that: it would never end by itself.

        Args:
            connection: which.
            now: monotonic seconds.
            stale_after: seconds.
        """
        before = connection.state
        was_stale = before is ConnectionState.STALE
        connection.look(now, stale_after)
        if connection.state is not before:
            self.touched.add(connection.user_id)
        still_stale = was_stale and connection.state is ConnectionState.STALE
        return still_stale or (connection.closing and connection.blocked(now, stale_after))

    def dispensable(self, user_id: str, now: float, stale_after: float) -> Connection | None:
        """The oldest stale or else idle connection of a user, to make room for a new one."""
        mine = self.of_user(user_id)
        for connection in mine:
            connection.look(now, stale_after)
        for state in _SPARE:
            for connection in mine:
                if connection.state is state:
                    return connection
        return None
