"""Handing a connection over: what a server may offer to a stream, so that it is written to
without the request that opened it."""

from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol

from tidewire.core.clock import Clock
from tidewire.core.reader import Sink

HANDOVER: Final = "tidewire.handover"
"""In ``scope["extensions"]``, from a server that can do it: a `Handover`."""


class Handover(Protocol):
    """One request's connection, which its stream may take over once its first bytes have reached
    the server unchanged."""

    @property
    def taken(self) -> bool:
        """Whether the stream has taken it over: the application has returned, and the answer
        goes on."""
        ...

    def mark(self, start: MutableMapping[str, Any]) -> None:
        """Marks the message that starts the answer, so that it is known again at its
        arrival."""
        ...

    def take(
        self, first: bytes, *, named: bool, clock: Clock, ended: Callable[[], None]
    ) -> Sink | None:
        """Takes the connection over, after the marked message and then ``first`` were sent.

        Args:
            first: the body that was sent, the very object.
            named: how the stream is encoded.
            clock: where the stream's time comes from.
            ended: called once when the connection is gone, by whomever.

        Returns:
            Where to write from now on; None if something between the application and the
            server has changed or held back what was sent, and may do so again. Then nothing
            has happened.
        """
        ...

    def on_end(self, call: Callable[[], None]) -> None:
        """Calls when the connection that was taken over is gone."""
        ...
