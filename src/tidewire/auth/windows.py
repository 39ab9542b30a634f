"""Hits against a rate within a window that moves with every hit, in memory.

It decides as the moving window of the `limits` library does. The storage that the library has
for it in memory walks through all keys, by way of threads, at each hit, and has no bound.
"""

import hashlib
import json
import math
from array import array
from bisect import bisect_right
from typing import Final, NamedTuple, NoReturn, TypeAlias

from tidewire.core.clock import Clock
from tidewire.core.errors import RateLimited

MAX_KEYS: Final = 100_000
MAX_HITS: Final = 1_000_000
"""What one node remembers of one rate at most, about 15 MB (of hits, up to one window more);
beyond it, it forgets whom it has not seen for longest."""

MAX_KEY_LENGTH: Final = 64
"""A longer key is kept as its digest."""

Key: TypeAlias = str | bytes | tuple[str, ...]
Times: TypeAlias = "float | array[float]"
"""When somebody's hits were. Most have only one."""


class Allowance(NamedTuple):
    """What a rate said.

    Attributes:
        granted: whether this one was within the rate.
        limit: how many there may be in the time of the rate.
        remaining: how many there may still be now.
        reset: milliseconds until there may be one more than now.
        period: the time of the rate, seconds.
    """

    granted: bool
    limit: int
    remaining: int
    reset: int
    period: int

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-06, the last that has them apart;
        what client code reads. As ASGI has them."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % math.ceil(self.reset / 1000)),
        ]

    def refuse(self, what: str) -> NoReturn:
        """Tells that there was too much of something.

        Raises:
            RateLimited: always, with the time to wait.
        """
        raise RateLimited(
            f"More than {self.limit} {what} in {self.period} s. "
            f"Wait {math.ceil(self.reset / 1000)} s before the next.",
            retry_after=self.reset,
        )


class MovingWindow:
    """One rate, and whoever has hit it lately.

    They are kept in two generations: those who were seen since the last turn, and those who
    were before. When a whole window has gone by since a turn, all hits of the older ones are
    out of it, and they are forgotten at one stroke.
    """

    def __init__(
        self,
        limit: int,
        seconds: int,
        clock: Clock,
        *,
        max_keys: int = MAX_KEYS,
        max_hits: int = MAX_HITS,
    ) -> None:
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._max_keys = max_keys
        self._max_hits = max_hits
        self._younger: dict[Key, Times] = {}
        self._older: dict[Key, Times] = {}
        self._hits = 0
        self._older_hits = 0
        self._turned_at = clock.monotonic()

    def __len__(self) -> int:
        return len(self._younger) + len(self._older)

    @property
    def hits(self) -> int:
        """How many are remembered."""
        return self._hits + self._older_hits

    def hit(self, *names: str) -> Allowance:
        """Counts one by whoever the names are, if there may be one more."""
        now = self._clock.monotonic()
        key = _key(names)
        times = self._seen(key, now)
        first, count = _first(times, now)
        granted = count < self.limit
        if granted:
            if times is None:
                times = now
            elif isinstance(times, float):
                times = array("d", (times, now))
            else:
                times.append(now)
            self._younger[key] = times
            self._hits += 1
            count += 1
            if len(self._younger) * 2 >= self._max_keys or self._hits * 2 >= self._max_hits:
                self._turn(now)
        return self._allowance(granted, first, count, now)

    def look(self, *names: str) -> Allowance | None:
        """Whether there may be one more by whoever the names are; None if they have none."""
        now = self._clock.monotonic()
        times = self._seen(_key(names), now)
        if times is None:
            return None
        first, count = _first(times, now)
        return self._allowance(count < self.limit, first, count, now)

    def forget(self) -> None:
        """Forgets those whose hits have all gone out of the window."""
        now = self._clock.monotonic()
        if now - self._turned_at >= self.seconds:
            untouched = now - self._turned_at >= 2 * self.seconds
            self._turn(now)
            if untouched:
                self._turn(now)

    def _allowance(self, granted: bool, first: float, count: int, now: float) -> Allowance:
        # To whom was refused it is said to wait, also if a hit has just fallen out.
        reset = max(1, math.ceil((first + self.seconds - now) * 1000))
        remaining = self.limit - count if granted else 0
        return Allowance(granted, self.limit, remaining, reset, self.seconds)

    def _seen(self, key: Key, now: float) -> "Times | None":
        if now - self._turned_at >= self.seconds:
            self.forget()
        times = self._younger.get(key)
        if times is None:
            times = self._older.pop(key, None)
            if times is None:
                return None
            self._younger[key] = times
            self._older_hits -= _count(times)
            self._hits += _count(times)
        return self._within(key, times, now)

    def _within(self, key: Key, times: Times, now: float) -> "Times | None":
        since = now - self.seconds
        if isinstance(times, float):
            over, left = int(times <= since), 0
        else:
            over = bisect_right(times, since)
            left = len(times) - over
        if not over:
            return times
        self._hits -= over
        if not left:
            del self._younger[key]
            return None
        del times[:over]  # type: ignore[union-attr]
        return times

    def _turn(self, now: float) -> None:
        self._older, self._younger = self._younger, {}
        self._older_hits, self._hits = self._hits, 0
        self._turned_at = now


def _key(names: tuple[str, ...]) -> Key:
    if sum(map(len, names)) <= MAX_KEY_LENGTH:
        return names if len(names) > 1 else names[0]
    return hashlib.blake2b(json.dumps(names).encode(), digest_size=16).digest()


def _count(times: Times) -> int:
    return 1 if isinstance(times, float) else len(times)


def _first(times: "Times | None", now: float) -> tuple[float, int]:
    if times is None:
        return now, 0
    return (times, 1) if isinstance(times, float) else (times[0], len(times))
