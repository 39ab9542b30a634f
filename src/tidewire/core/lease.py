"""The lease by which a node is there for the others, and by which it knows that it hears.

What it says of itself comes back to it by the way that everything comes from the others: a node
that does not hear itself is deaf.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tidewire.core.clock import Clock
from tidewire.core.connections import Connections
from tidewire.core.control import Attendance, ControlBus
from tidewire.core.journal import Journal
from tidewire.core.presence import LEASE_SECONDS, Presence
from tidewire.core.watch import Watch

ATTEND_SECONDS: Final = 1.0
RENEW_SECONDS: Final = 2.0
"""How often others are told whose numbers have changed, and how often they are told anything."""


class Lease:
    """One node's part in the presence of all."""

    def __init__(
        self,
        presence: Presence,
        connections: Connections,
        bus: ControlBus,
        *,
        clock: Clock,
        journal: Journal,
        watch: Watch,
        figures: Callable[[], Mapping[str, Any]],
    ) -> None:
        """``figures`` are what this node says of itself."""
        self._presence = presence
        self._connections = connections
        self._bus = bus
        self._clock = clock
        self._journal = journal
        self._watch = watch
        self._figures = figures
        self._next_attend = self._next_renew = 0.0
        self._told_at: float | None = None
        self._ticked_at: float | None = None
        self._was_alone = False
        self._unsent = bus.unsent
        self._begun = False

    def begin(self) -> None:
        """Says that this node is there, and asks who else is."""
        self._begun = True
        self._attend(whole=True, asks=True)

    def end(self) -> None:
        """Says that this node goes."""
        if self._begun:
            self._begun = False
            self._bus.post(Attendance(self._presence.node, gone=True))

    def unheard_for(self) -> float:
        """For how many seconds this node has not heard what it said; 0 if it has."""
        return 0.0 if self._told_at is None else self._clock.monotonic() - self._told_at

    def tick(self, *, alone: bool) -> None:
        """Renews the lease where that is due; lets go of the nodes whose lease is over, unless
        this node is ``alone`` for now and hears nobody."""
        now = self._clock.monotonic()
        stood_still = self._ticked_at is not None and now - self._ticked_at > RENEW_SECONDS
        if stood_still or (self._was_alone and not alone):
            # This node has heard nothing of the others meanwhile, nor they of it.
            self._presence.excuse(now)
            self._attend(whole=True, asks=True)
        elif not alone and self._bus.unsent != self._unsent and now >= self._next_attend:
            # What only this node has heard may have been about who is here.
            self._unsent = self._bus.unsent
            self._attend(whole=True)
        elif now >= (self._next_attend if self._connections.touched else self._next_renew):
            self._attend()
        self._ticked_at, self._was_alone = now, alone
        if alone or self.unheard_for() > RENEW_SECONDS:
            return
        for node, neighbour in self._presence.expire(now):
            self._presence.parted_at = self._clock.now()
            silence = TimeoutError(f"it said nothing for {LEASE_SECONDS:.0f} s")
            self._journal.note("a node has vanished", error=silence, code="NODE_LOST", lost=node)
            if self._presence.speaks_for(node):
                self._watch.lost(node, neighbour.users)

    def hear(self, told: Attendance) -> None:
        """Takes what a node says of itself."""
        now = self._clock.monotonic()
        if told.node == self._presence.node:
            if self.unheard_for() > RENEW_SECONDS:
                # Whoever is deaf does not know who is there.
                self._presence.excuse(now)
            self._told_at = None
            return
        self._presence.hear(told, now)
        if told.gone:
            self._presence.parted_at = self._clock.now()
        if told.asks and self._begun:
            self._attend(whole=True)

    def _attend(self, *, whole: bool = False, asks: bool = False) -> None:
        now = self._clock.monotonic()
        self._next_attend = now + ATTEND_SECONDS
        self._next_renew = now + RENEW_SECONDS
        if self._told_at is None:
            self._told_at = now
        told = self._presence.attendance(self._connections, self._figures(), whole=whole, asks=asks)
        for attendance in tuple(told):
            self._bus.post(attendance)
