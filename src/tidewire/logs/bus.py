"""Commands between nodes, on the control stream beside the log.

Every node hears the stream in one order, its own messages included, and obeys what it hears.
Decisions are also put into a hash, for nodes that start later or were away for long.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from tidewire.core.control import (
    Answer,
    Attendance,
    ChangeIdentity,
    Command,
    Disconnect,
    Displace,
    Forget,
    Handler,
    Inquire,
    Refuse,
    Renew,
    Revoke,
)
from tidewire.core.errors import LogAway
from tidewire.core.journal import Journal
from tidewire.logs.redis import RedisLog

KINDS: Final[dict[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        Answer,
        Attendance,
        ChangeIdentity,
        Disconnect,
        Displace,
        Forget,
        Inquire,
        Refuse,
        Renew,
        Revoke,
    )
}

SEND_SECONDS: Final = 2.0
"""How long a sender waits to hear its own command."""

FLUSH_SECONDS: Final = 0.3
TRY_SECONDS: Final = 0.5
MAX_TOGETHER: Final = 500
MAX_UNDER_WAY: Final = 20_000


def encode(command: Command) -> bytes:
    """A command as JSON."""
    kind = type(command).__name__
    content = KINDS[kind].dump_python(command, mode="json")
    return json.dumps([kind, content], separators=(",", ":")).encode()


def decode(message: bytes) -> Command | None:
    """A command from JSON; None if this version does not know it."""
    try:
        kind, content = json.loads(message)
        command: Command = KINDS[kind].validate_python(content)
    except (ValueError, KeyError, TypeError):
        return None
    return command


@dataclass(slots=True)
class _Letter:
    message: bytes
    command: Command
    heard: asyncio.Future[bool] | None = None
    obeyed: bool = False


class RedisBus:
    """A `ControlBus` on the control stream of a log."""

    def __init__(
        self,
        log: RedisLog,
        journal: Journal,
        *,
        refused: Callable[[LogAway], None] | None = None,
    ) -> None:
        """``refused`` is called when commands cannot be sent."""
        self._log = log
        self._refused = refused
        self._journal = journal
        self._handlers: list[Handler] = []
        self._waiting: deque[_Letter] = deque()
        # Decisions that could not be sent, and will be: not in the way of what is new.
        self._kept_back: deque[_Letter] = deque()
        self.unsent = 0
        self._load_wanted = False
        self._under_way: dict[bytes, _Letter] = {}
        self._decided: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        log.hearing.on_message = self._hear
        log.hearing.on_return = self._returned

    def listen(self, handler: Handler) -> None:
        self._handlers.append(handler)

    async def send(self, command: Command) -> bool:
        heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        letter = self._put(command, heard)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return await heard
        except TimeoutError:
            self._obey_here(letter)
            return False

    def post(self, command: Command) -> None:
        self._put(command, None)

    def _put(self, command: Command, heard: asyncio.Future[bool] | None) -> _Letter:
        # The mark tells equal commands apart.
        message = secrets.token_hex(4).encode() + encode(command)
        letter = _Letter(message, command, heard)
        self._waiting.append(letter)
        if self._task is None:
            self._task = asyncio.create_task(self._deliver(), name="tidewire-control")
        return letter

    async def _deliver(self) -> None:
        try:
            while self._waiting or self._kept_back:
                letters = [
                    waiting.popleft()
                    for waiting in (self._kept_back, self._waiting)
                    for _ in range(min(len(waiting), MAX_TOGETHER))
                ]
                for letter in letters:
                    self._under_way[letter.message] = letter
                try:
                    await self._log.say([letter.message for letter in letters], kept=_kept(letters))
                except LogAway as error:
                    self._keep_here(letters)
                    if self._refused is not None:
                        self._refused(error)
                    await asyncio.sleep(TRY_SECONDS)
                self._forget_unheard()
        finally:
            self._task = None

    def _forget_unheard(self) -> None:
        """Obeys what was sent and never came back: the stream was lost with it."""
        while len(self._under_way) > MAX_UNDER_WAY:
            self._obey_here(self._under_way.pop(next(iter(self._under_way))))

    def _keep_here(self, letters: Sequence[_Letter]) -> None:
        """Obeys what cannot be sent; decisions are sent again until they are."""
        for letter in letters:
            # It may be on the stream all the same: then it is heard twice, to no effect.
            self._under_way.pop(letter.message, None)
            self._obey_here(letter)
            if letter.heard is not None and not letter.heard.done():
                letter.heard.set_result(False)
        self.unsent += len(letters)
        self._kept_back.extendleft(
            letter for letter in reversed(letters) if isinstance(letter.command, _DECISIONS)
        )

    def _obey_here(self, letter: _Letter) -> None:
        if not letter.obeyed:
            letter.obeyed = True
            self._obey(letter.command)

    def _hear(self, message: bytes) -> None:
        letter = self._under_way.pop(message, None)
        if letter is not None:
            self._obey_here(letter)
            if letter.heard is not None and not letter.heard.done():
                letter.heard.set_result(True)
            return
        command = decode(message[8:])
        if command is not None:
            self._obey(command)

    def _obey(self, command: Command) -> None:
        if isinstance(command, _DECISIONS):
            self._decided[_name(command)] = encode(command)
        if isinstance(command, Forget):
            self._log.hearing.forget()
        for handler in self._handlers:
            try:
                handler(command)
            except Exception as error:
                self._journal.note("a command of another node failed", error=error)

    # Decisions

    async def load(self) -> None:
        """Hears all decisions that were ever sent.

        Raises:
            LogAway: the log cannot be reached.
        """
        names: set[str] = set()
        decisions: list[Revoke | ChangeIdentity] = []
        async for name, kept in self._log.kept():
            names.add(name)
            decision = decode(kept)
            if isinstance(decision, _DECISIONS):
                decisions.append(decision)
        # Of one moment, what ends something comes first.
        decisions.sort(key=lambda one: (one.at, isinstance(one, ChangeIdentity)))
        for decision in decisions:
            self._obey(decision)
        lost = {name: said for name, said in self._decided.items() if name not in names}
        if lost:
            # A Redis that came back without them. Nodes that start later are to know them.
            await self._log.say([], kept=lost)

    def _returned(self) -> None:
        self._load_wanted = True
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load_again(), name="tidewire-decisions")

    async def _load_again(self) -> None:
        """Loads until that has succeeded, since the last return: a decision must not be missed."""
        while self._load_wanted:
            self._load_wanted = False
            try:
                await self.load()
            except Exception as error:
                self._load_wanted = True
                if not isinstance(error, LogAway):
                    self._journal.note("decisions cannot be loaded; it is tried again", error=error)
                await asyncio.sleep(TRY_SECONDS)

    async def flush(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FLUSH_SECONDS)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = [task for task in (self._task, self._loading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_DECISIONS: Final = (Revoke, ChangeIdentity)


def _name(decision: Revoke | ChangeIdentity) -> str:
    """Names a decision; one of the same name replaces it."""
    match decision:
        case Revoke(token_id=token_id, user_id=user_id):
            return json.dumps(["revoke", token_id, user_id])
        case ChangeIdentity(user_id=user_id, decides=decides):
            return json.dumps(["change", user_id, *sorted(decides)])


def _kept(letters: Sequence[_Letter]) -> dict[str, bytes]:
    """What is to be kept of these."""
    return {
        _name(letter.command): encode(letter.command)
        for letter in letters
        if isinstance(letter.command, _DECISIONS)
    }
