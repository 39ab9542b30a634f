"""The scene of a fault: two nodes on one log, under constant traffic, with all kinds of clients."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.faults.applications import Application
from tests.faults.clients import Client
from tests.faults.cluster import Node
from tests.faults.front import Front
from tests.faults.history import ROLE, Accepted, Who, holes_in, seen_in
from tests.faults.observers import Observer
from tests.faults.oracle import NOTHING, Allowance, judge
from tests.faults.traffic import Publisher, Traffic
from tests.waiting import until, until_told

ANSWER_SECONDS: Final = 3.0
"""Within these a publish is answered, whatever is the matter with Redis."""

ENOUGH: Final = 6
"""Events of a node that show how it does."""

AWAY_SECONDS: Final = 2.5
"""How long Redis is away at least: who goes about is at both nodes meanwhile."""

QUIET: Final = 0.5
"""Seconds in which what comes twice would have come."""


async def until_is(
    ask: Callable[[], Awaitable[object]], wanted: object, seconds: float, what: str
) -> None:
    """Waits for an answer of a node."""
    await until_told(ask, lambda told: told == wanted, seconds, lambda: f"{what} is not {wanted!r}")


class Scene:
    """Nodes, traffic and clients, and what is to be shown of them.

    Two publishers at each node. Of the clients some stay at their node, by a stream or by polls;
    one goes from node to node; one also from streams to polls and back. So do applications with
    the Python client. One of these knows a proxy only that goes from node to node, and falls back
    to polls by itself, and comes back to streams.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.traffic = Traffic(
            [Publisher(f"{node.name}{number}", node) for node in nodes for number in (1, 2)]
        )
        alice, bob = Who("alice", (ROLE,)), Who("bob")
        self._front = Front("the front", nodes)
        self._falls_back = Application("falls back", bob, [self._front], max_reconnect_attempts=1)
        self.clients: list[Observer] = [
            Client("goes from node to node", alice, nodes),
            Client("goes anywhere", bob, nodes, ("sse", "polling")),
            Application("is started again anywhere", alice, nodes, ("sse", "polling")),
            self._falls_back,
        ]
        for node in nodes:
            self.clients += [
                Client(f"streams at {node.name}", bob, [node]),
                Client(f"polls at {node.name}", alice, [node], ("polling",)),
                Client(f"also streams at {node.name}", Who("carol"), [node]),
                Application(f"is told by streams at {node.name}", alice, [node]),
                Application(f"is told by polls at {node.name}", bob, [node], ("polling",)),
            ]

        self._went: list[float] = []
        """When Redis went away, monotonic seconds."""

    def node(self, name: str) -> Node:
        [found] = [node for node in self.nodes if node.name == name]
        return found

    async def begin(self) -> None:
        """Lets everybody follow, then lets the traffic flow; returns when it arrives."""
        await self._front.start()
        for client in self.clients:
            client.start()
        async with asyncio.timeout(10):
            await asyncio.gather(*(client.following() for client in self.clients))
        self.traffic.start()
        await self.goes_on()

    async def goes_on(self, clients: Sequence[Observer] | None = None, seconds: float = 10) -> None:
        """Waits until clients, by default all, have received some more events."""
        for client in self.clients:
            if isinstance(client, Application):
                client.hurry()
        wanted = {
            client: len(client.history) + ENOUGH
            for client in (self.clients if clients is None else clients)
        }

        def behind() -> list[Observer]:
            return [client for client, count in wanted.items() if len(client.history) < count]

        def told() -> str:
            lines = [
                f"who {client.name}: {[*client.problems, *client.notes[-5:]]}"
                for client in behind()
            ]
            return "\n".join(["more events for", *lines, *self._circumstances()])

        await until(lambda: not behind(), seconds, told)

    def at(self, node: Node) -> list[Observer]:
        """The clients that stay at a node."""
        return [client for client in self.clients if client.places == [node]]

    async def serves_without_redis(self, *, durable: bool = False) -> None:
        """Redis went away a moment ago. Each node accepts in time, says how durably, serves its
        own clients, calls itself degraded, and is ready."""
        away = time.monotonic()
        self._went.append(away)
        await asyncio.gather(
            asyncio.sleep(AWAY_SECONDS),
            *(self._serves_alone(node, away, durable) for node in self.nodes),
        )

    async def _serves_alone(self, node: Node, away: float, durable: bool) -> None:
        def accepted() -> list[Accepted]:
            return [
                event
                for event in self.traffic.accepted
                if event.node == node.name and event.began >= away
            ]

        await until(
            lambda: len(accepted()) >= ENOUGH,
            ANSWER_SECONDS * 2,
            lambda: f"{node.name} accepts without Redis: {len(accepted())} of {ENOUGH}",
        )
        events = accepted()
        await until_is(node.health, "degraded", 3, f"health of {node.name}")
        await until_is(node.readiness, 200, 1, f"readiness of {node.name}")
        slow = [
            f"{event.key} took {event.ended - event.began:.1f} s"
            for event in self.traffic.accepted
            if event.node == node.name
            and event.ended >= away
            and event.ended - event.began > ANSWER_SECONDS
        ]
        assert not slow, slow
        said = {(event.status, event.durable) for event in events}
        assert said == {(200, True) if durable else (202, False)}, said

        def waiting() -> list[str]:
            return [
                client.name
                for client in self.at(node)
                if not {event.key for event in events if event.to.includes(client.who)}
                <= {event.key for event in seen_in(client.history)}
            ]

        what = f"what {node.name} accepts without Redis, for who"
        await until(lambda: not waiting(), 3, lambda: f"{what} {waiting()}")

    async def is_healthy(self, seconds: float = 15) -> None:
        """Waits until all nodes call themselves healthy, and are ready."""
        for node in self.nodes:
            await until_is(node.health, "healthy", seconds, f"health of {node.name}")
            await until_is(node.readiness, 200, 1, f"readiness of {node.name}")

    async def holds(self, allowance: Allowance = NOTHING, seconds: float = 15) -> None:
        """Ends the traffic, and waits until every client has all that it was promised, once."""
        await self.goes_on()
        ways = self._falls_back.ways
        await until(lambda: len(ways) == 2, 10, lambda: f"both ways, not {ways} alone")
        await self.traffic.finish(seconds)
        with suppress(AssertionError):
            await until(lambda: not self._complaints(allowance, only_missing=True), seconds, str)
        await asyncio.sleep(QUIET)
        self.check(allowance)

    def check(self, allowance: Allowance = NOTHING) -> None:
        """Asks the oracle about every client, now."""
        complaints = self._complaints(allowance)
        assert not complaints, "\n".join([*complaints, *self._circumstances()])

    def _complaints(self, allowance: Allowance, *, only_missing: bool = False) -> list[str]:
        allowance = replace(allowance, renamed=self._in_doubt())
        accepted, sent = self.traffic.accepted, self.traffic.sent
        lines = [] if only_missing else list(self.traffic.problems)
        for client in self.clients:
            promised = [event for event in accepted if event.began >= client.since]
            verdict = judge(client.who, client.history, promised, sent, allowance)
            wrong = [] if only_missing else client.problems + verdict.wrong
            if not wrong and not verdict.missing:
                continue
            lines += [
                f"who {client.name} ({client.who.user}; received "
                f"{len(seen_in(client.history))}; cursor {client.cursor}):",
                *(f"    gap: {hole}" for hole in holes_in(client.history)),
                *(f"    {complaint}" for complaint in wrong + verdict.missing),
                *(f"    note: {note}" for note in client.notes[-5:]),
            ]
        return lines

    def _in_doubt(self) -> set[str]:
        """What was under way when Redis went, until its node noticed. It may have come to the
        log, and the node cannot know; it gives an id of its own, and the other node tells the one
        from the log. It is one event still, and is received once."""
        found: set[str] = set()
        for node, away in itertools.product(self.nodes, self._went):
            events = [event for event in self.traffic.accepted if event.node == node.name]
            before = {event.epoch for event in events if event.ended < away}
            noticed = [
                event.ended for event in events if event.ended >= away and event.epoch not in before
            ]
            if noticed:
                found |= {
                    event.key
                    for event in events
                    if event.began <= min(noticed) and event.ended >= away
                }
        return found

    def _circumstances(self) -> list[str]:
        lines = [f"accepted in all: {len(self.traffic.accepted)}"]
        for node in self.nodes:
            lines += [f"{node.name}: {line}" for line in node.output.splitlines()[-15:]]
        return lines

    async def end(self) -> None:
        await self.traffic.end()
        try:
            for client in self.clients:
                await client.stop()
        finally:
            await self._front.stop()


@asynccontextmanager
async def scene_of(
    log: str,
    folder: Path,
    *,
    names: Sequence[str] = ("a", "b"),
    spools: bool = False,
    options: Sequence[str] = (),
) -> AsyncIterator[Scene]:
    """A scene in which events flow.

    Args:
        log: the address of the log.
        folder: for output and spools.
        names: of the nodes.
        spools: whether each node has a spool directory.
        options: further words of each node's command line.
    """
    nodes = []
    for name in names:
        spool = folder / f"spool-{name}" if spools else None
        if spool is not None:
            spool.mkdir()
        nodes.append(Node(name, folder, log, spool=spool, options=options))
    scene: Scene | None = None
    try:
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in nodes))
        scene = Scene(nodes)
        await scene.begin()
        yield scene
    finally:
        try:
            if scene is not None:
                await scene.end()
        finally:
            for node in nodes:
                node.kill()


def lost_before(moment: float) -> Allowance:
    """What a log may lose that forgets: what was sent before this moment, said as ``epoch``."""
    return Allowance(gaps=frozenset({"epoch"}), lost_before=moment)
