"""Reading: streams, polls and the cursor between them."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidewire.core.errors import TidewireError
from tidewire.core.event import Priority
from tidewire.core.log import GapReason
from tidewire.core.position import Cursor, Edge
from tidewire.http.answering import Deferred, note_answer
from tidewire.http.answers import UNCACHED, Answer
from tidewire.http.endpoints import Description, Endpoint, header
from tidewire.http.extensions import DRAIN_EXTENSION
from tidewire.http.params import PollQuery, StreamQuery, check_names, read_query
from tidewire.http.service import Service
from tidewire.transports.asgi import refuse
from tidewire.transports.polling import PollRequest
from tidewire.transports.sse import StreamRequest

FIVE_MINUTES_MS: Final = 300_000
"""Where a poll starts that does not say where."""

STREAM_ITEM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
    "required": ["data"],
}
"""One block of a stream, as OpenAPI 3.2 describes them and FastAPI does already in 3.1."""

RESUMING: Final = (header("Last-Event-ID", "The cursor of what was seen last."),)


class CursorAnswer(Answer):
    """The head of the log."""

    cursor: str


class GapAnswer(Answer):
    """A hole: what lies in ``(from, to]`` was missed. Fetch anew what depends on it."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    reason: GapReason


class MetadataAnswer(Answer):
    """What an event carries beside its payload. Targets are never sent to subscribers."""

    model_config = ConfigDict(extra="allow")

    userId: str | None = None  # noqa: N815 - the names on the wire
    """Who acted. Not who is meant."""
    correlationId: str | None = None  # noqa: N815


class EventAnswer(Answer):
    """An event of the log, as subscribers get it."""

    id: str
    """Its identity: unique, and never changed."""
    timestamp: int
    """When it was accepted."""
    type: str
    priority: Priority
    source: str
    version: str
    data: Any
    metadata: MetadataAnswer | None = None


class PollMeta(Answer):
    """Where the events came from, and when to ask again. Times are Unix milliseconds."""

    eventSource: str  # noqa: N815 - the names on the wire
    filters: dict[str, list[str]]
    nextPollIn: int  # noqa: N815
    """Milliseconds."""
    nextPollRecommended: int  # noqa: N815
    serverTime: str  # noqa: N815
    """ISO 8601, in UTC."""


class Polled(Answer):
    """The events after a cursor, oldest first, and the cursor to ask with next."""

    userId: str  # noqa: N815 - the names on the wire
    timestamp: int
    since: str
    events: list[EventAnswer]
    cursor: str
    hasMore: bool  # noqa: N815
    """Whether to go on at once."""
    gap: GapAnswer | None
    meta: PollMeta


def stream_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/api/sse``, its alias, polling and the cursor."""

    def tell_of_shutdown(request: Request) -> None:
        register = request.scope.get("extensions", {}).get(DRAIN_EXTENSION)
        if register is not None:
            register(service.drain)

    async def sse(request: Request) -> Response:
        query = read_query(request, StreamQuery)
        check_names(request, StreamQuery)
        identity = await service.authenticate(request)
        asked = StreamRequest(
            since=query.start(request, Edge.LATEST),
            filter=query.filter,
            named=query.named == "1",
            client_type=query.client_type,
            client_info=query.client_info,
            instance_id=query.instance_id,
        )
        # After a shutdown or a lost network a whole crowd comes back at once, to go on where it
        # was. Whether that is why a stream is resumed, no other node can know; so all that are
        # resumed have an allowance of their own, and a cursor that is not honoured resumes none.
        resumes = isinstance(asked.since, Cursor)
        await service.gate.spend(request, "resume" if resumes else "connect", identity)
        stream = await service.open_stream(identity, asked)
        if resumes and not stream.resumed:
            await service.gate.spend(request, "connect", identity)
        tell_of_shutdown(request)
        return Deferred(stream)

    streamed = Description(
        "Open a stream of events",
        tag="events",
        answers={
            200: {
                "description": "A stream of events that does not end.",
                "content": {"text/event-stream": {"itemSchema": STREAM_ITEM}},
            }
        },
        in_query=StreamQuery,
        in_headers=RESUMING,
    )
    yield Endpoint("/api/sse", sse, description=streamed)
    # The same, by the name that goes with polling.
    yield Endpoint("/api/realtime/sse", sse)

    async def polling(request: Request) -> Response:
        query = read_query(request, PollQuery)
        check_names(request, PollQuery)
        identity = await service.authenticate(request)
        asked = PollRequest(
            since=query.start(request, max(0, service.clock.now() - FIVE_MINUTES_MS)),
            limit=query.limit,
            wait=query.wait,
            until=query.end,
            filter=query.filter,
            client_type=query.client_type,
            client_info=query.client_info,
            instance_id=query.instance_id,
        )
        await service.gate.spend_poll(request, identity, asked.instance_id)
        tell_of_shutdown(request)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                body = await service.poll(identity, asked, receive)
            except TidewireError as error:
                note_answer(service.journal, request, error)
                await refuse(error, send)
                return
            found = Response(body, headers=UNCACHED, media_type="application/json")
            await found(scope, receive, send)

        # How long somebody waits for an event is no matter of the server's.
        return Deferred(answer, is_timed=not asked.wait)

    yield Endpoint(
        "/api/realtime/polling",
        polling,
        description=Description(
            "Ask for events", tag="events", answer=Polled, in_query=PollQuery, in_headers=RESUMING
        ),
    )

    async def cursor(request: Request) -> Response:
        await service.authenticate(request)
        head = await service.cursor()
        headers = {"tidewire-cursor": head, **UNCACHED}
        return CursorAnswer(cursor=head).response(headers)

    yield Endpoint(
        "/api/realtime/cursor",
        cursor,
        description=Description("Where the log stands", tag="events", answer=CursorAnswer),
    )
