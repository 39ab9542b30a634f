"""What administrators see of clients and events: who is there, what became of them, and why
somebody got an event or did not."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tidewire.core.event import check_type
from tidewire.core.position import parse_since
from tidewire.http.answers import UNCACHED, Answer
from tidewire.http.endpoints import Description, Endpoint
from tidewire.http.params import Parameters, read_path, read_query
from tidewire.http.service import Service

MAX_NAME: Final = 256

Name = Annotated[str | None, Field(max_length=MAX_NAME)]


class ClientsQuery(Parameters):
    """Which clients are asked for."""

    user: Name = None
    state: Literal["connecting", "connected", "idle", "stale", "disconnecting"] | None = None
    transport: Literal["sse", "polling"] | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="Clients at most.")] = 100
    after: Annotated[
        str, Field(max_length=64, description="As 'next' of the page before says it.")
    ] = ""


class EventsQuery(Parameters):
    """Which events are asked for."""

    since: Annotated[
        str | None, Field(description="A cursor, Unix milliseconds, 'earliest' or 'latest'.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=500, description="Events at most.")] = 50
    type: Name = None


class ExplainQuery(Parameters):
    """Which event, and for whom."""

    event: Annotated[str, Field(max_length=MAX_NAME, description="The event's id.")]
    user: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class ClientPath(Parameters):
    """Which client is asked for."""

    client_id: Annotated[str, Field(max_length=64)]


class ClientAnswer(Answer):
    """An open stream or held poll. Times are Unix milliseconds."""

    clientId: str  # noqa: N815 - the names on the wire
    userId: str  # noqa: N815
    roles: list[str]
    topics: list[str]
    types: list[str] | None
    """The types that are wanted; null = all."""
    transport: str
    method: str
    """How the credential was given."""
    state: str
    node: str
    connectedAt: int  # noqa: N815
    clientType: str | None  # noqa: N815
    clientInfo: str | None  # noqa: N815
    instanceId: str | None  # noqa: N815
    cursor: str
    behind: int
    """Events that it has yet to be written; 0 = live."""
    delivered: int
    """Events that were written to it."""
    authorityEnds: int  # noqa: N815
    lastDeliveredAt: int | None  # noqa: N815
    address: None


class ClientsAnswer(Answer):
    """A page of the clients of all nodes, by their ids."""

    clients: list[ClientAnswer]
    total: int
    """How many fit, on the nodes that answered."""
    next: str | None
    """Where the next page begins: its ``after``."""
    nodes: list[str]
    """Who answered."""
    missing: list[str]
    """Who did not, within a second."""


class TimelineAnswer(Answer):
    """One client, and what became of it, oldest first."""

    client: ClientAnswer | None
    """Null: it has gone."""
    timeline: list[dict[str, Any]]


class EventsAnswer(Answer):
    """Events of the log, with their targets."""

    events: list[dict[str, Any]]
    cursor: str
    """Everything up to here was looked at."""
    floor: str
    head: str


class ExplainAnswer(Answer):
    """Why a user got an event, or did not."""

    event: str
    user: str
    verdict: str
    delivered: bool | None
    reason: str
    evidence: list[dict[str, Any]]
    """The records that show it, oldest first."""
    nodes: list[str]
    missing: list[str]


def client_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/api/realtime/clients``, ``/events`` and ``/explain``."""

    def described(summary: str, answer: type[Answer], **rest: Any) -> Description:
        return Description(summary, tag="administration", answer=answer, **rest)

    async def clients(request: Request) -> Response:
        query = read_query(request, ClientsQuery)
        await service.access.administrator(request)
        found = await service.clients(
            user=query.user,
            state=query.state,
            transport=query.transport,
            after=query.after,
            limit=query.limit,
        )
        return ClientsAnswer.model_validate(found).response(UNCACHED)

    yield Endpoint(
        "/api/realtime/clients",
        clients,
        description=described(
            "Who is connected, to whichever node", ClientsAnswer, in_query=ClientsQuery
        ),
    )

    async def client(request: Request) -> Response:
        path = read_path(request, ClientPath)
        await service.access.administrator(request)
        found = await service.client(path.client_id)
        return TimelineAnswer.model_validate(found).response(UNCACHED)

    yield Endpoint(
        "/api/realtime/clients/{client_id}",
        client,
        description=described(
            "One client, and what became of it", TimelineAnswer, in_path=ClientPath, problems=(404,)
        ),
    )

    async def events(request: Request) -> Response:
        query = read_query(request, EventsQuery)
        await service.access.administrator(request)
        from tidewire.http import oversight

        found = await oversight.events(
            await service.start(),
            parse_since(query.since) if query.since else None,
            limit=query.limit,
            type_=check_type(query.type) if query.type else None,
        )
        return EventsAnswer.model_validate(found).response(UNCACHED)

    yield Endpoint(
        "/api/realtime/events",
        events,
        description=described(
            "Events with their targets: the newest, or those after a place",
            EventsAnswer,
            in_query=EventsQuery,
            problems=(422,),
        ),
    )

    async def explain(request: Request) -> Response:
        query = read_query(request, ExplainQuery)
        await service.access.administrator(request)
        found = await service.explain(query.event, query.user)
        return ExplainAnswer.model_validate(found).response(UNCACHED)

    yield Endpoint(
        "/api/realtime/explain",
        explain,
        description=described(
            "Why a user got an event, or did not", ExplainAnswer, in_query=ExplainQuery
        ),
    )
