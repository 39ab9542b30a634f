"""The canary: whether this node hears what its log holds.

It asks the log for its head, again and again. What the log held the last time, this node must have
heard since; else it is deaf, and the log is followed anew.
"""

import asyncio
from typing import Final

from tidewire.core.clock import Clock
from tidewire.core.errors import LogAway
from tidewire.core.hub import Hub
from tidewire.core.journal import Journal
from tidewire.core.position import Position

CANARY_SECONDS: Final = 2.0
HEAD_SECONDS: Final = 1.0

RESTART_FIRST_SECONDS: Final = 4.0
RESTART_LAST_SECONDS: Final = 32.0
"""How long a log that is followed anew may take to be heard, before it is followed anew again:
twice as long each time, so that a read that takes its time comes to its end."""

FOLLOWING: Final = ("FOLLOW_FAILED", "FOLLOW_STALLED", "CANARY_FAILED")
"""The codes of what may go wrong where the log is followed."""


class Canary:
    """Compares what the log holds with what the hub has heard.

    Attributes:
        deaf: whether what the log held one song ago has still not been heard.
    """

    __slots__ = (
        "_blind",
        "_clock",
        "_failures",
        "_heard_at",
        "_hub",
        "_journal",
        "_next",
        "_restart_at",
        "_restart_pause",
        "_unheard",
        "deaf",
    )

    def __init__(self, hub: Hub, *, clock: Clock, journal: Journal) -> None:
        self.deaf = False
        self._hub = hub
        self._clock = clock
        self._journal = journal
        self._blind = False
        self._failures = 0
        self._heard_at = clock.monotonic()
        self._next = 0.0
        self._unheard: Position | None = None
        self._restart_at = 0.0
        self._restart_pause = RESTART_FIRST_SECONDS

    def begin(self) -> None:
        """Counts from now on."""
        self._heard_at = self._clock.monotonic()
        self._next = self._heard_at + CANARY_SECONDS

    @property
    def age(self) -> float:
        """For how many seconds nothing has shown that this node hears what the log holds."""
        return self._clock.monotonic() - self._heard_at

    async def sing(self) -> None:
        """Looks whether the log is heard, where that is due. Raises what a log raises that
        cannot be read and is not away."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + CANARY_SECONDS
        heard = self._hub.position.offset
        was_deaf, was_blind = self.deaf, self._blind
        self._blind = False
        self.deaf = self._unheard is not None and self._unheard.offset > heard
        if self.deaf:
            self._note_stalled(now, begins=not was_deaf)
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                self._unheard = await self._hub.head()
        except (LogAway, TimeoutError) as error:
            # What the log holds nobody knows now; its own condition says that it is away.
            self._unheard = None
            self._blind = True
            if self._hub.condition.degraded:
                # A spool stands in for it, and that is heard.
                self._heard_at = now
            self._journal.note(
                "the head of the log could not be asked for",
                error=error,
                code="CANARY_FAILED",
                answered=True,
                next_try=round(CANARY_SECONDS * 1000),
            )
            return
        if self.deaf or not self._hub.hearing:
            return
        self._heard_at = now
        if was_deaf or was_blind or self._failures != self._hub.follower.failures:
            self._failures = self._hub.follower.failures
            self._journal.note("the log is heard again", recovered=FOLLOWING)

    def _note_stalled(self, now: float, *, begins: bool) -> None:
        """Notes that what the log holds is not heard. The log is followed anew with the first
        note, and then after growing pauses: a note that says when is none to act upon."""
        if begins:
            self._restart_at, self._restart_pause = now, RESTART_FIRST_SECONDS
        wait = self._restart_at - now
        if wait <= 0:
            self._restart_at = now + self._restart_pause
            self._restart_pause = min(2 * self._restart_pause, RESTART_LAST_SECONDS)
        self._journal.note(
            "the log grows and is not heard",
            error=TimeoutError(f"{self._unheard} has not been heard"),
            code="FOLLOW_STALLED",
            answered=not begins,
            next_try=round(wait * 1000) if wait > 0 else None,
        )
