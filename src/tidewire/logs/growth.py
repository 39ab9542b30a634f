"""A count of happenings that several may wait for; none of them misses one."""

import asyncio


class Growth:
    """Counts up. Whoever looked at the count before looking at anything else can wait for the
    next happening, although others wait as well and something may have happened meanwhile."""

    __slots__ = ("_next", "count")

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def grow(self) -> None:
        """Something happened."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def beyond(self, count: int) -> None:
        """Returns when more has happened than that."""
        while self.count == count:
            await self._next.wait()
