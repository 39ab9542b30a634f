"""How this node is, and how all of them are; what administrators do to connections and events."""

import hmac
from collections.abc import Iterator
from typing import Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tidewire.core.errors import InvalidEvent, NotFound
from tidewire.http.answers import UNCACHED, Answer
from tidewire.http.bodies import ActionBody, parse_model, read_body
from tidewire.http.endpoints import Description, Endpoint
from tidewire.http.params import Parameters, read_query
from tidewire.http.service import Service

BEARER: Final = "bearer "


class HealthQuery(Parameters):
    """How much is asked for."""

    details: bool = False


class ConnectionFigures(Answer):
    """Open streams and held polls of this node, and of how many users."""

    total: int
    users: int


class Percentiles(Answer):
    """Milliseconds; null where there was nothing to measure."""

    p50: float | None
    p95: float | None
    p99: float | None


class ErrorFigures(Answer):
    """The errors of all nodes within the last hour: the newest, and how many of each kind."""

    recent: list[dict[str, Any]]
    byCategory: dict[str, int]  # noqa: N815 - the names on the wire
    bySeverity: dict[str, int]  # noqa: N815
    total: int


class HealthAnswer(Answer):
    """How this node is. ``uptime``: ms; ``timestamp``: Unix milliseconds. The last five members
    are there only if they are asked for."""

    status: str
    timestamp: int
    uptime: int
    connections: ConnectionFigures
    errorRate: float  # noqa: N815 - the name on the wire
    """Answers of 400 and above within the last five minutes, in percent of all."""
    responseTime: Percentiles  # noqa: N815
    """Within the last five minutes, to the first byte."""
    components: dict[str, dict[str, Any]] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    events: dict[str, Any] = Field(default_factory=dict)
    errors: ErrorFigures | None = None
    system: dict[str, Any] = Field(default_factory=dict)


class MonitorAnswer(Answer):
    """Every node, as the one that answers knows it."""

    metrics: dict[str, Any]
    allInstancesMetrics: dict[str, dict[str, Any]]  # noqa: N815 - the names on the wire
    sseStats: dict[str, int]  # noqa: N815
    timestamp: int


class ActionAnswer(Answer):
    """What came of an action."""

    success: bool
    action: str
    result: dict[str, Any]
    timestamp: int


def figure_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/api/sse/health``, ``/api/realtime/monitor`` and ``/metrics``."""

    async def health(request: Request) -> Response:
        details = read_query(request, HealthQuery).details
        if details:
            await service.access.administrator(request)
        found = HealthAnswer(**await service.health(details=details))
        return found.response(UNCACHED, exclude_unset=True)

    yield Endpoint(
        "/api/sse/health",
        health,
        description=Description(
            "How this node is", tag="health", answer=HealthAnswer, in_query=HealthQuery
        ),
    )

    async def act(request: Request) -> Response:
        await service.access.administrator(request)
        asked = parse_model(ActionBody, await read_body(request))
        result = await _carry_out(service, asked)
        answer = ActionAnswer(
            success=True, action=asked.action, result=result, timestamp=service.clock.now()
        )
        return answer.response()

    yield Endpoint(
        "/api/sse/health",
        act,
        methods=("POST",),
        description=Description(
            "Do something about connections or events, on whichever node they are",
            tag="health",
            answer=ActionAnswer,
            problems=(404, 413, 422),
            body=ActionBody.model_json_schema,
        ),
    )

    async def monitor(request: Request) -> Response:
        await service.access.administrator(request)
        return MonitorAnswer(**await service.stats()).response(UNCACHED)

    yield Endpoint(
        "/api/realtime/monitor",
        monitor,
        description=Description("All nodes", tag="health", answer=MonitorAnswer),
    )

    async def prometheus(request: Request) -> Response:
        if not _may_scrape(request, service):
            await service.access.administrator(request)
        node = await service.start()
        here, nodes, _ = await node.figures.monitor()
        # Only who is scraped needs it.
        from tidewire.health import metrics
        from tidewire.http import oversight

        log = await oversight.log_figures(node)
        return Response(
            metrics.render(nodes, here, log), media_type=metrics.CONTENT_TYPE, headers=UNCACHED
        )

    yield Endpoint(
        "/metrics",
        prometheus,
        description=Description(
            "All nodes, for Prometheus",
            tag="health",
            answers={200: {"content": {"text/plain": {}}}},
        ),
    )


async def _carry_out(service: Service, asked: ActionBody) -> dict[str, Any]:
    # Only who asks for something needs it.
    from tidewire.http import oversight

    node = await service.start()
    parameters = asked.parameters
    match asked.action:
        case "health_check":
            return await oversight.pinged(node)
        case "ping_client":
            return await oversight.pinged(node, _named(parameters, "clientId"))
        case "get_client_info":
            return {"client": await _client(service, _named(parameters, "clientId"))}
        case "disconnect_client":
            return {"everywhere": await service.disconnect(_named(parameters, "clientId"))}
        case "disconnect_user":
            return {"everywhere": await service.disconnect_user(_named(parameters, "userId"))}
        case "clear_errors":
            return await oversight.clear_errors(node)
        case "clear_events":
            return {"cleared": await service.clear_events()}
        case "force_cleanup":
            return await oversight.clean_up(node)


async def _client(service: Service, client_id: str) -> dict[str, Any]:
    client: dict[str, Any] | None = (await service.client(client_id))["client"]
    if client is None:
        raise NotFound(f"The client {client_id!r} has gone.")
    return client


def _may_scrape(request: Request, service: Service) -> bool:
    token = service.settings.metrics_token
    given = request.headers.get("authorization", "")
    if token is None or not given.lower().startswith(BEARER):
        return False
    return hmac.compare_digest(given[len(BEARER) :].encode(), token.get_secret_value().encode())


def _named(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidEvent(f"parameters.{name} must name one.", field=f"parameters.{name}")
    return value
