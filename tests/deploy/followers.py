"""Clients that follow through a proxy, and come back whenever they are cut off."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any, Final

from tests.deploy.exchange import Refused, fetch, open_stream
from tests.faults.clients import Block
from tests.faults.cluster import bearer
from tests.faults.history import Who

AGAIN_SECONDS: Final = 0.1
HELD_SECONDS: Final = 2


class Follower:
    """One client with one cursor, that streams or polls."""

    def __init__(
        self, user: str, url: str, tls: ssl.SSLContext | None, since: str, *, polls: bool = False
    ) -> None:
        self.seen: list[int] = []
        """The numbers of the events that it got, in its order."""
        self.gaps: list[Any] = []
        self.resumed: list[bool] = []
        """Of each stream, whether its cursor was honoured."""
        self.cursor = since
        self.sent_away = 0
        """How often it was told to come back later."""
        self._url = url
        self._tls = tls
        self._headers = bearer(Who(user))
        self._polls = polls
        self._after = AGAIN_SECONDS

    def has_seen(self, number: int) -> bool:
        """Whether the last that came is this one."""
        return self.seen[-1:] == [number]

    async def run(self) -> None:
        """Follows until it is cancelled."""
        while True:
            self._after = AGAIN_SECONDS
            with suppress(Refused, OSError, TimeoutError):
                await (self._poll() if self._polls else self._stream())
            await asyncio.sleep(self._after)

    async def _stream(self) -> None:
        headers = {**self._headers, "Last-Event-ID": self.cursor}
        stream = await open_stream(self._url, self.take, headers=headers, tls=self._tls)
        try:
            await stream.ended
        finally:
            stream.drop()
            await stream.gone

    async def _poll(self) -> None:
        path = f"/api/realtime/polling?since={self.cursor}&wait={HELD_SECONDS}"
        answer = await fetch(self._url, path, headers=self._headers, tls=self._tls)
        if answer["gap"] is not None:
            self.gaps.append(answer["gap"])
        self.seen += [event["data"]["n"] for event in answer["events"]]
        self.cursor = answer["cursor"]

    def take(self, block: Block) -> None:
        """Notes what comes on a stream."""
        data = block.envelope["data"]
        match block.event:
            case "tick":
                self.seen.append(data["n"])
            case "connected":
                self.resumed.append(data["resumed"])
            case "gap":
                self.gaps.append(data)
            case "disconnecting":
                self.sent_away += 1
                self._after = data["reconnectAfter"] / 1000
        if block.id is not None:
            self.cursor = block.id
