"""Several nodes in one process, on one real Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fakes import FakeClock, FakeJournal
from tests.http.server import SECRET, Live, live
from tests.waiting import until
from tidewire import Settings, Tidewire, Visit
from tidewire.core.keeper import Keeper
from tidewire.http.life import Node

ADMIN = {"userId": "admin", "roles": "ADMIN"}


@dataclass
class Member:
    """A node that is served."""

    live: Live
    journal: FakeJournal
    came: list[Visit] = field(default_factory=list)
    left: list[Visit] = field(default_factory=list)

    @property
    def tidewire(self) -> Tidewire:
        return self.live.tidewire

    @property
    def http(self) -> httpx.AsyncClient:
        return self.live.http

    @property
    def node(self) -> Node:
        node = self.tidewire._life.node
        assert node is not None, "not started"
        return node

    @property
    def keeper(self) -> Keeper:
        return self.node.keeper

    @property
    def name(self) -> str:
        return self.keeper.presence.node

    @property
    def status(self) -> str:
        return self.tidewire.status

    @property
    def ticked(self) -> float | None:
        """When it had its turn last, by its own clock."""
        return self.keeper._lease._ticked_at

    def knows(self, *others: "Member") -> bool:
        return {name for name, _ in self.keeper.presence} == {other.name for other in others}

    async def act(self, action: str, **parameters: Any) -> dict[str, Any]:
        """What an administrator does here."""
        answer = await self.http.post(
            "/api/sse/health", params=ADMIN, json={"action": action, "parameters": parameters}
        )
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        assert (body["success"], body["action"]) == (True, action)
        result: dict[str, Any] = body["result"]
        return result

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params={**ADMIN, **params})
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Cluster:
    """Nodes of one log."""

    port: int
    name: str

    def make(
        self, *, port: int | None = None, clock: FakeClock | None = None, **settings: Any
    ) -> tuple[Tidewire, FakeJournal, list[Visit], list[Visit]]:
        journal = FakeJournal()
        came: list[Visit] = []
        left: list[Visit] = []

        async def on_connect(visit: Visit) -> None:
            came.append(visit)

        async def on_disconnect(visit: Visit) -> None:
            left.append(visit)

        settings = {
            "drain_seconds": 0.2,
            "rate_limits": "off",
            "ping_interval": 1000,
            "log_url": f"redis://127.0.0.1:{port or self.port}",
            **settings,
        }
        given = Settings.load(
            sse_jwt_secret=SECRET,
            nextauth_secret=None,
            log_name=self.name,
            **settings,
        )
        tidewire = Tidewire(
            given,
            dev=True,
            clock=clock,
            journal=journal,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
        )
        return tidewire, journal, came, left

    @asynccontextmanager
    async def member(self, *known: Member, **more: Any) -> AsyncIterator[Member]:
        """One more node; it and those that are named know each other."""
        tidewire, journal, came, left = self.make(**more)
        async with live(tidewire) as running:
            member = Member(running, journal, came, left)
            if known:
                await until(lambda: member.knows(*known))
                await until(lambda: all(len(one.keeper.presence) == len(known) for one in known))
            yield member

    @asynccontextmanager
    async def two(self, **more: Any) -> AsyncIterator[tuple[Member, Member]]:
        async with self.member(**more) as one, self.member(one, **more) as other:
            yield one, other
