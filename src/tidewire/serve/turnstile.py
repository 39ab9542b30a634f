"""Who comes and who goes pass one after the other, so that a crowd does not stop everybody else.

When a network fails thousands of connections end at once, and their clients are back within a
second. What each of them takes waits here, in order, and so much of it is done between two looks
at all that is open: what is published meanwhile still reaches those who are there.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

AT_A_TIME: Final = 2
"""Calls between two looks at everything else."""


class Turnstile:
    """What is to be done for those who come and go, in the order in which they do."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_enter: Callable[[], None] | None = None
    ) -> None:
        """``on_enter`` is called whenever somebody comes."""
        self._loop = loop
        self._on_enter = on_enter
        self._waiting: deque[Callable[[], None]] = deque()
        self._passed = 0
        self._turning = False

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, call: Callable[[], None]) -> None:
        """Calls, at once or when its turn comes."""
        if self._on_enter is not None:
            self._on_enter()
        if not self._turning:
            self._turning = True
            self._passed = 0
            self._loop.call_soon(self._turn)
        if self._passed < AT_A_TIME and not self._waiting:
            self._passed += 1
            call()
        else:
            self._waiting.append(call)

    def _turn(self) -> None:
        self._passed = 0
        try:
            while self._waiting and self._passed < AT_A_TIME:
                self._passed += 1
                self._waiting.popleft()()
        finally:
            # Once more after the last: who comes right after it is still of the same crowd.
            self._turning = bool(self._passed)
            if self._turning:
                self._loop.call_soon(self._turn)
