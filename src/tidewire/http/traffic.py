"""What goes through a node: events that are published, streams and polls."""

from collections.abc import Sequence
from typing import NamedTuple

from tidewire.core.clock import Clock
from tidewire.core.errors import Draining
from tidewire.core.event import Event
from tidewire.core.keeper import Phase
from tidewire.core.log import IdempotencyKey
from tidewire.core.target import Identity
from tidewire.http.life import Start
from tidewire.http.settings import Settings
from tidewire.http.tracing import COUNT, MESSAGE_ID, Tracing
from tidewire.transports import polling, sse
from tidewire.transports.asgi import Receive
from tidewire.version import __version__


class Accepted(NamedTuple):
    """What became of a publish.

    Attributes:
        ids: of the events, in order.
        durable: whether they outlive this process, as far as the log does.
    """

    ids: list[str]
    durable: bool


class Traffic:
    """Publishing to and reading from the log of one service, with a span for each."""

    def __init__(self, settings: Settings, start: Start, clock: Clock, tracing: Tracing) -> None:
        """``start`` starts the node that all goes through."""
        self._settings = settings
        self._start = start
        self._clock = clock
        self._tracing = tracing

    async def accept(
        self, events: Sequence[Event], *, key: IdempotencyKey | None = None
    ) -> Accepted:
        """Publishes events, all or nothing and in order.

        Raises:
            IdempotencyConflict: the key was used for something else.
            Draining: this node is going down.
            SpoolFull: the log is away, and no more can wait for it here.
        """
        with self._tracing.span("publish", "send", {COUNT: len(events)}) as span:
            node = await self._start()
            if node.keeper.phase is not Phase.OPEN:
                raise Draining(
                    "This server is going down. Publish again in a moment.", retry_after=250
                )
            positions = await node.hub.publish(events, key=key)
            durable = node.hub.durable(positions)
            ids = [str(position) for position in positions]
            span.set_attribute("tidewire.durable", durable)
            if len(ids) == 1:
                span.set_attribute(MESSAGE_ID, ids[0])
            return Accepted(ids, durable)

    async def open_stream(self, identity: Identity, request: sse.StreamRequest) -> sse.Stream:
        """Makes a stream; it opens when it is called as the answer. Raises as `sse`."""
        with self._tracing.span(
            "stream", "receive", {"tidewire.since": str(request.since)}
        ) as span:
            node = await self._start()
            stream = await sse.open_stream(
                node.keeper,
                identity,
                request,
                newest=self._settings.max_replay_events,
                version=__version__,
            )
            span.set_attribute("tidewire.resumed", stream.resumed)
            return stream

    async def poll(
        self, identity: Identity, request: polling.PollRequest, receive: Receive
    ) -> bytes:
        """Answers a poll as JSON. Raises as `polling.poll`."""
        with self._tracing.span("poll", "receive", {"tidewire.since": str(request.since)}) as span:
            node = await self._start()
            answer = await polling.poll(node.keeper, identity, request, receive)
            span.set_attribute(COUNT, len(answer.entries))
        return polling.answer_json(
            answer,
            request,
            user_id=identity.user_id,
            source=node.log.name,
            now=self._clock.now(),
        )
