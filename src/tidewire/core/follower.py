"""The follower: takes what the log yields, and follows it again after it has failed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tidewire.core.backoff import Delays
from tidewire.core.journal import Journal
from tidewire.core.log import EventLog, Page
from tidewire.core.position import Edge, Position


class Follower:
    """Follows one log for one hub.

    Attributes:
        failures: how often following has failed.
    """

    __slots__ = ("_deaf", "_ending", "_here", "_journal", "_log", "_take", "_task", "failures")

    def __init__(
        self,
        log: EventLog,
        *,
        here: Callable[[], Position],
        take: Callable[[Page], Awaitable[None]],
        journal: Journal,
    ) -> None:
        """``here`` says from where on; ``take`` is given each page."""
        self.failures = 0
        self._log = log
        self._here = here
        self._take = take
        self._journal = journal
        self._deaf = False
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def hearing(self) -> bool:
        """Whether the loop runs and its last step succeeded."""
        return self._task is not None and not self._task.done() and not self._deaf

    def begin(self) -> None:
        """Follows from now on."""
        self._task = asyncio.create_task(self._follow(), name="tidewire-follow")

    def again(self) -> bool:
        """Follows the log anew, from where this node has heard it: for a loop that has ended, or
        hangs. Returns whether it did; who has not begun follows nothing."""
        if self._task is None:
            return False
        # It is not waited for here: what hangs may take its time to end.
        self._task.cancel()
        self._ending.add(self._task)
        self._task.add_done_callback(self._ending.discard)
        self.begin()
        return True

    def cancel(self) -> list[asyncio.Task[None]]:
        """Follows no more; returns the tasks that end with this."""
        tasks = [*self._ending] if self._task is None else [*self._ending, self._task]
        self._task = None
        for task in tasks:
            task.cancel()
        return tasks

    async def _follow(self) -> None:
        delays = Delays()
        while True:
            try:
                if self._deaf:
                    # A log that answers is heard again, also while it has nothing new to say.
                    await self._log.read(Edge.LATEST, limit=0)
                    self._deaf = False
                async with contextlib.aclosing(self._log.follow(self._here())) as pages:
                    async for page in pages:
                        delays.reset()
                        await self._take(page)
                return
            except Exception as error:
                self._deaf = True
                self.failures += 1
                self._journal.note(
                    "following the log failed; it is tried again",
                    error=error,
                    code="FOLLOW_FAILED",
                    next_try=round(delays.seconds * 1000),
                )
                await delays.wait()
