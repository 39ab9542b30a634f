"""Waiting until something is so, where nothing tells of it. No test waits for a fixed time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

Value = TypeVar("Value")

PATIENCE: Final = 20.0
"""Seconds after which what is waited for does not come any more: far more than it takes on a
machine that has much else to do."""


class _Patience:
    """Ends a wait in vain, and says what was waited for."""

    def __init__(self, seconds: float, what: Callable[[], str]) -> None:
        self._seconds = seconds
        self._what = what
        self._end = time.monotonic() + seconds

    def check(self, told: object) -> None:
        if time.monotonic() > self._end:
            found = self._what() or repr(told)[:2000]
            raise AssertionError(f"not within {self._seconds} s: {found}")


async def until(
    found: Callable[[], Value | None], seconds: float = PATIENCE, what: Callable[[], str] = str
) -> Value:
    """Waits for a condition and returns what it found."""
    patience = _Patience(seconds, what)
    while not (value := found()):
        patience.check(value)
        await asyncio.sleep(0.002)
    return value


async def within_steps(condition: Callable[[], object], steps: int = 10_000) -> None:
    """Waits for a condition that comes in so many steps of the event loop, however long these
    take."""
    for _ in range(steps):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"not within {steps} steps")


async def until_told(
    ask: Callable[[], Awaitable[Value]],
    good: Callable[[Value], bool] = bool,
    seconds: float = PATIENCE,
    what: Callable[[], str] = str,
) -> Value:
    """Asks until the answer is good, and returns it."""
    patience = _Patience(seconds, what)
    while not good(told := await ask()):
        patience.check(told)
        await asyncio.sleep(0.02)
    return told


def wait_until(
    found: Callable[[], Value | None], seconds: float = PATIENCE, what: Callable[[], str] = str
) -> Value:
    """As `until`, for tests without an event loop."""
    patience = _Patience(seconds, what)
    while not (value := found()):
        patience.check(value)
        time.sleep(0.01)
    return value
