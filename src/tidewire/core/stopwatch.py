"""A stopwatch: how long it takes until what is published is accepted, and until it is written."""

from collections.abc import Sequence

from tidewire.core.clock import Clock
from tidewire.core.meter import Meter
from tidewire.core.position import Position


class Stopwatch:
    """Tells a meter. Until it is written one publish is timed at a time."""

    __slots__ = ("_clock", "_meter", "_timed")

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._clock = clock
        self._timed: tuple[int, float] | None = None

    def begin(self) -> float:
        """Now: monotonic seconds."""
        return self._clock.monotonic()

    def accepted(self, began: float, positions: Sequence[Position], here: Position | None) -> None:
        """What was published then has got these positions.

        Args:
            began: as `begin` said.
            positions: where it stands.
            here: how far in the log this node has heard; None where it has not begun to.
        """
        took = self._clock.monotonic() - began
        self._meter.published(took, len(positions))
        last = positions[-1]
        # In another epoch: in a spool, or of a key that was used before.
        if self._timed is not None or here is None or last.epoch != here.epoch:
            return
        if last.offset <= here.offset:
            self._meter.delivered(took)
        else:
            self._timed = last.offset, began

    def written(self, here: Position) -> None:
        """All live readers of this node have been written what the log has up to here."""
        if self._timed is not None and self._timed[0] <= here.offset:
            self._meter.delivered(self._clock.monotonic() - self._timed[1])
            self._timed = None
