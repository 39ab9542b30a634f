"""Asking all nodes: a question on the control bus, and what comes back within a moment."""

import asyncio
import base64
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from tidewire.core.connections import new_client_id
from tidewire.core.control import Answer, ControlBus, Inquire, Renew
from tidewire.core.journal import Journal
from tidewire.core.presence import Presence

ANSWER_SECONDS: Final = 1.0
"""How long the other nodes have to answer."""

Respond: TypeAlias = Callable[[str, Mapping[str, Any]], Any]
"""What one node says to a question of a name, with parameters: JSON, or None if it has nothing to
say."""


class Answers(NamedTuple):
    """What nodes said.

    Attributes:
        told: node → what it said; only those who had something to say.
        nodes: who answered.
        missing: who did not, in time.
    """

    told: dict[str, Any]
    nodes: list[str]
    missing: list[str]


class _Asked:
    """A question that waits for its answers."""

    __slots__ = ("answers", "changed")

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.changed = asyncio.Event()


class Inquiries:
    """The questions of this node that have no answer yet, and its answers to those of others.

    Attributes:
        respond: what this node says itself.
    """

    def __init__(
        self,
        bus: ControlBus,
        presence: Presence,
        journal: Journal,
        *,
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        """``alone`` says whether nobody else can be reached for now."""
        self.respond: Respond = _nothing
        self._alone = alone
        self._bus = bus
        self._presence = presence
        self._journal = journal
        self._asked: dict[str, _Asked] = {}

    async def ask_all(self, what: str, **parameters: Any) -> Answers:
        """Asks every node, this one included; waits a second at most."""
        node = self._presence.node
        others = {name for name, _ in self._presence}
        if not others or self._alone():
            return _answers({node: self.respond(what, parameters)}, others)
        reply = new_client_id()
        asked = self._asked[reply] = _Asked()
        try:
            self._bus.post(Inquire(what, parameters, reply, node))
            # While the others are at it.
            own = self.respond(what, parameters)
            await self._wait(asked, lambda: others <= asked.answers.keys())
        finally:
            del self._asked[reply]
        return _answers({node: own, **asked.answers}, others)

    async def ask_holder(self, command: Renew) -> Any:
        """Asks whichever node can answer a command; None if none does in time."""
        asked = self._asked[command.reply] = _Asked()
        self._bus.post(command)
        try:
            await self._wait(asked, lambda: bool(asked.answers))
        finally:
            del self._asked[command.reply]
        return next(iter(asked.answers.values()), None)

    def answer(self, reply: str, said: Any) -> None:
        """Answers a question of another node."""
        self._bus.post(Answer(reply, self._presence.node, _packed(said)))

    def hear(self, command: Inquire | Answer) -> None:
        """Takes a question, or an answer; most of these are for other nodes."""
        if isinstance(command, Inquire):
            if command.asker != self._presence.node:
                self._answer_inquiry(command)
            return
        asked = self._asked.get(command.reply)
        if asked is not None:
            asked.answers[command.node] = _unpacked(command.content)
            asked.changed.set()

    def _answer_inquiry(self, command: Inquire) -> None:
        try:
            said = self.respond(command.what, command.parameters)
        except Exception as error:
            self._journal.note("a question of another node was not answered", error=error)
            return
        self.answer(command.reply, said)

    async def _wait(self, asked: _Asked, enough: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not enough():
                    asked.changed.clear()
                    await asked.changed.wait()
        except TimeoutError:
            pass


def _answers(answers: Mapping[str, Any], others: set[str]) -> Answers:
    told = {name: said for name, said in answers.items() if said is not None}
    return Answers(told, sorted(answers), sorted(others - answers.keys()))


def _nothing(what: str, parameters: Mapping[str, Any]) -> None:
    return None


def _packed(said: Any) -> str:
    # All nodes read all answers, and the control stream holds them for a while.
    return base64.b85encode(zlib.compress(json.dumps(said).encode(), 1)).decode()


def _unpacked(content: str) -> Any:
    return json.loads(zlib.decompress(base64.b85decode(content)))
