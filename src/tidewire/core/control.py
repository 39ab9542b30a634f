"""What nodes tell each other beside the log: commands, never events.

A command is sent to all nodes, the sender included, and each obeys for the streams that it
holds. So there is one way to act on a stream, wherever it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

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
    """

    reason: str
    reconnect_after: int | None = None
    client_id: str | None = None
    user_id: str | None = None
    instance_id: str | None = None
    spare: str | None = None


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
        """The identity with what has changed."""
        return replace(
            identity,
            roles=identity.roles if self.roles is None else self.roles,
            permissions=identity.permissions if self.permissions is None else self.permissions,
            topics=identity.topics if self.topics is None else self.topics,
        )


Command: TypeAlias = Disconnect | Revoke | ChangeIdentity
Handler: TypeAlias = Callable[[Command], None]


class ControlBus(Protocol):
    """Carries commands to every node."""

    async def send(self, command: Command) -> None:
        """Sends to all nodes, this one included."""
        ...

    def listen(self, handler: Handler) -> None:
        """Calls the handler with every command that arrives, in order."""
        ...


class LocalBus:
    """The bus of a node that is alone."""

    __slots__ = ("_handlers",)

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    async def send(self, command: Command) -> None:
        for handler in self._handlers:
            handler(command)

    def listen(self, handler: Handler) -> None:
        self._handlers.append(handler)
