"""How this node is, and how all of them are; what administrators do to connections and events."""

import contextlib
import hmac
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from tidewire.core.errors import InvalidEvent, Unavailable
from tidewire.http.bodies import ActionBody, body_schema, parse_model, read_body
from tidewire.http.problems import problem_responses
from tidewire.http.service import Service

BEARER: Final = "bearer "


class ConnectionFigures(BaseModel):
    """Open streams and held polls of this node, and of how many users."""

    total: int
    users: int


class HealthAnswer(BaseModel):
    """How this node is. ``uptime``: ms; ``timestamp``: Unix milliseconds."""

    status: str
    timestamp: int
    uptime: int
    connections: ConnectionFigures
    components: dict[str, Any] | None = None


class MonitorAnswer(BaseModel):
    """Every node, as the one that answers knows it."""

    metrics: dict[str, Any]
    allInstancesMetrics: dict[str, dict[str, Any]]  # noqa: N815 - the names on the wire
    sseStats: dict[str, int]  # noqa: N815
    timestamp: int


class ActionAnswer(BaseModel):
    """What came of an action."""

    success: bool
    action: str
    result: dict[str, Any]
    timestamp: int


def add_figure_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/api/sse/health``, ``/api/realtime/monitor`` and ``/metrics``."""

    @router.get(
        "/api/sse/health",
        summary="How this node is",
        response_model=HealthAnswer,
        response_model_exclude_none=True,
        responses=problem_responses(),
        tags=["health"],
    )
    async def health(request: Request, response: Response, details: bool = False) -> HealthAnswer:
        response.headers["Cache-Control"] = "no-store"
        if details:
            service.check_admin(await service.authenticate(request))
        with contextlib.suppress(Unavailable):
            # Whether it has started is what was asked for, and no failure to answer.
            await service.start()
        return HealthAnswer(
            status=service.status,
            timestamp=service.clock.now(),
            uptime=service.uptime,
            connections=ConnectionFigures(**service.connection_figures()),
            components=await service.components() if details else None,
        )

    @router.post(
        "/api/sse/health",
        summary="Do something about connections or events, on whichever node they are",
        response_model=ActionAnswer,
        responses=problem_responses(413, 422),
        openapi_extra=body_schema(ActionBody.model_json_schema()),
        tags=["health"],
    )
    async def act(request: Request) -> ActionAnswer:
        service.check_admin(await service.authenticate(request))
        asked = parse_model(ActionBody, await read_body(request))
        parameters = asked.parameters
        match asked.action:
            case "disconnect_client":
                everywhere = await service.disconnect(_named(parameters, "clientId"))
                result: dict[str, Any] = {"everywhere": everywhere}
            case "disconnect_user":
                everywhere = await service.disconnect_user(_named(parameters, "userId"))
                result = {"everywhere": everywhere}
            case "clear_events":
                result = {"cleared": await service.clear_events()}
        return ActionAnswer(
            success=True, action=asked.action, result=result, timestamp=service.clock.now()
        )

    @router.get(
        "/api/realtime/monitor",
        summary="All nodes",
        response_model=MonitorAnswer,
        responses=problem_responses(),
        tags=["health"],
    )
    async def monitor(request: Request, response: Response) -> MonitorAnswer:
        service.check_admin(await service.authenticate(request))
        response.headers["Cache-Control"] = "no-store"
        here, nodes, total = await service.monitor()
        return MonitorAnswer(
            metrics=nodes[here],
            allInstancesMetrics=nodes,
            sseStats=total,
            timestamp=service.clock.now(),
        )

    @router.get(
        "/metrics",
        summary="All nodes, for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **problem_responses()},
        tags=["health"],
    )
    async def prometheus(request: Request) -> Response:
        if not _may_scrape(request, service):
            service.check_admin(await service.authenticate(request))
        _, nodes, _ = await service.monitor()
        # Only who is scraped needs it.
        from tidewire.health import metrics

        return Response(
            metrics.render(nodes),
            media_type=metrics.CONTENT_TYPE,
            headers={"cache-control": "no-store"},
        )


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
