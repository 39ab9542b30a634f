"""Whether a node accepts and delivers, and that it is said when this changes."""

from typing import Final

from tidewire.core.canary import Canary
from tidewire.core.errors import Unavailable
from tidewire.core.hub import Hub
from tidewire.core.journal import Journal
from tidewire.core.lease import Lease

UNHEARD_SECONDS: Final = 7.5
"""How long this node may not hear what it tells itself, before it is deaf."""


class Readiness:
    """Is there while a node follows its log, is not behind what the log itself said it holds, and
    hears what it tells itself. While the log is away and a spool stands in for it, there is
    nothing else to hear."""

    __slots__ = ("_canary", "_hub", "_journal", "_lease", "_told")

    def __init__(self, hub: Hub, canary: Canary, lease: Lease, journal: Journal) -> None:
        self._hub = hub
        self._canary = canary
        self._lease = lease
        self._journal = journal
        self._told = True

    @property
    def holds(self) -> bool:
        """Whether this node accepts and delivers."""
        condition = self._hub.condition
        unheard = not condition.degraded and self._lease.unheard_for() > UNHEARD_SECONDS
        works = condition.accepts and condition.hearing and self._hub.hearing
        return works and not (self._canary.deaf or unheard)

    def tell(self) -> None:
        """Notes that the node is ready or is not, where that has changed."""
        ready = self.holds
        if ready is self._told:
            return
        self._told = ready
        if ready:
            self._journal.note("this node is ready again", recovered=["NOT_READY"])
            return
        why = self._hub.condition.reason or "it does not hear its log"
        self._journal.note(
            "this node is not ready", error=Unavailable(f"Not ready: {why}."), code="NOT_READY"
        )
