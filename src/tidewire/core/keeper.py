"""The keeper: everything that happens to a connection beside events.

It opens and closes, pings, says when an authority runs out and ends what outlived it, sweeps,
and drains. What time it is comes from outside: `tick` does all that is due, once.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

from tidewire.core import notices
from tidewire.core.admission import Admission, Caps
from tidewire.core.agenda import Agenda
from tidewire.core.authority import REVOKED, Authority
from tidewire.core.clock import Clock
from tidewire.core.connections import (
    Connection,
    Connections,
    ConnectionState,
    Happening,
    new_client_id,
)
from tidewire.core.control import (
    Answer,
    Attendance,
    ChangeIdentity,
    Command,
    ControlBus,
    Disconnect,
    Displace,
    Inquire,
    Refuse,
    Renew,
    Revoke,
)
from tidewire.core.errors import (
    AuthenticationError,
    Draining,
    ExpiredToken,
    InvalidToken,
    LogAway,
    NotFound,
    RevokedCredential,
    TidewireError,
    Unavailable,
)
from tidewire.core.frame import Control
from tidewire.core.hub import Hub, Place
from tidewire.core.inquiry import Inquiries
from tidewire.core.journal import Journal
from tidewire.core.lease import Lease
from tidewire.core.log import Gap
from tidewire.core.position import Cursor, Position
from tidewire.core.presence import Presence
from tidewire.core.reader import Reader
from tidewire.core.recorder import Recorder, What
from tidewire.core.rounds import Rounds
from tidewire.core.target import Identity
from tidewire.core.watch import NullWatch, Watch

TICK_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 30.0
CANARY_SECONDS: Final = 2.0
HEAD_SECONDS: Final = 1.0

UNHEARD_SECONDS: Final = 7.5
"""How long this node may not hear what it tells itself, before it is deaf."""

RESTART_FIRST_SECONDS: Final = 4.0
RESTART_LAST_SECONDS: Final = 32.0
"""How long a log that is followed anew may take to be heard, before it is followed anew again:
twice as long each time, so that a read that takes its time comes to its end."""

FOLLOWING: Final = ("FOLLOW_FAILED", "FOLLOW_STALLED", "CANARY_FAILED")
"""The codes of what may go wrong where the log is followed."""

WARN_BEFORE_MS: Final = 300_000
"""How long before its end an authority is said to be expiring, at most; a quarter of what is
left when the stream opens, where that is less."""

RECONNECT_FIRST_MS: Final = 250
RECONNECTS_PER_SECOND: Final = 500
"""How fast the clients of a drained node are asked to come back, one slot each."""

NEW_CREDENTIAL_MS: Final = 1_000
"""When a client whose credential ended may come back with another."""

UNDATED_AUTHORITY_MS: Final = 3_600_000
"""How long a stream may stay open on a credential that does not say when it ends."""


POLLERS: Final = 5_000
"""Of how many pollers it is known where they stand, so that what is quiet fills no records."""

ENDINGS: Final = frozenset(
    {
        *("left", "replaced", "displaced", "shutdown", "stale", "revoked", "expired"),
        "administrator",
    }
)
"""Why streams end, as they are counted. Whoever disconnects one may say anything else."""

_NO_STREAM: Final = "You have no open stream with this clientId. Open a new one."


class Phase(Enum):
    """The life of a keeper."""

    NEW = "new"
    OPEN = "open"
    DRAINING = "draining"
    CLOSED = "closed"


class Keeper:
    """Keeps the connections of one node."""

    def __init__(
        self,
        hub: Hub,
        bus: ControlBus,
        *,
        clock: Clock,
        journal: Journal,
        ping_interval: float = 30.0,
        caps: Caps | None = None,
        watch: Watch | None = None,
        figures: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Makes a keeper; ``ping_interval`` in seconds. ``figures`` are what this node says of
        itself to the others."""
        self.connections = Connections()
        self.presence = Presence(new_client_id()[:12])
        self.authority = Authority()
        self.ping_interval = ping_interval
        self.phase = Phase.NEW
        self.hub = hub
        self._bus = bus
        self.clock = clock
        self._journal = journal
        self._agenda = Agenda()
        self._to_ping = Rounds(ping_interval)
        self._to_sweep = Rounds(SWEEP_SECONDS)
        self._watcher = watch or NullWatch()
        self.recorder = Recorder(clock)
        hub.on_change = self._changed
        self.inquiries = Inquiries(
            bus, self.presence, journal, alone=lambda: hub.condition.degraded
        )
        self._lease = Lease(
            self.presence,
            self.connections,
            bus,
            clock=clock,
            journal=journal,
            watch=self._watcher,
            figures=figures,
        )
        self.caps = caps or Caps()
        self._admission = Admission(
            self.connections, self.presence, self.caps, clock, ping_interval
        )
        self._pings = self._farewells = 0
        self._next_canary = 0.0
        self._unheard: Position | None = None
        self._deaf = self._blind = False
        self._restart_at = 0.0
        self._restart_pause = RESTART_FIRST_SECONDS
        # Where pollers found nothing, the one last that was seen last.
        self._quiet: dict[tuple[str, str | None], Cursor] = {}
        self._was_ready = True
        self._failures = 0
        self._canary_at = clock.monotonic()
        self.lag = 0.0
        """How late the event loop came to the last tick, seconds."""
        self._ticker: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        bus.listen(self._obey)

    # Life

    def start(self) -> None:
        """Begins to tick."""
        self._canary_at = self.clock.monotonic()
        self._next_canary = self._canary_at + CANARY_SECONDS
        self.phase = Phase.OPEN
        self._lease.begin()
        self._ticker = asyncio.create_task(self._run(), name="tidewire-keeper")

    async def stop(self) -> None:
        """Ends what is still open at once, and ticks no more."""
        self._lease.end()
        self.phase = Phase.CLOSED
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        for connection in tuple(self.connections):
            connection.reader.sink.abort()

    async def drain(self, seconds: float) -> None:
        """Tells every client to go, each with its own time to come back, and waits until they
        are gone; after ``seconds`` what is left is cut off."""
        if self.phase is not Phase.OPEN:
            return
        self.phase = Phase.DRAINING
        for connection in tuple(self.connections):
            self.farewell(connection)
        self._empty.clear()
        if len(self.connections):
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                self._journal.note(
                    "drained streams were cut off",
                    error=TimeoutError("their clients did not take the goodbye"),
                    code="DRAIN_CUT_OFF",
                    settled=True,
                    left=len(self.connections),
                )
                for connection in tuple(self.connections):
                    connection.reader.sink.abort()

    @property
    def ready(self) -> bool:
        """Whether this node accepts and delivers: open, following the log, not behind what the
        log itself said it holds, and hearing what it tells itself. While the log is away and a
        spool stands in for it, there is nothing else to hear."""
        condition = self.hub.condition
        unheard = not condition.degraded and self._lease.unheard_for() > UNHEARD_SECONDS
        deaf = self._deaf or unheard
        works = condition.accepts and condition.hearing and self.hub.hearing
        return self.phase is Phase.OPEN and works and not deaf

    @property
    def canary_age(self) -> float:
        """For how many seconds nothing has shown that this node hears what the log holds."""
        return self.clock.monotonic() - self._canary_at

    @property
    def draining(self) -> bool:
        """Whether this node is going down."""
        return self.phase is Phase.DRAINING

    # Connections

    def admit(self, connection: Connection) -> None:
        """Registers a connection that is about to open. A stream replaces what the same user
        and instance had before, on whichever node it is.

        Raises:
            Draining: this node takes no new ones.
            RevokedCredential: it was revoked since it was looked at.
            Forbidden: this instance was told to stay away, less than a minute ago.
            NodeFull: this node has as many as it can hold.
            TooManyConnections: the user has, and none of them is stale or idle.
        """
        self._check_admissible(connection)
        replaces = connection.transport == "sse" and connection.instance_id is not None
        replaced = sum(
            other.instance_id == connection.instance_id and not other.closing
            for other in (self.connections.of_user(connection.user_id) if replaces else ())
        )
        spare = self._admission.make_room(connection.user_id, leaving=replaced)
        if isinstance(spare, Displace):
            self._bus.post(spare)
        elif spare is not None:
            self._displace(spare)
        self.connections.add(connection)
        self._to_sweep.add(connection, self.clock.monotonic())
        if replaces:
            # Until all nodes have heard this in one order, nobody knows which of two streams is
            # the newer one.
            connection.settled = False
            self._bus.post(
                Disconnect(
                    "replaced",
                    user_id=connection.user_id,
                    instance_id=connection.instance_id,
                    spare=connection.id,
                )
            )

    def _displace(self, connection: Connection) -> None:
        self.close(connection, "displaced", None)
        if connection.reader.sink.blocked_since() is not None:
            connection.reader.sink.abort()

    def _check_admissible(self, connection: Connection) -> None:
        if self.phase is not Phase.OPEN:
            raise Draining(
                "This server is going down. Connect again in a moment.",
                retry_after=RECONNECT_FIRST_MS,
            )
        self._admission.check_refused(connection)
        identity = connection.reader.identity
        judged = self.authority.judge(identity)
        if judged is not identity:
            self.hub.become(connection.reader, judged)

    def refused(self, error: TidewireError, connection: Connection) -> None:
        """Notes that a connection was asked for and did not open."""
        self._journal.note(
            "a connection was refused",
            error=error,
            answered=True,
            user=connection.user_id,
            transport=connection.transport,
        )

    def opened(
        self, connection: Connection, place: Place | None = None, *, resumed: bool = False
    ) -> None:
        """The first bytes are written: from here on it reads.

        Args:
            connection: which.
            place: where a stream starts; None for a held poll.
            resumed: whether it goes on exactly where a cursor stood.
        """
        if connection.happen(Happening.OPENED):
            if place is not None:
                self._record("resumed" if resumed else "opened", connection, place.cursor)
                if place.gap is not None:
                    since, _, reason = place.gap
                    self._record("gap", connection, place.cursor, since=since, detail=reason)
            self._watch(connection)
            self._to_ping.add(connection, self.clock.monotonic())
            self.hub.attach(connection.reader)
            self._watcher.connected(connection)

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
            self.recorder.gaps[gap.reason] += 1
            went_on = start.moved(gap.to)
            self.recorder.note("gap", *of, cursor=went_on, since=gap.from_, detail=gap.reason)
        self.recorder.note("polled", *of, cursor=end, since=str(start))

    def close(self, connection: Connection, reason: str, reconnect_after: int | None) -> None:
        """Says goodbye and closes; a second time does nothing."""
        if connection.happen(Happening.CLOSING):
            connection.reason = reason
            self.connections.touched.add(connection.user_id)
            self.hub.detach(connection.reader)
            self._record_end("closing", connection, reason)
            self._agenda.forget(connection)
            self._write(
                connection,
                notices.disconnecting(reason, reconnect_after, now=self.clock.now()),
            )
            connection.reader.sink.close()

    def refresh(self, client_id: str, identity: Identity) -> tuple[int, Cursor]:
        """Extends an open stream by a new credential of the same user; what is not yet written
        is judged by the new identity.

        Returns:
            When the authority ends now (Unix milliseconds), and the position up to which the
            old identity was asked.

        Raises:
            RevokedCredential: the new credential is good no more.
            NotFound: no such stream of this user.
            InvalidToken: the new credential does not last longer than the old one.
        """
        identity = self.authority.judge(identity)
        connection = self.connections.get(client_id)
        if connection is None or connection.closing or connection.user_id != identity.user_id:
            raise NotFound(_NO_STREAM)
        ends = identity.expires_at
        if ends is not None and ends <= connection.authority_ends:
            raise InvalidToken("The new credential does not last longer than the stream's own.")
        fence = self.hub.become(connection.reader, identity)
        self._watch(connection)
        self._record("refreshed", connection, fence)
        return connection.authority_ends, fence

    async def refresh_anywhere(self, client_id: str, identity: Identity) -> tuple[int, str]:
        """As `refresh`, for a stream on whichever node it is. The fence comes as text."""
        if self.connections.get(client_id) is not None or not len(self.presence):
            ends, fence = self.refresh(client_id, identity)
            return ends, str(fence)
        command = Renew(client_id, self.authority.judge(identity), new_client_id())
        answer = await self.inquiries.ask_holder(command)
        if answer is None:
            raise NotFound(_NO_STREAM)
        if "refused" in answer:
            raise InvalidToken(answer["refused"])
        return answer["expiresAt"], answer["fence"]

    def _renew(self, command: Renew) -> None:
        if self.connections.get(command.client_id) is None:
            return
        try:
            ends, fence = self.refresh(command.client_id, command.identity)
        except NotFound:
            return
        except TidewireError as error:
            answer: dict[str, Any] = {"refused": error.detail}
        else:
            answer = {"expiresAt": ends, "fence": str(fence)}
        self.inquiries.answer(command.reply, answer)

    def release(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection.state is not ConnectionState.CONNECTING and self.connections.get(
            connection.id
        ):
            self._watcher.disconnected(connection)
            self.hub.detach(connection.reader)
            self._record_end("closed", connection, connection.reason or "left")
        else:
            self.hub.detach(connection.reader)
        connection.happen(Happening.CLOSING)
        self._agenda.forget(connection)
        self._to_ping.remove(connection)
        self._to_sweep.remove(connection)
        self.connections.remove(connection)
        if not len(self.connections):
            self._empty.set()

    def farewell(self, connection: Connection) -> None:
        """Sends a client away as the node goes down, with the next slot to come back in."""
        slot = self._farewells * 1000 // RECONNECTS_PER_SECOND
        self._farewells += 1
        self.close(connection, "shutdown", RECONNECT_FIRST_MS + slot)

    def _obey(self, command: Command) -> None:
        match command:
            case Disconnect():
                self._disconnect(command)
            case Revoke():
                self._revoke(command)
            case ChangeIdentity():
                self.authority.change(command)
                for connection in self.connections.of_user(command.user_id):
                    reader = connection.reader
                    fence = self.hub.become(reader, command.applied(reader.identity))
                    self._record("identityChanged", connection, fence)
            case Attendance():
                self._lease.hear(command)
            case Renew():
                self._renew(command)
            case Inquire() | Answer():
                self.inquiries.hear(command)
            case Refuse():
                self._admission.refuse(command.user_id, command.instance_id)
            case Displace() if command.node == self.presence.node:
                spare = self._admission.dispensable(command.user_id)
                if spare is not None:
                    self._displace(spare)

    def _revoke(self, command: Revoke) -> None:
        self.authority.revoke(command)
        for connection in tuple(self.connections):
            if command.concerns(connection.reader.identity):
                self._end(connection, RevokedCredential(REVOKED), "revoked")

    def _disconnect(self, command: Disconnect) -> None:
        if command.client_id is not None:
            found = self.connections.get(command.client_id)
            named = [] if found is None else [found]
        elif command.user_id is not None:
            named = list(self.connections.of_user(command.user_id))
        else:
            named = []
        for connection in named:
            if command.user_id not in (None, connection.user_id):
                continue
            if command.instance_id not in (None, connection.instance_id):
                continue
            if connection.id == command.spare:
                connection.settled = True
            elif command.spare is None or connection.settled:
                self._dismiss(connection, command)

    def _dismiss(self, connection: Connection, command: Disconnect) -> None:
        self.close(connection, command.reason, command.reconnect_after)
        # A stream that was replaced was not sent away: its instance has the new one.
        sent_away = command.reconnect_after is None and command.spare is None
        if sent_away and connection.instance_id is not None:
            self._bus.post(Refuse(connection.user_id, connection.instance_id))

    # Time

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.lag = max(0.0, loop.time() - due)
            try:
                self.tick()
                await self._canary()
            except Exception as error:
                self._journal.note("a tick failed", error=error, code="TICK_FAILED")

    def tick(self) -> None:
        """Does all that is due by now."""
        now = self.clock.monotonic()
        for connection in self._to_sweep.due(now):
            self._sweep(connection, now)
        due = tuple(self._to_ping.due(now))
        if due:
            self.ping(due)
        for connection in self._agenda.due(self.clock.now()):
            self._authority(connection)
        self._lease.tick(alone=self.hub.condition.degraded)
        self._tell_ready()

    def _sweep(self, connection: Connection, now: float) -> bool:
        """Closes a connection whose peer takes nothing. Returns whether it did."""
        if not self.connections.sweep(connection, now, self.ping_interval):
            return False
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
        return True

    def clean_up(self) -> tuple[int, int]:
        """Looks at all connections now. Returns how many were stale and are closed, and how many
        were looked at."""
        now = self.clock.monotonic()
        looked = tuple(self.connections)
        return sum(self._sweep(connection, now) for connection in looked), len(looked)

    def _tell_ready(self) -> None:
        ready = self.ready
        if ready is self._was_ready or self.phase is not Phase.OPEN:
            return
        self._was_ready = ready
        if ready:
            self._journal.note("this node is ready again", recovered=["NOT_READY"])
            return
        why = self.hub.condition.reason or "it does not hear its log"
        self._journal.note(
            "this node is not ready", error=Unavailable(f"Not ready: {why}."), code="NOT_READY"
        )

    def ping(self, connections: Iterable[Connection] | None = None) -> int:
        """Pings those that are live, with one shared frame: of the given, or of all. Returns how
        many were written to."""
        self._pings += 1
        now = self.clock.now()
        pinged = self.connections if connections is None else connections
        return self.hub.tell(
            tuple(connection.reader for connection in pinged),
            lambda cursor: notices.ping(cursor, sequence=self._pings, now=now),
        )

    def ping_one(self, client_id: str) -> dict[str, bool] | None:
        """Pings one stream. Returns whether it was written to; None if it is not here."""
        connection = self.connections.get(client_id)
        if connection is None:
            return None
        pinged = bool(self.ping([connection]))
        detail = None if pinged else "it is not live, or has no room"
        self._record("pinged", connection, self.hub.reached(connection.reader), detail=detail)
        return {"pinged": pinged}

    async def _canary(self) -> None:
        now = self.clock.monotonic()
        if now < self._next_canary:
            return
        self._next_canary = now + CANARY_SECONDS
        heard = self.hub.position.offset
        # Deaf: what the log held one canary ago has still not been heard.
        was_deaf, was_blind = self._deaf, self._blind
        self._blind = False
        self._deaf = self._unheard is not None and self._unheard.offset > heard
        if self._deaf:
            self._note_stalled(now, begins=not was_deaf)
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                self._unheard = await self.hub.head()
        except (LogAway, TimeoutError) as error:
            # What the log holds nobody knows now; its own condition says that it is away.
            self._unheard = None
            self._blind = True
            if self.hub.condition.degraded:
                # A spool stands in for it, and that is heard.
                self._canary_at = now
            self._journal.note(
                "the head of the log could not be asked for",
                error=error,
                code="CANARY_FAILED",
                answered=True,
                next_try=round(CANARY_SECONDS * 1000),
            )
            return
        if self._deaf or not self.hub.hearing:
            return
        self._canary_at = now
        if was_deaf or was_blind or self._failures != self.hub.failures:
            self._failures = self.hub.failures
            self._journal.note("the log is heard again", recovered=FOLLOWING)

    def _note_stalled(self, now: float, *, begins: bool) -> None:
        """Notes that what the log holds is not heard. The log is followed anew with the first
        note, and then after growing pauses: a note that says when is none to act upon."""
        if begins:
            self._restart_at, self._restart_pause = now, RESTART_FIRST_SECONDS
        wait = self._restart_at - now
        if wait <= 0:
            self._restart_at = now + self._restart_pause
            self._restart_pause = min(2 * self._restart_pause, RESTART_LAST_SECONDS)
        self._journal.note(
            "the log grows and is not heard",
            error=TimeoutError(f"{self._unheard} has not been heard"),
            code="FOLLOW_STALLED",
            answered=not begins,
            next_try=round(wait * 1000) if wait > 0 else None,
        )

    def _watch(self, connection: Connection) -> None:
        now = self.clock.now()
        ends = connection.reader.identity.expires_at
        connection.authority_ends = now + UNDATED_AUTHORITY_MS if ends is None else ends
        lead = min(WARN_BEFORE_MS, max(0, connection.authority_ends - now) // 4)
        self._agenda.put(connection.authority_ends - lead, connection)

    def _authority(self, connection: Connection) -> None:
        ends = connection.authority_ends
        now = self.clock.now()
        if now >= ends:
            self._expire(connection)
            return
        self._write(connection, notices.auth_expiring(ends, now=now))
        self._agenda.put(ends, connection)

    def _expire(self, connection: Connection) -> None:
        error = ExpiredToken(
            "The credential of this stream has expired. Get a new one and connect again."
        )
        self._end(connection, error, "expired")

    def _end(self, connection: Connection, error: AuthenticationError, reason: str) -> None:
        if not connection.closing:
            self._journal.note(
                "a stream was ended",
                error=error,
                answered=True,
                user=connection.user_id,
                client=connection.id,
            )
            self._write(connection, notices.problem(error, now=self.clock.now()))
            self.close(connection, reason, NEW_CREDENTIAL_MS)

    def _write(self, connection: Connection, control: Control) -> None:
        sink = connection.reader.sink
        sink.write(sink.encoding.control(control))

    # Records

    def _changed(
        self,
        what: What,
        reader: Reader | None,
        cursor: Cursor,
        since: str | None,
        detail: str | None,
    ) -> None:
        """The hub tells of a reader, or of all that are live."""
        if reader is None:
            self.recorder.gaps[detail or ""] += self.hub.live
            self.recorder.note(what, "", None, cursor=cursor, since=since, detail=detail)
            return
        # Looked for, since it happens rarely, and there are many readers.
        for connection in self.connections.of_user(reader.identity.user_id):
            if connection.reader is reader and connection.transport == "sse":
                self._record(what, connection, cursor, since=since, detail=detail)

    def _record(
        self,
        what: What,
        connection: Connection,
        cursor: Cursor | None,
        *,
        since: str | None = None,
        detail: str | None = None,
    ) -> None:
        reader = connection.reader
        if what == "gap":
            self.recorder.gaps[detail or ""] += 1
        self.recorder.note(
            what,
            connection.id,
            reader.identity,
            reader.types,
            cursor=cursor,
            since=since,
            detail=detail,
        )

    def _record_end(self, what: What, connection: Connection, reason: str) -> None:
        if connection.transport == "sse":
            self._record(what, connection, connection.reader.cursor, detail=reason)
            if what == "closed":
                self.recorder.endings[reason if reason in ENDINGS else "other"] += 1
