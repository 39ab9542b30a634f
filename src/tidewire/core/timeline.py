"""The timeline of each connection: which of what becomes of it is worth a record."""

from collections.abc import Callable
from typing import Final

from tidewire.core.connections import Connection, Connections
from tidewire.core.log import Gap
from tidewire.core.position import Cursor
from tidewire.core.reader import Reader
from tidewire.core.recorder import Recorder, What

POLLERS: Final = 5_000
"""Of how many pollers it is known where they stand, so that what is quiet fills no records."""

ENDINGS: Final = frozenset(
    {
        *("left", "replaced", "displaced", "shutdown", "stale", "revoked", "expired"),
        "administrator",
    }
)
"""Why streams end, as they are counted. Whoever disconnects one may say anything else."""


class Timeline:
    """Writes what becomes of the connections of one node into its recorder."""

    __slots__ = ("_connections", "_live", "_quiet", "_recorder")

    def __init__(
        self, recorder: Recorder, connections: Connections, live: Callable[[], int]
    ) -> None:
        """``live`` says how many readers are live."""
        self._recorder = recorder
        self._connections = connections
        self._live = live
        # Where pollers found nothing, the one last that was seen last.
        self._quiet: dict[tuple[str, str | None], Cursor] = {}

    def note(
        self,
        what: What,
        connection: Connection,
        cursor: Cursor | None,
        *,
        since: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Records what became of a connection; the rest as `Record` has it."""
        reader = connection.reader
        if what == "gap":
            self._recorder.gaps[detail or ""] += 1
        self._recorder.note(
            what,
            connection.id,
            reader.identity,
            reader.types,
            cursor=cursor,
            since=since,
            detail=detail,
        )

    def end(self, what: What, connection: Connection, reason: str) -> None:
        """Records that a stream ends or has ended, and counts those that have."""
        if connection.transport == "sse":
            self.note(what, connection, connection.reader.cursor, detail=reason)
            if what == "closed":
                self._recorder.endings[reason if reason in ENDINGS else "other"] += 1

    def polled(
        self, reader: Reader, instance_id: str | None, start: Cursor, end: Cursor, gap: Gap | None
    ) -> None:
        """Records the answer to a poll, from one cursor to another. Of those that find a quiet
        log again where they left it, only the first."""
        who = reader.identity.user_id, instance_id
        before = self._quiet.pop(who, None)
        if start == end and gap is None:
            if len(self._quiet) >= POLLERS:
                del self._quiet[next(iter(self._quiet))]
            self._quiet[who] = end
            if before == end:
                return
        of = instance_id or "", reader.identity, reader.types
        if gap is not None:
            self._recorder.gaps[gap.reason] += 1
            went_on = start.moved(gap.to)
            self._recorder.note("gap", *of, cursor=went_on, since=gap.from_, detail=gap.reason)
        self._recorder.note("polled", *of, cursor=end, since=str(start))

    def change(
        self,
        what: What,
        reader: Reader | None,
        cursor: Cursor,
        since: str | None,
        detail: str | None,
    ) -> None:
        """Records what the hub tells of a reader, or of all that are live."""
        if reader is None:
            self._recorder.gaps[detail or ""] += self._live()
            self._recorder.note(what, "", None, cursor=cursor, since=since, detail=detail)
            return
        # Looked for, since it happens rarely, and there are many readers.
        for connection in self._connections.of_user(reader.identity.user_id):
            if connection.reader is reader and connection.transport == "sse":
                self.note(what, connection, cursor, since=since, detail=detail)
