"""The library: what an application calls, and what the HTTP routes only wrap."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from starlette.requests import HTTPConnection

from tidewire.auth.authenticator import Method
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.control import (
    ChangeIdentity,
    Disconnect,
    Forget,
    Revoke,
)
from tidewire.core.errors import (
    Draining,
    ExpiredToken,
    Forbidden,
    NotConfigured,
    Unavailable,
)
from tidewire.core.event import Event
from tidewire.core.journal import Journal
from tidewire.core.keeper import Phase
from tidewire.core.log import Clearable, Degradable, EventLog, IdempotencyKey
from tidewire.core.target import Identity
from tidewire.health.journal import ErrorJournal, LoggingJournal
from tidewire.health.measures import Measures
from tidewire.http.authentication import MAY_MINT, authentication
from tidewire.http.figures import overall, sums
from tidewire.http.gate import Gate
from tidewire.http.hooks import Hook, Hooks
from tidewire.http.life import Life, Node
from tidewire.http.redaction import redact_words
from tidewire.http.settings import SECRET_SETTINGS, Settings
from tidewire.http.tracing import COUNT, MESSAGE_ID, Tracer, Tracing
from tidewire.transports import polling, sse
from tidewire.transports.asgi import Receive
from tidewire.version import __version__

if TYPE_CHECKING:
    from tidewire.auth.sessions import SessionCallable
    from tidewire.auth.tokens import IssuedToken

PUBLISH = "publish"

LOAD_AFTER_SECONDS: Final = 0.5
"""When a development server loads what checks tokens, if nobody has shown it one before."""


class Accepted(NamedTuple):
    """What became of a publish.

    Attributes:
        ids: of the events, in order.
        durable: whether they outlive this process, as far as the log does.
    """

    ids: list[str]
    durable: bool


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
        self._tracing = Tracing(tracer)
        self._life = Life(
            self.settings,
            log=log,
            clock=clock,
            journal=self.journal,
            measures=self.measures,
            hooks=Hooks(self.journal, on_connect, on_disconnect),
        )
        self._authentication = authentication(
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
        self._loading: asyncio.TimerHandle | None = None

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
        tokens = self._authentication.tokens
        if self.dev and tokens is not None and self._loading is None:
            # In a thread, and not at once: who waits for the first answer does not wait for this.
            load = Thread(target=tokens.load, name="tidewire-load")
            self._loading = asyncio.get_running_loop().call_later(LOAD_AFTER_SECONDS, load.start)

    async def stop(self) -> None:
        """Ends all streams and everything that runs. It may be started again; a log in memory
        that it opened itself is gone then."""
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None
        await self._life.stop()
        await self.gate.limits.close()

    async def drain(self) -> None:
        """Sends every client away with a time to come back, and takes no new ones. Returns
        when they are gone, at the latest after ``drain_seconds``."""
        if self._node is not None:
            await self._node.keeper.drain(self.settings.drain_seconds)

    @property
    def _node(self) -> Node | None:
        return self._life.node

    @property
    def ready(self) -> bool:
        """Whether this node accepts and delivers."""
        return self._node is not None and self._node.keeper.ready

    @property
    def draining(self) -> bool:
        """Whether this node is going down."""
        return self._node is not None and self._node.keeper.phase is Phase.DRAINING

    @property
    def status(self) -> str:
        """``healthy``; ``degraded`` where something needs a look, as while a spool stands in for
        the log; ``unhealthy`` where this node cannot accept and deliver."""
        if self._node is None or not self._node.keeper.ready:
            return "unhealthy"
        return overall(self._node.figures.components())

    @property
    def degraded(self) -> bool:
        """Whether a spool stands in for the log."""
        return self._node is not None and self._node.hub.condition.degraded

    @property
    def uptime(self) -> int:
        """Milliseconds since it has started; 0 if it has not."""
        return 0 if self._node is None else max(0, self.clock.now() - self._node.started_at)

    def connection_figures(self) -> dict[str, int]:
        """How many connections this node has, and of how many users."""
        if self._node is None:
            return {"total": 0, "users": 0}
        connections = self._node.keeper.connections
        return {"total": len(connections), "users": connections.users}

    async def health(self, *, details: bool = False) -> dict[str, Any]:
        """How this node is, as ``GET /api/sse/health`` says it. Times are Unix milliseconds.

        Args:
            details: with its parts, figures and errors. For administrators.
        """
        # Whether it has started is what is asked for, and no failure to answer.
        with contextlib.suppress(Unavailable):
            await self.start()
        recent = self.measures.requests.recent()
        told: dict[str, Any] = {
            "status": self.status,
            "timestamp": self.clock.now(),
            "uptime": self.uptime,
            "connections": self.connection_figures(),
            "errorRate": recent.error_rate,
            "responseTime": recent.percentiles(),
        }
        if details:
            from tidewire.http import oversight

            node = await self.start()
            log = await oversight.log_figures(node)
            told |= await oversight.details(node, self.measures, log)
        return told

    async def stats(self) -> dict[str, Any]:
        """The figures of all nodes, as ``GET /api/realtime/monitor`` says them."""
        here, nodes, total = await self.monitor()
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

    async def monitor(self) -> tuple[str, dict[str, dict[str, Any]], dict[str, int]]:
        """The name of this node, the figures of all nodes by their names, and their sums."""
        node = await self.start()
        nodes = await node.figures.all()
        total = sums(nodes)
        here = {*node.keeper.connections.all_users()}
        return (
            node.keeper.presence.node,
            nodes,
            {**total, "users": len(here | node.keeper.presence.users), "nodes": len(nodes)},
        )

    async def clear_events(self) -> int:
        """Trims the whole log, for all nodes; returns how many entries that were.

        Raises:
            NotConfigured: this log cannot forget on demand.
            LogAway: it cannot be reached.
        """
        node = await self.start()
        if not isinstance(node.log, Clearable):
            raise NotConfigured("This log cannot be cleared.")
        cleared = await node.log.clear()
        await node.bus.send(Forget())
        return cleared

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
        with self._tracing.span("publish", "send", {COUNT: len(events)}) as span:
            node = await self.start()
            if node.keeper.phase is not Phase.OPEN:
                raise Draining(
                    "This server is going down. Publish again in a moment.", retry_after=250
                )
            positions = await node.hub.publish(events, key=key)
            durable = not isinstance(node.log, Degradable) or all(map(node.log.durable, positions))
            ids = [str(position) for position in positions]
            span.set_attribute("tidewire.durable", durable)
            if len(ids) == 1:
                span.set_attribute(MESSAGE_ID, ids[0])
            return Accepted(ids, durable)

    async def cursor(self) -> str:
        """The head of the log: put it into a snapshot, and let the stream start from it."""
        node = await self.start()
        return str(await node.hub.latest())

    async def open_stream(self, identity: Identity, request: sse.StreamRequest) -> sse.Stream:
        """Makes a stream; it opens when it is called as the answer. Raises as `sse`."""
        with self._tracing.span(
            "stream", "receive", {"tidewire.since": str(request.since)}
        ) as span:
            node = await self.start()
            stream = await sse.open_stream(
                node.keeper,
                identity,
                request,
                newest=self.settings.max_replay_events,
                version=__version__,
            )
            span.set_attribute("tidewire.resumed", stream.resumed)
            return stream

    async def poll(
        self, identity: Identity, request: polling.PollRequest, receive: Receive
    ) -> bytes:
        """Answers a poll as JSON. Raises as `polling.poll`."""
        with self._tracing.span("poll", "receive", {"tidewire.since": str(request.since)}) as span:
            node = await self.start()
            answer = await polling.poll(node.keeper, identity, request, receive)
            span.set_attribute(COUNT, len(answer.entries))
        return polling.answer_json(
            answer,
            request,
            user_id=identity.user_id,
            source=node.log.name,
            now=self.clock.now(),
        )

    # Who

    async def authenticate(self, request: HTTPConnection) -> Identity:
        """Who asks, as they are now.

        Raises:
            AuthenticationError: no credential, or a bad or revoked one.
            Forbidden: a session cookie, used by a foreign page.
            RateLimited: the client's address has failed too often.
        """
        node = await self.start()

        async def proved() -> Identity:
            asked_at = self.clock.now()
            identity = await self._authentication.authenticator.authenticate(request)
            if identity.issued_at is None:
                # Asked for now: what is decided from now on concerns it.
                identity = replace(identity, issued_at=asked_at)
            return node.keeper.authority.judge(identity)

        return await self.gate.identify(request, proved)

    def confirm(self, identity: Identity) -> Identity:
        """The identity as it is now, after something was waited for since `authenticate`.

        Raises:
            ExpiredToken: its time is over.
            RevokedCredential: it was revoked.
        """
        if identity.expires_at is not None and identity.expires_at <= self.clock.now():
            raise ExpiredToken("The credential has expired meanwhile. Get a new one.")
        if self._node is None:
            return identity
        return self._node.keeper.authority.judge(identity)

    def is_admin(self, identity: Identity) -> bool:
        """Whether one of the identity's roles is an administrator's."""
        return not identity.roles.isdisjoint(self.settings.admin_roles)

    def check_admin(self, identity: Identity) -> None:
        """Lets administrators pass.

        Raises:
            Forbidden: the identity is none.
        """
        if not self.is_admin(identity):
            raise Forbidden("This needs an administrator's role.")

    def check_may_publish(self, identity: Identity) -> None:
        """Lets publishers and administrators pass.

        Raises:
            Forbidden: neither.
        """
        if PUBLISH not in identity.permissions and not self.is_admin(identity):
            raise Forbidden(
                f"Publishing needs the permission '{PUBLISH}', or an administrator's role."
            )

    def issue_token(self, identity: Identity) -> "IssuedToken":
        """Makes a token for the same user, roles, permissions and topics.

        Raises:
            Forbidden: the identity was itself proved by a token.
            NotConfigured: there is no signing secret.
        """
        if identity.method not in MAY_MINT:
            raise Forbidden("A token must not get its own successor. Ask with a session.")
        identity = self.confirm(identity)
        tokens = self._authentication.tokens
        if tokens is None:
            raise NotConfigured(
                f"Tokens cannot be signed: set {SECRET_SETTINGS[0]} (or {SECRET_SETTINGS[1]})."
            )
        return tokens.issue(
            identity.user_id,
            roles=identity.roles,
            permissions=identity.permissions,
            topics=identity.topics,
        )

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
        return await node.keeper.refresh_anywhere(client_id, identity)


def _names(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
