"""How long the core waits before it tries again."""

import asyncio
from typing import Final

FIRST_SECONDS: Final = 0.05
LAST_SECONDS: Final = 5.0


class Delays:
    """Waits between tries, each twice as long as the one before.

    Attributes:
        seconds: how long the next one is.
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = FIRST_SECONDS

    def reset(self) -> None:
        """Begins anew: a try has succeeded."""
        self.seconds = FIRST_SECONDS

    async def wait(self, longest: float | None = None) -> None:
        """Waits. The next time is ``longest`` seconds at most; by default `LAST_SECONDS`."""
        await asyncio.sleep(self.seconds)
        self.seconds = min(self.seconds * 2, LAST_SECONDS if longest is None else longest)
