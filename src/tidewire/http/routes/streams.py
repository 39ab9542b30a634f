"""Reading: streams, polls and the cursor between them."""

from collections.abc import MutableMapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from tidewire.core.position import Cursor, Edge
from tidewire.http.params import PollQuery, StreamQuery, check_names
from tidewire.http.problems import problem_responses
from tidewire.http.service import Service
from tidewire.transports.asgi import Message, Receive, Send
from tidewire.transports.polling import PollRequest
from tidewire.transports.sse import Stream, StreamRequest

DRAIN_EXTENSION = "tidewire.drain"
"""In ``scope["extensions"]``, from a server that tells of its shutdown: takes a coroutine
function to call before it waits for what is open. `tidewire serve` offers it."""


FIVE_MINUTES_MS = 300_000
"""Where a poll starts that does not say where."""


class CursorAnswer(BaseModel):
    """The head of the log."""

    cursor: str


class StreamAnswer(Response):
    """A stream as the answer of a route; or its refusal, where there is no room for it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._stream = stream

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self.raw_headers]}
            await send(message)

        await self._stream(scope, receive, send_with_headers)


def add_stream_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/api/sse``, its alias, polling and the cursor."""

    def tell_of_shutdown(request: Request) -> None:
        register = request.scope.get("extensions", {}).get(DRAIN_EXTENSION)
        if register is not None:
            register(service.drain)

    async def sse(request: Request, query: Annotated[StreamQuery, Query()]) -> Response:
        check_names(request, StreamQuery)
        identity = await service.authenticate(request)
        asked = StreamRequest(
            since=query.start(request, Edge.LATEST),
            filter=query.filter,
            named=query.named == "1",
            client_type=query.client_type,
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
        return StreamAnswer(stream)

    stream_responses = {
        200: {
            "description": "A stream of events that does not end.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problem_responses(),
    }
    for path, shown in (("/api/sse", True), ("/api/realtime/sse", False)):
        router.add_api_route(
            path,
            sse,
            methods=["GET"],
            summary="Open a stream of events",
            responses=stream_responses,
            response_class=Response,
            include_in_schema=shown,
            tags=["events"],
        )

    @router.get(
        "/api/realtime/polling",
        summary="Ask for events",
        responses=problem_responses(),
        tags=["events"],
    )
    async def polling(request: Request, query: Annotated[PollQuery, Query()]) -> Response:
        check_names(request, PollQuery)
        identity = await service.authenticate(request)
        asked = PollRequest(
            since=query.start(request, max(0, service.clock.now() - FIVE_MINUTES_MS)),
            limit=query.limit,
            wait=query.wait,
            filter=query.filter,
            client_type=query.client_type,
            instance_id=query.instance_id,
        )
        await service.gate.spend_poll(request, identity, asked.instance_id)
        tell_of_shutdown(request)
        body = await service.poll(identity, asked, request.receive)
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    @router.get(
        "/api/realtime/cursor",
        summary="Where the log stands",
        response_model=CursorAnswer,
        responses=problem_responses(),
        tags=["events"],
    )
    async def cursor(request: Request, response: Response) -> CursorAnswer:
        await service.authenticate(request)
        head = await service.cursor()
        response.headers["Tidewire-Cursor"] = head
        response.headers["Cache-Control"] = "no-store"
        return CursorAnswer(cursor=head)
