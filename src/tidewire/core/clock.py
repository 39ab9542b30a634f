"""Time, as something that is handed in, so that tests own it."""

import time
from typing import Protocol


class Clock(Protocol):
    """The two times that there are."""

    def now(self) -> int:
        """The wall clock, Unix milliseconds: for what people and tokens say."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: for how long something took."""
        ...


class SystemClock:
    """The machine's own time."""

    __slots__ = ()

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
