"""Who is told of comings and goings; `tidewire.http` tells the application."""

from collections.abc import Iterable
from typing import Protocol

from tidewire.core.connections import Connection


class Watch(Protocol):
    """Takes note of connections that begin and end."""

    def connected(self, connection: Connection) -> None:
        """A stream or held poll of this node has opened."""
        ...

    def disconnected(self, connection: Connection) -> None:
        """One that had opened has ended."""
        ...

    def lost(self, node: str, users: Iterable[str]) -> None:
        """A node has vanished, and these users' connections with it. One node is told."""
        ...


class NullWatch:
    """Tells nobody."""

    __slots__ = ()

    def connected(self, connection: Connection) -> None:
        pass

    def disconnected(self, connection: Connection) -> None:
        pass

    def lost(self, node: str, users: Iterable[str]) -> None:
        pass
