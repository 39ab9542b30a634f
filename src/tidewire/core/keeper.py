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
from tidewire.core.canary import Canary
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
from tidewire.core.departures import RECONNECT_FIRST_MS, Departures
from tidewire.core.errors import (
    Draining,
    InvalidToken,
    NotFound,
    RevokedCredential,
    TidewireError,
)
from tidewire.core.hub import Hub, Place
from tidewire.core.inquiry import Inquiries
from tidewire.core.journal import Journal
from tidewire.core.lease import Lease
from tidewire.core.position import Cursor
from tidewire.core.presence import Presence
from tidewire.core.readiness import Readiness
from tidewire.core.recorder import Recorder
from tidewire.core.renewals import NO_STREAM, Renewals
from tidewire.core.rounds import Rounds
from tidewire.core.target import Identity
from tidewire.core.timeline import Timeline
from tidewire.core.watch import NullWatch, Watch

TICK_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 30.0


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
        self._watcher = NullWatch() if watch is None else watch
        self.recorder = Recorder(clock)
        self.timeline = Timeline(self.recorder, self.connections, lambda: hub.live)
        hub.on_change = self.timeline.change
        self.departures = Departures(
            self.connections, hub, self._agenda, self.timeline, clock=clock, journal=journal
        )
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
        self.renewals = Renewals(
            self.refresh, self.connections, self.presence, self.authority, self.inquiries
        )
        self.canary = Canary(hub, clock=clock, journal=journal)
        self._readiness = Readiness(hub, self.canary, self._lease, journal)
        self.caps = Caps() if caps is None else caps
        self._admission = Admission(
            self.connections, self.presence, self.caps, clock, ping_interval
        )
        self._pings = 0
        self.lag = 0.0
        """How late the event loop came to the last tick, seconds."""
        self._ticker: asyncio.Task[None] | None = None
        bus.listen(self._obey)

    # Life

    def start(self) -> None:
        """Begins to tick."""
        self.canary.begin()
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
        self.departures.cut_off()

    async def drain(self, seconds: float) -> None:
        """Tells every client to go, each with its own time to come back, and waits until they
        are gone; after ``seconds`` what is left is cut off."""
        if self.phase is not Phase.OPEN:
            return
        self.phase = Phase.DRAINING
        await self.departures.drain(seconds)

    @property
    def ready(self) -> bool:
        """Whether this node is open, and accepts and delivers."""
        return self.phase is Phase.OPEN and self._readiness.holds

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
        replaced = 0
        if replaces:
            replaced = sum(
                other.instance_id == connection.instance_id and not other.closing
                for other in self.connections.of_user(connection.user_id)
            )
        spare = self._admission.make_room(connection.user_id, leaving=replaced)
        if isinstance(spare, Displace):
            self._bus.post(spare)
        elif spare is not None:
            self.departures.displace(spare)
        self.connections.add(connection)
        self._to_sweep.add(connection, self.clock.monotonic())
        if replaces:
            # Which of two streams of one moment is the newer one, nobody knows until all nodes
            # have heard this in one order.
            connection.settled = False
            self._bus.post(
                Disconnect(
                    "replaced",
                    user_id=connection.user_id,
                    instance_id=connection.instance_id,
                    spare=connection.id,
                    spare_since=connection.connected_at,
                )
            )

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
                self.timeline.note("resumed" if resumed else "opened", connection, place.cursor)
                if place.gap is not None:
                    since, _, reason = place.gap
                    self.timeline.note("gap", connection, place.cursor, since=since, detail=reason)
            self._agenda.watch(connection, self.clock.now())
            self._to_ping.add(connection, self.clock.monotonic())
            self.hub.attach(connection.reader)
            self._watcher.connected(connection)

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
            raise NotFound(NO_STREAM)
        ends = identity.expires_at
        if ends is not None and ends <= connection.authority_ends:
            raise InvalidToken("The new credential does not last longer than the stream's own.")
        fence = self.hub.become(connection.reader, identity)
        self._agenda.watch(connection, self.clock.now())
        self.timeline.note("refreshed", connection, fence)
        return connection.authority_ends, fence

    def release(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection.state is not ConnectionState.CONNECTING and self.connections.get(
            connection.id
        ):
            self._watcher.disconnected(connection)
            self.hub.detach(connection.reader)
            self.timeline.end("closed", connection, connection.reason or "left")
        else:
            self.hub.detach(connection.reader)
        self.connections.remove(connection)
        connection.happen(Happening.CLOSING)
        self._agenda.forget(connection)
        self._to_ping.remove(connection)
        self._to_sweep.remove(connection)
        if not len(self.connections):
            self.departures.over.set()

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
                    self.timeline.note("identityChanged", connection, fence)
            case Attendance():
                self._lease.hear(command)
            case Renew():
                self.renewals.hear(command)
            case Inquire() | Answer():
                self.inquiries.hear(command)
            case Refuse():
                self._admission.refuse(command.user_id, command.instance_id)
            case Displace() if command.node == self.presence.node:
                spare = self._admission.dispensable(command.user_id)
                if spare is not None:
                    self.departures.displace(spare)

    def _revoke(self, command: Revoke) -> None:
        self.authority.revoke(command)
        for connection in tuple(self.connections):
            if command.concerns(connection.reader.identity):
                self.departures.end(connection, RevokedCredential(REVOKED), "revoked")

    def _disconnect(self, command: Disconnect) -> None:
        for connection in self.connections.named(
            command.client_id, command.user_id, command.instance_id
        ):
            if connection.id == command.spare:
                connection.settled = True
            elif command.spare is None or _replaced(connection, command):
                self._dismiss(connection, command)

    def _dismiss(self, connection: Connection, command: Disconnect) -> None:
        self.departures.close(connection, command.reason, command.reconnect_after)
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
                await self.canary.sing()
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
            self.departures.look(connection)
        self._lease.tick(alone=self.hub.condition.degraded)
        if self.phase is Phase.OPEN:
            self._readiness.tell()

    def _sweep(self, connection: Connection, now: float) -> bool:
        """Closes a connection whose peer takes nothing. Returns whether it did."""
        if not self.connections.sweep(connection, now, self.ping_interval):
            return False
        self.departures.give_up(connection)
        return True

    def clean_up(self) -> tuple[int, int]:
        """Looks at all connections now. Returns how many were stale and are closed, and how many
        were looked at."""
        now = self.clock.monotonic()
        looked = tuple(self.connections)
        return sum(self._sweep(connection, now) for connection in looked), len(looked)

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
        self.timeline.note("pinged", connection, self.hub.reached(connection.reader), detail=detail)
        return {"pinged": pinged}


def _replaced(connection: Connection, command: Disconnect) -> bool:
    """Whether a stream is older than the one that it is to make room for. The command may be late:
    a node could not send it, and its client has a stream elsewhere by now."""
    age = connection.connected_at - command.spare_since
    return age < 0 or (age == 0 and connection.settled)
