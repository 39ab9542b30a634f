"""What a node says of itself: to the other nodes, and by them to whoever asks any of them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from tidewire.core.errors import TooManyConnections
from tidewire.core.keeper import Keeper
from tidewire.health import status, system
from tidewire.health.journal import ErrorJournal
from tidewire.health.measures import Measures
from tidewire.health.status import Judgement
from tidewire.version import __version__

NO_ROOM: Final = ("NODE_FULL", TooManyConnections.code)


class Figures:
    """The figures of one node."""

    def __init__(
        self, keeper: Keeper, started_at: int, measures: Measures, journal: ErrorJournal
    ) -> None:
        """``started_at``: Unix milliseconds."""
        self._keeper = keeper
        self._started_at = started_at
        self._measures = measures
        self._journal = journal
        self._about = system.about()

    def brief(self) -> dict[str, Any]:
        """Those of this node that all others are told again and again."""
        keeper = self._keeper
        hub, connections = keeper.hub, keeper.connections
        condition = hub.condition
        transports = connections.transports()
        behind, far = hub.behind()
        return {
            **self._about,
            "version": __version__,
            "startedAt": self._started_at,
            "ready": keeper.ready,
            "draining": keeper.draining,
            "connections": len(connections),
            "capacity": keeper.caps.node,
            "users": connections.users,
            "live": hub.live,
            "behind": {"readers": behind, "events": far},
            "states": connections.states(),
            "transports": {name: transports[name] for name in ("sse", "polling")},
            "published": hub.published,
            "heard": hub.heard,
            "written": hub.written,
            "position": str(hub.cursor),
            "log": hub.log.name,
            "degraded": condition.degraded,
            "hearing": condition.hearing and hub.hearing,
            "spooled": condition.spooled,
            "accepts": condition.accepts,
        }

    def own(self) -> dict[str, Any]:
        """All of this node, as they are now."""
        keeper, measures = self._keeper, self._measures
        requests, attempts = measures.requests.total, measures.attempts.total
        return {
            **self.brief(),
            "requests": requests.count,
            "failed": requests.failed,
            "attempts": attempts.count,
            "refused": attempts.failed,
            "canaryAge": round(keeper.canary.age * 1000),
            "loopLag": round(keeper.lag * 1000, 1),
            "rss": system.resident(),
            "openFiles": system.open_files(),
            "fileLimit": system.file_limit(),
            "gaps": dict(keeper.recorder.gaps),
            "endings": dict(keeper.recorder.endings),
            "errors": {f"{one} {code}": n for (one, code), n in self._journal.totals.items()},
            "responseTimes": requests.to_json(),
            "publishLatency": measures.publishes.total.to_json(),
            "deliveryLatency": measures.deliveries.total.to_json(),
        }

    async def all(self) -> dict[str, dict[str, Any]]:
        """Those of every node, by its name, as they are now; of one that does not answer what it
        said last."""
        answers = await self._keeper.inquiries.ask_all("figures")
        others = {node: dict(neighbour.figures) for node, neighbour in self._keeper.presence}
        return {**others, **answers.told}

    async def monitor(self) -> tuple[str, dict[str, dict[str, Any]], dict[str, int]]:
        """The name of this node, the figures of all nodes by their names, and their sums."""
        presence = self._keeper.presence
        nodes = await self.all()
        users = {*self._keeper.connections.all_users()} | presence.users
        return presence.node, nodes, {**_sums(nodes), "users": len(users), "nodes": len(nodes)}

    def components(self) -> dict[str, dict[str, Any]]:
        """The parts of this node: how each is, and its figures of the last five minutes."""
        keeper, measures = self._keeper, self._measures
        hub = keeper.hub
        condition, behind = hub.condition, hub.behind()
        states = keeper.connections.states()
        recent = self._journal.kept(300_000)
        codes: Counter[str] = Counter()
        faults: Counter[str] = Counter()
        for entry in recent:
            codes[entry.kind.code] += entry.count
            if entry.kind.severity in ("high", "critical") and not _is_over(entry.recovery):
                faults[entry.kind.category] += entry.count
        attempts, published = measures.attempts.recent(), measures.publishes.recent()
        return {
            "connections": {
                **_told(status.connections(states, keeper.caps.node, codes["NODE_FULL"])),
                "states": states,
                "capacity": keeper.caps.node or None,
                "refused": sum(codes[code] for code in NO_ROOM),
            },
            "authentication": {
                **_told(
                    status.authentication(attempts.count, attempts.failed, faults["authentication"])
                ),
                "attempts": attempts.count,
                "failed": attempts.failed,
            },
            "events": {
                **_told(
                    status.events(
                        ready=keeper.ready,
                        degraded=condition.degraded,
                        canary_age=keeper.canary.age,
                        behind=behind,
                        faults=faults["server"],
                        far_behind=hub.far_behind(status.BEHIND_EVENTS),
                    )
                ),
                "published": published.amount,
                "delivered": hub.written,
                "behind": behind[0],
                "canaryAge": round(keeper.canary.age * 1000),
            },
            "storage": {
                **_told(
                    status.storage(
                        accepts=condition.accepts,
                        degraded=condition.degraded,
                        reason=condition.reason,
                    )
                ),
                "source": hub.log.name,
                "spooled": condition.spooled,
            },
        }


def _is_over(recovery: Any) -> bool:
    return recovery is not None and recovery.success is True


def _told(judgement: Judgement) -> dict[str, Any]:
    return {"status": judgement.status, "reason": judgement.reason}


def overall(components: Mapping[str, Mapping[str, Any]]) -> str:
    """How the node is: as its worst part."""
    parts = (Judgement(part["status"], part["reason"]) for part in components.values())
    return status.worst(parts).status


def _sums(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """What can be added up, over all nodes."""
    names = ("connections", "published", "heard", "written", "spooled")
    return {name: sum(int(one.get(name, 0)) for one in nodes.values()) for name in names}
