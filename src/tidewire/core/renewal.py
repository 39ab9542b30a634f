"""Extending a stream that another node holds: a question to all nodes, and one answer."""

import asyncio
from typing import Final

from tidewire.core.connections import new_client_id
from tidewire.core.control import ControlBus, Renew, Renewed
from tidewire.core.target import Identity

ANSWER_SECONDS: Final = 1.0


class Renewals:
    """The questions of this node that have no answer yet."""

    def __init__(self, bus: ControlBus) -> None:
        self._bus = bus
        self._asked: dict[str, asyncio.Future[Renewed]] = {}

    async def ask(self, client_id: str, identity: Identity) -> Renewed | None:
        """Asks whoever holds the stream; None if nobody answers in time."""
        reply = new_client_id()
        asked: asyncio.Future[Renewed] = asyncio.get_running_loop().create_future()
        self._asked[reply] = asked
        self._bus.post(Renew(client_id, identity, reply))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asked
        except TimeoutError:
            return None
        finally:
            del self._asked[reply]

    def hear(self, answer: Renewed) -> None:
        """Takes an answer; most are for other nodes."""
        asked = self._asked.get(answer.reply)
        if asked is not None and not asked.done():
            asked.set_result(answer)
