"""What one node measures of itself."""

from tidewire.core.clock import Clock
from tidewire.health.window import Window


class Measures:
    """The windows of one node; the `tidewire.core.meter.Meter` of its hub.

    Attributes:
        requests: answers over HTTP, by the time to their first byte. Polls that were held are
            counted and not timed, and probes are neither.
        attempts: authentications with some credential.
        publishes: publishes that were accepted, and their events.
        deliveries: events that were written to all live readers, some of all.
    """

    def __init__(self, clock: Clock) -> None:
        self.requests = Window(clock)
        self.attempts = Window(clock)
        self.publishes = Window(clock)
        self.deliveries = Window(clock)

    def answered(self, status: int, seconds: float | None) -> None:
        """An answer with this status has begun, after so long."""
        self.requests.add(None if seconds is None else seconds * 1000, failed=status >= 400)

    def published(self, seconds: float, events: int) -> None:
        self.publishes.add(seconds * 1000, amount=events)

    def delivered(self, seconds: float) -> None:
        self.deliveries.add(seconds * 1000)
