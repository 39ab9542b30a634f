"""How long to wait before the next attempt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Between which limits waits grow, in milliseconds."""

    first: float
    last: float

    def delay(self, attempt: int, random: float) -> int:
        """How long to wait before attempt number ``attempt`` (0 is the first one after a failure),
        with full jitter: anything between nothing and a limit that doubles each time. A whole crowd
        that lost the same server comes back spread out.

        Args:
            attempt: how many have failed since.
            random: from 0 up to but not including 1; given, so that the answer is a function of it.

        Returns:
            Milliseconds.
        """
        # 2.0 ** 1024 overflows.
        return round(random * min(self.last, self.first * (1 << min(attempt, 30))))
