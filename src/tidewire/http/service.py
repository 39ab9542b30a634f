"""The library: what an application calls, and what the HTTP routes only wrap."""

import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from starlette.requests import HTTPConnection

from tidewire.auth.authenticator import Method
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.control import ChangeIdentity, Disconnect, Revoke
from tidewire.core.errors import Unavailable
from tidewire.core.event import Event
from tidewire.core.journal import Journal
from tidewire.core.log import EventLog, IdempotencyKey
from tidewire.core.target import Identity
from tidewire.health.journal import ErrorJournal, LoggingJournal
from tidewire.health.measures import Measures
from tidewire.http.access import Access
from tidewire.http.authentication import authentication
from tidewire.http.gate import Gate
from tidewire.http.hooks import Hook, Hooks
from tidewire.http.life import Life, Node
from tidewire.http.redaction import redact_words
from tidewire.http.settings import Settings
from tidewire.http.tracing import Tracer, Tracing
from tidewire.http.traffic import Accepted, Traffic
from tidewire.http.vitals import Vitals
from tidewire.transports import polling, sse
from tidewire.transports.asgi import Receive

if TYPE_CHECKING:
    from tidewire.auth.sessions import SessionCallable
    from tidewire.auth.tokens import IssuedToken


class Service:
    """One Tidewire. Several may live in one process; none knows of another.

    It starts by itself on first use, on the event loop of that use; with the application's
    lifespan it also stops with it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        dev: bool = False,
        dev_allow_remote: bool = False,
        session: "Method | SessionCallable | None" = None,
        log: EventLog | None = None,
        clock: Clock | None = None,
        journal: Journal | None = None,
        on_connect: Hook | None = None,
        on_disconnect: Hook | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Makes a Tidewire; nothing runs yet.

        Args:
            settings: default: from the environment.
            dev: development mode: ``?userId=`` says who one is. Never in production.
            dev_allow_remote: let that work for requests from other machines too.
            session: how the application's own sessions say who asks: an async callable
                ``(request) -> Identity | None``, or one of `tidewire.auth.sessions`.
            log: a log to use instead of opening ``settings.log_url``; it stays the caller's.
            clock: where the time comes from.
            journal: where failures are noted; default: the logger ``tidewire``.
            on_connect: called with every client that comes to this node
                (`tidewire.Visit`).
            on_disconnect: called with every client that leaves it; and on one node with each
                user of a node that has vanished.
            tracer: of OpenTelemetry, ``opentelemetry.trace.get_tracer("tidewire")``: makes a span
                of what is published, of streams that are opened, and of polls.

        Raises:
            ConfigurationError: nobody could ever prove who they are, or a setting is not valid.
        """
        self.settings = settings or Settings.load()
        self.dev = dev
        self.clock: Clock = clock or SystemClock()
        self.journal = ErrorJournal(
            journal or LoggingJournal(), clock=self.clock, redact=redact_words
        )
        self.measures = Measures(self.clock)
        self._life = Life(
            self.settings,
            log=log,
            clock=clock,
            journal=self.journal,
            measures=self.measures,
            hooks=Hooks(self.journal, on_connect, on_disconnect),
        )
        self.vitals = Vitals(self._life, self.measures, self.clock)
        proofs = authentication(
            self.settings,
            session=session,
            dev=dev,
            dev_allow_remote=dev_allow_remote,
            clock=self.clock,
            journal=self.journal,
        )
        self.gate = Gate(
            self.settings,
            dev=dev,
            clock=self.clock,
            journal=self.journal,
            attempts=self.measures.attempts,
        )

        def start() -> Awaitable[Node]:
            # Looked up each time: whoever watches the start of this one has replaced it.
            return self.start()

        def ask(request: HTTPConnection) -> Awaitable[Identity]:
            # So is this: a subclass may have its own.
            return self.authenticate(request)

        self.access = Access(self.settings, proofs, self.gate, self._life, start, ask, self.clock)
        self._traffic = Traffic(self.settings, start, self.clock, Tracing(tracer))

    # Life

    async def start(self) -> Node:
        """Starts, if that has not happened yet.

        Raises:
            LogAway: the log cannot be reached; the next call tries again, a second later.
            Unavailable: it runs on another event loop.
        """
        return await self._life.start()

    async def start_in_time(self) -> None:
        """Starts; while the log cannot be reached, goes on trying behind everything else."""
        await self._life.start_in_time()
        if self.dev:
            self.access.load_soon()

    async def stop(self) -> None:
        """Ends all streams and everything that runs. It may be started again; a log in memory
        that it opened itself is gone then."""
        self.access.stop()
        await self._life.stop()
        await self.gate.limits.close()

    async def drain(self) -> None:
        """Sends every client away with a time to come back, and takes no new ones. Returns
        when they are gone, at the latest after ``drain_seconds``."""
        if self._life.node is not None:
            await self._life.node.keeper.drain(self.settings.drain_seconds)

    # How it is

    @property
    def ready(self) -> bool:
        """Whether this node accepts and delivers."""
        return self.vitals.ready

    @property
    def draining(self) -> bool:
        """Whether this node is going down."""
        return self.vitals.draining

    @property
    def status(self) -> str:
        """``healthy``, ``degraded`` or ``unhealthy``: this node."""
        return self.vitals.status

    async def health(self, *, details: bool = False) -> dict[str, Any]:
        """How this node is, as ``GET /api/sse/health`` says it. Times are Unix milliseconds.

        Args:
            details: with its parts, figures and errors. For administrators.
        """
        # Whether it has started is what is asked for, and no failure to answer.
        with contextlib.suppress(Unavailable):
            await self.start()
        told = self.vitals.brief()
        if details:
            from tidewire.http import oversight

            told |= await oversight.details(await self.start(), self.measures)
        return told

    async def stats(self) -> dict[str, Any]:
        """The figures of all nodes, as ``GET /api/realtime/monitor`` says them."""
        here, nodes, total = await (await self.start()).figures.monitor()
        return {
            "metrics": nodes[here],
            "allInstancesMetrics": nodes,
            "sseStats": total,
            "timestamp": self.clock.now(),
        }

    async def health_check(self) -> int:
        """Pings all streams of all nodes now. Returns how many were written to."""
        from tidewire.http import oversight

        pinged: int = (await oversight.pinged(await self.start()))["pinged"]
        return pinged

    async def clients(
        self,
        *,
        user: str | None = None,
        state: str | None = None,
        transport: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> dict[str, Any]:
        """The open streams and held polls of all nodes, by their ids.

        Args:
            user: only those of this user.
            state: only those in this state.
            transport: ``sse`` or ``polling``; None = both.
            after: only those whose id is greater: ``next`` of the page before.
            limit: how many at most.

        Returns:
            ``clients``, ``total``, ``next``, the ``nodes`` that answered within a second, and the
            names of those ``missing``.
        """
        from tidewire.http import inspection, oversight

        choice = inspection.Choice(user, state, transport, after, limit)
        return await oversight.clients(await self.start(), choice)

    async def client(self, client_id: str) -> dict[str, Any]:
        """One ``client``, on whichever node it is (None: it has gone), and its ``timeline``.

        Raises:
            NotFound: nobody knows of it.
        """
        from tidewire.http import oversight

        return await oversight.client(await self.start(), client_id)

    async def explain(self, event_id: str, user_id: str) -> dict[str, Any]:
        """Why a user got an event, or did not: a ``verdict``, whether it was ``delivered`` (None:
        nobody knows), a ``reason``, and the records that show it.

        Raises:
            InvalidCursor: that is no id of an event.
            LogAway: the log cannot be read.
        """
        from tidewire.http import oversight

        return await oversight.explain(await self.start(), event_id, user_id)

    async def clear_events(self) -> int:
        """Trims the whole log, for all nodes; returns how many entries that were.

        Raises:
            NotConfigured: this log cannot forget on demand.
            LogAway: it cannot be reached.
        """
        from tidewire.http import oversight

        return await oversight.clear_events(await self.start())

    # Publishing and reading

    @overload
    async def publish(self, event: Event, *, key: IdempotencyKey | None = None) -> str: ...

    @overload
    async def publish(
        self, event: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> list[str]: ...

    async def publish(
        self, event: Event | Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> str | list[str]:
        """Publishes one event, or several, all or nothing and in order; returns the ids.

        Args:
            event: what to publish.
            key: makes a repeat within ten minutes harmless.

        Raises:
            IdempotencyConflict: the key was used for something else.
            Draining: this node is going down.
            SpoolFull: the log is away, and no more can wait for it here.
        """
        events = [event] if isinstance(event, Event) else event
        accepted = await self.accept(events, key=key)
        return accepted.ids[0] if isinstance(event, Event) else accepted.ids

    async def accept(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> Accepted:
        """As `publish`, and says whether what was accepted is durable."""
        return await self._traffic.accept(events, key=key)

    async def cursor(self) -> str:
        """The head of the log: put it into a snapshot, and let the stream start from it."""
        node = await self.start()
        return str(await node.hub.latest())

    async def open_stream(self, identity: Identity, request: sse.StreamRequest) -> sse.Stream:
        """Makes a stream; it opens when it is called as the answer. Raises as `sse`."""
        return await self._traffic.open_stream(identity, request)

    async def poll(
        self, identity: Identity, request: polling.PollRequest, receive: Receive
    ) -> bytes:
        """Answers a poll as JSON. Raises as `polling.poll`."""
        return await self._traffic.poll(identity, request, receive)

    # Who

    async def authenticate(self, request: HTTPConnection) -> Identity:
        """Who asks, as they are now.

        Raises:
            AuthenticationError: no credential, or a bad or revoked one.
            Forbidden: a session cookie, used by a foreign page.
            RateLimited: the client's address has failed too often.
        """
        return await self.access.authenticate(request)

    def issue_token(self, identity: Identity) -> "IssuedToken":
        """Makes a token for the same user, roles, permissions and topics.

        Raises:
            Forbidden: the identity was itself proved by a token.
            NotConfigured: there is no signing secret.
        """
        return self.access.issue_token(identity)

    async def revoke(self, *, token_id: str | None = None, user_id: str | None = None) -> bool:
        """Makes a token (by its ``jti``), or all that a user holds, good no more. Their open
        streams end; what the user gets later is good again.

        Returns:
            Whether all nodes have been told; False while the log is away: this node knows, and
            the others will when it is back.

        Raises:
            ValueError: neither is named.
        """
        if token_id is None and user_id is None:
            raise ValueError("name a token or a user to revoke")
        node = await self.start()
        return await node.bus.send(Revoke(self.clock.now(), token_id=token_id, user_id=user_id))

    async def update_identity(
        self,
        user_id: str,
        *,
        roles: Iterable[str] | None = None,
        permissions: Iterable[str] | None = None,
        topics: Iterable[str] | None = None,
    ) -> None:
        """Changes what a user may do: open streams follow at once, and tokens that were issued
        before are worth no more than this. What is left out stays as it was."""
        node = await self.start()
        await node.bus.send(
            ChangeIdentity(
                user_id,
                self.clock.now(),
                roles=_names(roles),
                permissions=_names(permissions),
                topics=_names(topics),
            )
        )

    async def disconnect(self, client_id: str, reason: str = "administrator") -> bool:
        """Ends a stream, on whichever node it is, and asks its client to stay away. Returns
        whether all nodes have been told."""
        node = await self.start()
        return await node.bus.send(Disconnect(reason, client_id=client_id))

    async def disconnect_user(self, user_id: str, reason: str = "administrator") -> bool:
        """Ends all streams of a user and asks their clients to stay away. Returns whether all
        nodes have been told."""
        node = await self.start()
        return await node.bus.send(Disconnect(reason, user_id=user_id))

    async def refresh(self, client_id: str, identity: Identity) -> tuple[int, str]:
        """Extends an open stream, on whichever node it is, by a new credential. Raises as
        `Keeper.refresh`.

        Returns:
            When its authority ends now (Unix milliseconds), and the position up to which the
            old credential was asked.
        """
        node = await self.start()
        return await node.keeper.renewals.ask(client_id, identity)


def _names(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
