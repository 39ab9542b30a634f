"""All checks there are, in the order in which they are told."""

from typing import Final, NamedTuple


class Group(NamedTuple):
    """Checks that are told together: a title, and their names."""

    title: str
    checks: tuple[str, ...]


LOCAL: Final = (
    Group(
        "Settings of this machine",
        (
            "settings.values",
            "settings.names",
            "settings.secrets",
            "settings.agreement",
            "settings.workers",
            "settings.files",
        ),
    ),
    Group(
        "Redis",
        (
            "redis.reached",
            "redis.version",
            "redis.eviction",
            "redis.persistence",
            "redis.latency",
            "redis.names",
            "redis.rates",
        ),
    ),
)
"""What can be seen without a server."""

DEPLOYMENT: Final = (
    Group(
        "Address",
        (
            "address.reached",
            "address.path",
            "address.ready",
            "address.certificate",
            "address.protocol",
        ),
    ),
    Group("Clocks", ("clock.server", "clock.token")),
    Group(
        "Who is asking",
        ("auth.none", "auth.bad", "auth.expired", "auth.token", "auth.header", "auth.query"),
    ),
    Group("Pages of other origins", ("cors.origin", "cors.headers")),
    Group(
        "Streams",
        (
            "stream.opened",
            "stream.buffering",
            "stream.compression",
            "stream.headers",
            "stream.ping",
            "stream.idle",
        ),
    ),
    Group("Nodes", ("nodes.log", "nodes.version")),
    Group(
        "Delivery",
        (
            "delivery.publish",
            "delivery.stream",
            "delivery.polling",
            "delivery.targets",
            "delivery.resume",
        ),
    ),
    Group("Limits", ("limits.rates",)),
)
"""What is seen of a server, from where a browser stands."""


def names(groups: tuple[Group, ...]) -> tuple[str, ...]:
    """The names of all checks in groups."""
    return tuple(check for group in groups for check in group.checks)
