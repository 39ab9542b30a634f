"""What nodes tell each other beside the log: commands, never events.

A command is sent to all nodes, the sender included, and each obeys for the streams that it
holds. So there is one way to act on a stream, wherever it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


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


Handler = Callable[[Disconnect], None]


class ControlBus(Protocol):
    """Carries commands to every node."""

    async def send(self, command: Disconnect) -> None:
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

    async def send(self, command: Disconnect) -> None:
        for handler in self._handlers:
            handler(command)

    def listen(self, handler: Handler) -> None:
        self._handlers.append(handler)
