"""How one node is, as whoever asks it is told, also before it has started."""

from typing import Any

from tidewire.core.clock import Clock
from tidewire.health.measures import Measures
from tidewire.http.figures import overall
from tidewire.http.life import Life


class Vitals:
    """What is read of a node, or said where there is none."""

    def __init__(self, life: Life, measures: Measures, clock: Clock) -> None:
        self._life = life
        self._measures = measures
        self._clock = clock

    @property
    def ready(self) -> bool:
        """Whether this node accepts and delivers."""
        node = self._life.node
        return node is not None and node.keeper.ready

    @property
    def draining(self) -> bool:
        """Whether this node is going down."""
        node = self._life.node
        return node is not None and node.keeper.draining

    @property
    def status(self) -> str:
        """``healthy``; ``degraded`` where something needs a look, as while a spool stands in for
        the log; ``unhealthy`` where this node cannot accept and deliver."""
        node = self._life.node
        if node is None or not node.keeper.ready:
            return "unhealthy"
        return overall(node.figures.components())

    @property
    def degraded(self) -> bool:
        """Whether a spool stands in for the log."""
        node = self._life.node
        return node is not None and node.hub.condition.degraded

    @property
    def uptime(self) -> int:
        """Milliseconds since it has started; 0 if it has not."""
        node = self._life.node
        return 0 if node is None else max(0, self._clock.now() - node.started_at)

    def connections(self) -> dict[str, int]:
        """How many connections this node has, and of how many users."""
        node = self._life.node
        if node is None:
            return {"total": 0, "users": 0}
        connections = node.keeper.connections
        return {"total": len(connections), "users": connections.users}

    def brief(self) -> dict[str, Any]:
        """What anybody is told of its health. Times are Unix milliseconds."""
        recent = self._measures.requests.recent()
        return {
            "status": self.status,
            "timestamp": self._clock.now(),
            "uptime": self.uptime,
            "connections": self.connections(),
            "errorRate": recent.error_rate,
            "responseTime": recent.percentiles(),
        }
