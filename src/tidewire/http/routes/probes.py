"""Probes for whatever runs the process."""

from fastapi import APIRouter

from tidewire.core.errors import Draining, Unavailable
from tidewire.http.answers import Answer
from tidewire.http.problems import problem_responses, problem_route
from tidewire.http.service import Service


class ProbeAnswer(Answer):
    """How it is."""

    status: str


def add_probe_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/livez`` and ``/readyz``."""

    async def livez() -> ProbeAnswer:
        return ProbeAnswer(status="alive")

    async def readyz() -> ProbeAnswer:
        await service.start()
        if service.vitals.draining:
            raise Draining("This server is going down.")
        if not service.vitals.ready:
            raise Unavailable("This node does not hear its log, or has no room to wait for it.")
        return ProbeAnswer(status="degraded" if service.vitals.degraded else "ready")

    # What asks them asks about the server, every few seconds: it is no request of a client.
    uncounted = problem_route(service.journal)
    router.add_api_route(
        "/livez",
        livez,
        methods=["GET"],
        summary="Whether the process runs",
        tags=["probes"],
        route_class_override=uncounted,
    )
    router.add_api_route(
        "/readyz",
        readyz,
        methods=["GET"],
        summary="Whether this node accepts and delivers",
        responses=problem_responses(),
        tags=["probes"],
        route_class_override=uncounted,
    )
