"""What a node says of itself: to the other nodes, and by them to whoever asks any of them."""

import os
import socket
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tidewire.core.keeper import Keeper
from tidewire.version import __version__


def node_figures(keeper: Keeper, started_at: int) -> dict[str, Any]:
    """The figures of this node. ``started_at``: Unix milliseconds."""
    hub, connections = keeper.hub, keeper.connections
    condition = hub.condition
    transports = Counter(connection.transport for connection in connections)
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": __version__,
        "startedAt": started_at,
        "ready": keeper.ready,
        "draining": keeper.draining,
        "connections": len(connections),
        "users": connections.users,
        "live": hub.live,
        "states": connections.states(),
        "transports": {name: transports[name] for name in ("sse", "polling")},
        "published": hub.published,
        "heard": hub.heard,
        "written": hub.written,
        "position": str(hub.cursor),
        "log": hub.log.name,
        "degraded": condition.degraded,
        "spooled": condition.spooled,
        "accepts": condition.accepts,
    }


def all_figures(keeper: Keeper, started_at: int) -> dict[str, dict[str, Any]]:
    """The figures of every node, by its name, this one's as they are now."""
    others = {node: dict(neighbour.figures) for node, neighbour in keeper.presence}
    return {keeper.presence.node: node_figures(keeper, started_at), **others}


def sums(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """What can be added up, over all nodes."""
    names = ("connections", "published", "heard", "written", "spooled")
    return {name: sum(int(one.get(name, 0)) for one in nodes.values()) for name in names}
