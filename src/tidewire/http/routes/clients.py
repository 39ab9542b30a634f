"""What administrators see of clients and events: who is there, what became of them, and why
somebody got an event or did not."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from tidewire.core.event import check_type
from tidewire.core.position import parse_since
from tidewire.http.answers import Answer
from tidewire.http.problems import problem_responses
from tidewire.http.service import Service

MAX_NAME = 256

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


Name = Annotated[str | None, Field(max_length=MAX_NAME)]


class ClientsQuery(BaseModel):
    """Which clients are asked for."""

    user: Name = None
    state: Literal["connecting", "connected", "idle", "stale", "disconnecting"] | None = None
    transport: Literal["sse", "polling"] | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="Clients at most.")] = 100
    after: Annotated[
        str, Field(max_length=64, description="As 'next' of the page before says it.")
    ] = ""


class EventsQuery(BaseModel):
    """Which events are asked for."""

    since: Annotated[
        str | None, Field(description="A cursor, Unix milliseconds, 'earliest' or 'latest'.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=500, description="Events at most.")] = 50
    type: Name = None


class ExplainQuery(BaseModel):
    """Which event, and for whom."""

    event: Annotated[str, Field(max_length=MAX_NAME, description="The event's id.")]
    user: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


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


def add_client_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/api/realtime/clients``, ``/events`` and ``/explain``."""

    async def admit(request: Request, response: Response) -> None:
        await service.access.administrator(request)
        response.headers["Cache-Control"] = "no-store"

    def get(
        path: str, summary: str, answer: type[Answer], *statuses: int
    ) -> Callable[[Endpoint], Endpoint]:
        """Adds an endpoint below ``/api/realtime``. ``statuses``: of its own problems."""
        return router.get(
            f"/api/realtime{path}",
            summary=summary,
            response_model=answer,
            responses=problem_responses(*statuses),
            tags=["administration"],
        )

    @get("/clients", "Who is connected, to whichever node", ClientsAnswer)
    async def clients(
        request: Request, response: Response, query: Annotated[ClientsQuery, Query()]
    ) -> dict[str, Any]:
        await admit(request, response)
        return await service.clients(
            user=query.user,
            state=query.state,
            transport=query.transport,
            after=query.after,
            limit=query.limit,
        )

    @get("/clients/{client_id}", "One client, and what became of it", TimelineAnswer, 404)
    async def client(
        request: Request, response: Response, client_id: Annotated[str, Path(max_length=64)]
    ) -> dict[str, Any]:
        await admit(request, response)
        return await service.client(client_id)

    @get(
        "/events",
        "Events with their targets: the newest, or those after a place",
        EventsAnswer,
        422,
    )
    async def events(
        request: Request, response: Response, query: Annotated[EventsQuery, Query()]
    ) -> dict[str, Any]:
        await admit(request, response)
        from tidewire.http import oversight

        return await oversight.events(
            await service.start(),
            parse_since(query.since) if query.since else None,
            limit=query.limit,
            type_=check_type(query.type) if query.type else None,
        )

    @get("/explain", "Why a user got an event, or did not", ExplainAnswer)
    async def explain(
        request: Request, response: Response, query: Annotated[ExplainQuery, Query()]
    ) -> dict[str, Any]:
        await admit(request, response)
        return await service.explain(query.event, query.user)
