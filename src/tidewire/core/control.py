"""What nodes tell each other beside the log: commands, never events.

A command is sent to all nodes, the sender included, and each obeys for the streams that it
holds. So there is one way to act on a stream, wherever it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

from tidewire.core.target import Identity


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the streams that match every field that is set.

    Attributes:
        reason: told to the client.
        reconnect_after: milliseconds; None = do not come back.
        client_id: one stream.
        user_id: all streams of a user.
        instance_id: all streams of one tab of that user.
        spare: a stream that stays although it matches.
        spare_since: when that was asked for, Unix milliseconds: what is newer stays as well.
    """

    reason: str
    reconnect_after: int | None = None
    client_id: str | None = None
    user_id: str | None = None
    instance_id: str | None = None
    spare: str | None = None
    spare_since: int = 0


@dataclass(frozen=True, slots=True)
class Revoke:
    """A token, or all that a user holds, is good no more; its streams end.

    Attributes:
        at: Unix milliseconds; what a user got later is not meant.
        token_id: one token, by its ``jti``.
        user_id: everything that was issued to a user until then.
    """

    at: int
    token_id: str | None = None
    user_id: str | None = None

    def concerns(self, identity: Identity) -> bool:
        """Whether an open stream of this identity is to end."""
        if self.token_id is not None and identity.token_id == self.token_id:
            return True
        later = identity.issued_at is not None and identity.issued_at > self.at
        return identity.user_id == self.user_id and not later


@dataclass(frozen=True, slots=True)
class ChangeIdentity:
    """What a user may do has changed: open streams follow, and older credentials too.

    Attributes:
        user_id: whose.
        at: Unix milliseconds; what was issued later knows better.
        roles: the roles from now on; None = as before. The same for the other two.
        permissions: see above.
        topics: see above.
    """

    user_id: str
    at: int
    roles: frozenset[str] | None = None
    permissions: frozenset[str] | None = None
    topics: frozenset[str] | None = None

    @property
    def decides(self) -> frozenset[str]:
        """What it does not leave out."""
        fields = ("roles", "permissions", "topics")
        return frozenset(name for name in fields if getattr(self, name) is not None)

    def applied(self, identity: Identity) -> Identity:
        """The identity with what has changed; as it is, if it was issued later."""
        if identity.issued_at is not None and identity.issued_at > self.at:
            return identity
        return replace(
            identity,
            roles=identity.roles if self.roles is None else self.roles,
            permissions=identity.permissions if self.permissions is None else self.permissions,
            topics=identity.topics if self.topics is None else self.topics,
        )


@dataclass(frozen=True, slots=True)
class Displace:
    """Close the stream of a user that is longest stale or idle: there is to be room for another.

    Attributes:
        user_id: whose.
        node: on which node.
    """

    user_id: str
    node: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Let an instance of a user, which was told to stay away, not in for a while.

    Attributes:
        user_id: whose.
        instance_id: which.
    """

    user_id: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The log was cleared: what a node remembers of it is not to be read any more."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who is connected to a node: the lease of the node, which it renews.

    Attributes:
        node: its name, drawn at its start.
        users: user → how many open streams and held polls, and how many of these are stale or
            idle. Those whose numbers have changed; all there are if ``whole``.
        whole: whether users that are not named have none.
        figures: what the node says of itself; shown, and never decided by.
        asks: whether the others are to send theirs, because this node has just come.
        gone: whether the node goes down, and holds nobody any more.
    """

    node: str
    users: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)
    asks: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Renew:
    """Extend an open stream by a new credential of the same user, which the sender has checked.

    Attributes:
        client_id: which stream.
        identity: what the new credential proves.
        reply: names the question, for the answer.
    """

    client_id: str
    identity: Identity
    reply: str


@dataclass(frozen=True, slots=True)
class Inquire:
    """Say something to whoever asks.

    Attributes:
        what: the name of the question.
        parameters: what is asked about, JSON.
        reply: names the question, for the answers.
        asker: the node that asks.
    """

    what: str
    parameters: Mapping[str, Any]
    reply: str
    asker: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node says to `Inquire` or `Renew`.

    Attributes:
        reply: the question that is answered.
        node: which node says it.
        content: what it says, packed (`tidewire.core.inquiry`).
    """

    reply: str
    node: str
    content: str


Decision: TypeAlias = Revoke | ChangeIdentity
"""What has to be known to nodes that start later."""

Command: TypeAlias = (
    Disconnect | Decision | Displace | Refuse | Forget | Attendance | Renew | Inquire | Answer
)
Handler: TypeAlias = Callable[[Command], None]


class ControlBus(Protocol):
    """Carries commands to every node, in one order. Decisions are kept for nodes to come."""

    async def send(self, command: Command) -> bool:
        """Sends to all nodes, and waits until this one has heard it. False if only this node
        has: the others will hear a decision when they can be reached again, and nothing else."""
        ...

    @property
    def unsent(self) -> int:
        """How many commands only this node has heard, since its start."""
        ...

    def post(self, command: Command) -> None:
        """Sends to all nodes, this one included, without waiting for it. While they cannot be
        reached, only this one hears what is not a decision."""
        ...

    def listen(self, handler: Handler) -> None:
        """Calls the handler with every command that arrives, in order."""
        ...

    async def load(self) -> None:
        """Hears all decisions that were ever sent.

        Raises:
            LogAway: they cannot be read now.
        """
        ...

    async def flush(self) -> None:
        """Waits until what was posted is on its way, or cannot be."""
        ...

    async def close(self) -> None:
        """Sends nothing more."""
        ...


@runtime_checkable
class Carrying(Protocol):
    """What nodes share, and can also carry their commands: a log, mostly."""

    def bus(self) -> ControlBus:
        """The bus beside it."""
        ...


class LocalBus:
    """The bus of a node that is alone."""

    __slots__ = ("_handlers", "unsent")

    def __init__(self) -> None:
        self._handlers: list[Handler] = []
        self.unsent = 0

    async def send(self, command: Command) -> bool:
        self.post(command)
        return True

    def post(self, command: Command) -> None:
        for handler in self._handlers:
            handler(command)

    def listen(self, handler: Handler) -> None:
        self._handlers.append(handler)

    async def load(self) -> None:
        pass

    async def flush(self) -> None:
        pass

    async def close(self) -> None:
        pass
