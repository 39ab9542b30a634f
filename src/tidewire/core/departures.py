"""Departures: a connection that has to go is told why, and when to come back."""

import asyncio
from typing import Final

from tidewire.core import notices
from tidewire.core.agenda import Agenda
from tidewire.core.clock import Clock
from tidewire.core.connections import Connection, Connections, Happening
from tidewire.core.errors import AuthenticationError, ExpiredToken
from tidewire.core.hub import Hub
from tidewire.core.journal import Journal
from tidewire.core.timeline import Timeline

RECONNECT_FIRST_MS: Final = 250
RECONNECTS_PER_SECOND: Final = 500
"""How fast the clients of a drained node are asked to come back, one slot each."""

NEW_CREDENTIAL_MS: Final = 1_000
"""When a client whose credential ended may come back with another."""


class Departures:
    """Sends the connections of one node away.

    Attributes:
        over: set when the last of them has gone.
    """

    __slots__ = (
        "_agenda",
        "_clock",
        "_connections",
        "_hub",
        "_journal",
        "_slots",
        "_timeline",
        "over",
    )

    def __init__(
        self,
        connections: Connections,
        hub: Hub,
        agenda: Agenda,
        timeline: Timeline,
        *,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self.over = asyncio.Event()
        self._connections = connections
        self._hub = hub
        self._agenda = agenda
        self._timeline = timeline
        self._clock = clock
        self._journal = journal
        self._slots = 0

    def close(self, connection: Connection, reason: str, reconnect_after: int | None) -> None:
        """Says goodbye and closes; a second time does nothing. ``reconnect_after``: ms, or None
        = do not come back."""
        if connection.happen(Happening.CLOSING):
            connection.reason = reason
            self._connections.touched.add(connection.user_id)
            self._hub.detach(connection.reader)
            self._timeline.end("closing", connection, reason)
            self._agenda.forget(connection)
            connection.tell(notices.disconnecting(reason, reconnect_after, now=self._clock.now()))
            connection.reader.sink.close()

    def farewell(self, connection: Connection) -> None:
        """Sends a client away as the node goes down, with the next slot to come back in."""
        slot = self._slots * 1000 // RECONNECTS_PER_SECOND
        self._slots += 1
        self.close(connection, "shutdown", RECONNECT_FIRST_MS + slot)

    async def drain(self, seconds: float) -> None:
        """Sends all clients away, and waits until they are gone; after ``seconds`` what is left
        is cut off."""
        for connection in tuple(self._connections):
            self.farewell(connection)
        self.over.clear()
        if len(self._connections):
            try:
                await asyncio.wait_for(self.over.wait(), seconds)
            except TimeoutError:
                self._journal.note(
                    "drained streams were cut off",
                    error=TimeoutError("their clients did not take the goodbye"),
                    code="DRAIN_CUT_OFF",
                    settled=True,
                    left=len(self._connections),
                )
                self.cut_off()

    def cut_off(self) -> None:
        """Ends what is still open, without a word."""
        for connection in tuple(self._connections):
            connection.reader.sink.abort()

    def displace(self, connection: Connection) -> None:
        """Closes a connection to make room for another one."""
        self.close(connection, "displaced", None)
        if connection.reader.sink.blocked_since() is not None:
            connection.reader.sink.abort()

    def look(self, connection: Connection) -> None:
        """Says that the authority of a connection is about to end; ends it where it has."""
        ends, now = connection.authority_ends, self._clock.now()
        if now < ends:
            connection.tell(notices.auth_expiring(ends, now=now))
            self._agenda.put(ends, connection)
            return
        error = ExpiredToken(
            "The credential of this stream has expired. Get a new one and connect again."
        )
        self.end(connection, error, "expired")

    def end(self, connection: Connection, error: AuthenticationError, reason: str) -> None:
        """Closes a connection whose credential is good no more, and says what became of it."""
        if not connection.closing:
            self._journal.note(
                "a stream was ended",
                error=error,
                answered=True,
                user=connection.user_id,
                client=connection.id,
            )
            connection.tell(notices.problem(error, now=self._clock.now()))
            self.close(connection, reason, NEW_CREDENTIAL_MS)

    def give_up(self, connection: Connection) -> None:
        """Closes a connection whose peer takes nothing, not even the goodbye."""
        self._journal.note(
            "a stale stream was closed",
            error=TimeoutError("the peer took nothing of what was written to it"),
            code="CONNECTION_STALE",
            settled=True,
            client=connection.id,
            user=connection.user_id,
        )
        self.close(connection, "stale", RECONNECT_FIRST_MS)
        connection.reader.sink.abort()
