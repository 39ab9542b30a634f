"""Renewals: a stream is extended by a new credential, on whichever node it is."""

from collections.abc import Callable
from typing import Any, Final

from tidewire.core.authority import Authority
from tidewire.core.connections import Connections, new_client_id
from tidewire.core.control import Renew
from tidewire.core.errors import InvalidToken, NotFound, TidewireError
from tidewire.core.inquiry import Inquiries
from tidewire.core.position import Cursor
from tidewire.core.presence import Presence
from tidewire.core.target import Identity

NO_STREAM: Final = "You have no open stream with this clientId. Open a new one."


class Renewals:
    """Passes on what `Keeper.refresh` does, to the node that holds the stream."""

    __slots__ = ("_authority", "_connections", "_inquiries", "_presence", "_refresh")

    def __init__(
        self,
        refresh: Callable[[str, Identity], tuple[int, Cursor]],
        connections: Connections,
        presence: Presence,
        authority: Authority,
        inquiries: Inquiries,
    ) -> None:
        """``refresh`` extends a stream of this node, as `Keeper.refresh`."""
        self._refresh = refresh
        self._connections = connections
        self._presence = presence
        self._authority = authority
        self._inquiries = inquiries

    async def ask(self, client_id: str, identity: Identity) -> tuple[int, str]:
        """As `Keeper.refresh`, for a stream on whichever node it is. The fence comes as text."""
        if self._connections.get(client_id) is not None or not len(self._presence):
            ends, fence = self._refresh(client_id, identity)
            return ends, str(fence)
        command = Renew(client_id, self._authority.judge(identity), new_client_id())
        answer = await self._inquiries.ask_holder(command)
        if answer is None:
            raise NotFound(NO_STREAM)
        if "refused" in answer:
            raise InvalidToken(answer["refused"])
        return answer["expiresAt"], answer["fence"]

    def hear(self, command: Renew) -> None:
        """Extends a stream of this node, as another one asks; most are of other nodes."""
        if self._connections.get(command.client_id) is None:
            return
        try:
            ends, fence = self._refresh(command.client_id, command.identity)
        except NotFound:
            return
        except TidewireError as error:
            answer: dict[str, Any] = {"refused": error.detail}
        else:
            answer = {"expiresAt": ends, "fence": str(fence)}
        self._inquiries.answer(command.reply, answer)
