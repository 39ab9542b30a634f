"""Values that take a while to make."""

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A value that is made when somebody asks for it first: once, whoever else asks meanwhile."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: T | None = None

    def get(self) -> T:
        """The value. Raises as what makes it; the next who asks tries again."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made

    async def wait(self) -> T:
        """As `get`, and nobody else on the event loop waits for it."""
        return await asyncio.to_thread(self.get) if self._made is None else self._made
