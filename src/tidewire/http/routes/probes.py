"""Probes for whatever runs the process."""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from tidewire.core.errors import Draining, Unavailable
from tidewire.http.answers import Answer
from tidewire.http.endpoints import Description, Endpoint
from tidewire.http.service import Service


class ProbeAnswer(Answer):
    """How it is."""

    status: str


def probe_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/livez`` and ``/readyz``."""

    async def livez(request: Request) -> Response:
        return ProbeAnswer(status="alive").response()

    async def readyz(request: Request) -> Response:
        await service.start()
        if service.vitals.draining:
            raise Draining("This server is going down.")
        if not service.vitals.ready:
            raise Unavailable("This node does not hear its log, or has no room to wait for it.")
        return ProbeAnswer(status="degraded" if service.vitals.degraded else "ready").response()

    # What asks them asks about the server, every few seconds: it is no request of a client.
    for path, handle, summary, problems in (
        ("/livez", livez, "Whether the process runs", None),
        ("/readyz", readyz, "Whether this node accepts and delivers", ()),
    ):
        description = Description(summary, tag="probes", answer=ProbeAnswer, problems=problems)
        yield Endpoint(path, handle, description=description, is_counted=False)
