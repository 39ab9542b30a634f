"""Garbage: it is not looked for in everything that lives while a crowd passes.

A connection lives long, and leaves no garbage. But when many come within seconds the collector
takes all that is new for a reason to look at all that there is, which takes tens of milliseconds
with ten thousand of them, again and again; and whoever is there waits for that.
"""

import asyncio
import gc
from typing import Final

CALM_SECONDS: Final = 1.0
"""How long nobody must have passed until the crowd is over."""

LONGEST_SECONDS: Final = 30.0
"""After so long it is looked for all the same, once."""

_NEVER: Final = 1_000_000_000


class Garbage:
    """When this process looks through what has lived long. What is young it always looks at."""

    __slots__ = ("_began", "_crowded", "_loop", "_old")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._old: int | None = None
        self._began = 0.0
        self._crowded = False

    def leave(self) -> None:
        """Somebody passes: leaves it for later."""
        self._crowded = True
        if self._old is None:
            young, middle, self._old = gc.get_threshold()
            gc.set_threshold(young, middle, _NEVER)
            self._began = self._loop.time()
            self._loop.call_later(CALM_SECONDS, self._look)

    def take(self) -> None:
        """Looks for it again whenever the collector finds it due."""
        if self._old is not None:
            young, middle, _ = gc.get_threshold()
            gc.set_threshold(young, middle, self._old)
            self._old = None

    def _look(self) -> None:
        if self._old is None:
            return
        if not self._crowded:
            self.take()
            return
        self._crowded = False
        if self._loop.time() - self._began >= LONGEST_SECONDS:
            gc.collect()
            self._began = self._loop.time()
        self._loop.call_later(CALM_SECONDS, self._look)
