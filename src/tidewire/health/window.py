"""What happened within the last five minutes, and how long it took, without keeping any of it.

Times are counted in buckets that grow by a quarter of an octave, so a percentile is right to
within a fifth of itself, and costs one counter for each bucket that was hit.
"""

import math
from collections import deque
from typing import Any, Final

from tidewire.core.clock import Clock

WINDOW_SECONDS: Final = 300
SLICE_SECONDS: Final = 10

SMALLEST_MS: Final = 2.0**-6
"""The upper bound of the first bucket."""
PER_OCTAVE: Final = 4
OCTAVES: Final = 24
_LAST: Final = PER_OCTAVE * OCTAVES

PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def bucket_of(ms: float) -> int:
    """The number of the bucket that a time is counted in."""
    if ms <= SMALLEST_MS:
        return 0
    return min(_LAST, math.ceil(math.log2(ms / SMALLEST_MS) * PER_OCTAVE - 1e-9))


def bound_of(bucket: int) -> float:
    """The longest time that a bucket holds, milliseconds."""
    return SMALLEST_MS * 2 ** (bucket / PER_OCTAVE)


class Tally:
    """How often something happened, how often it failed, and how long it took.

    Attributes:
        count: how often.
        failed: how often of these it failed.
        amount: how many things that were, where several are done at once.
        buckets: bucket → how many times fell into it.
        ms: the sum of the times.
    """

    __slots__ = ("amount", "buckets", "count", "failed", "ms")

    def __init__(self) -> None:
        self.count = self.failed = self.amount = 0
        self.buckets: dict[int, int] = {}
        self.ms = 0.0

    def time(self, ms: float) -> None:
        """Counts how long one took."""
        bucket = bucket_of(ms)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.ms += ms

    def take_in(self, other: "Tally") -> None:
        """Adds what another one has."""
        self.count += other.count
        self.failed += other.failed
        self.amount += other.amount
        self.ms += other.ms
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    @property
    def timed(self) -> int:
        """How many times were taken."""
        return sum(self.buckets.values())

    @property
    def error_rate(self) -> float:
        """Failures in percent; 0 where nothing happened."""
        return round(100 * self.failed / self.count, 2) if self.count else 0.0

    def percentile(self, share: float) -> float | None:
        """The time, in milliseconds, that so large a share did not exceed; None without any."""
        left = math.ceil(share * self.timed)
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return round(bound_of(bucket), 3)
        return None

    def percentiles(self) -> dict[str, float | None]:
        """The percentiles that are shown, by name; milliseconds."""
        return {name: self.percentile(share) for name, share in PERCENTILES.items()}

    def to_json(self) -> dict[str, Any]:
        """For other nodes, which add it up or show it as a histogram."""
        return {"ms": round(self.ms, 3), "buckets": {str(b): n for b, n in self.buckets.items()}}


class Window:
    """The tally of the last five minutes, and that of all time."""

    __slots__ = ("_clock", "_current", "_ends", "_past", "_slices")

    def __init__(self, clock: Clock) -> None:
        self._past = Tally()
        self._current = Tally()
        self._ends = 0.0
        self._clock = clock
        self._slices: deque[tuple[int, Tally]] = deque()

    def add(self, ms: float | None = None, *, failed: bool = False, amount: int = 1) -> None:
        """Counts one.

        Args:
            ms: how long it took; None if that says nothing.
            failed: whether it failed.
            amount: how many things that were.
        """
        now = self._clock.monotonic()
        if now >= self._ends:
            self._begin(now)
        tally = self._current
        tally.count += 1
        tally.failed += failed
        tally.amount += amount
        if ms is not None:
            tally.time(ms)

    @property
    def total(self) -> Tally:
        """Since the start."""
        found = Tally()
        found.take_in(self._past)
        for _, tally in self._slices:
            found.take_in(tally)
        return found

    def recent(self) -> Tally:
        """The last five minutes, to within ten seconds."""
        found = Tally()
        oldest = self._clock.monotonic() // SLICE_SECONDS - WINDOW_SECONDS // SLICE_SECONDS
        for number, tally in self._slices:
            if number > oldest:
                found.take_in(tally)
        return found

    def _begin(self, now: float) -> None:
        """Begins a slice, and lets go of those that are too old."""
        number = int(now // SLICE_SECONDS)
        self._current = Tally()
        self._ends = (number + 1) * SLICE_SECONDS
        self._slices.append((number, self._current))
        while self._slices[0][0] <= number - WINDOW_SECONDS // SLICE_SECONDS:
            self._past.take_in(self._slices.popleft()[1])
