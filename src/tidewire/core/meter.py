"""Who is told how long things take; `tidewire.health` counts it."""

from typing import Protocol


class Meter(Protocol):
    """Takes the time of what a hub does."""

    def published(self, seconds: float, events: int) -> None:
        """A publish was accepted, after so long."""
        ...

    def delivered(self, seconds: float) -> None:
        """An event was written to all live readers of this node, so long after its publish had
        begun. Some are measured, and not all."""
        ...


class NullMeter:
    """Counts nothing."""

    __slots__ = ()

    def published(self, seconds: float, events: int) -> None:
        pass

    def delivered(self, seconds: float) -> None:
        pass
