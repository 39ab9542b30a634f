"""Probes for whatever runs the process."""

from fastapi import APIRouter
from pydantic import BaseModel

from tidewire.core.errors import Draining, Unavailable
from tidewire.http.problems import problem_responses
from tidewire.http.service import Service


class ProbeAnswer(BaseModel):
    """How it is."""

    status: str


def add_probe_routes(router: APIRouter, service: Service) -> None:
    """Adds ``/livez`` and ``/readyz``."""

    @router.get("/livez", summary="Whether the process runs", tags=["probes"])
    async def livez() -> ProbeAnswer:
        return ProbeAnswer(status="alive")

    @router.get(
        "/readyz",
        summary="Whether this node accepts and delivers",
        responses=problem_responses(),
        tags=["probes"],
    )
    async def readyz() -> ProbeAnswer:
        await service.start()
        if service.draining:
            raise Draining("This server is going down.")
        if not service.ready:
            raise Unavailable("This node does not hear its log, or has no room to wait for it.")
        return ProbeAnswer(status="degraded" if service.status == "degraded" else "ready")
