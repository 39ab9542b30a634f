"""The browser client as one ES module, for pages that have no build of their own."""

from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from tidewire.http.assets import Asset
from tidewire.http.problems import problem_route
from tidewire.http.service import Service

FILE: Final = Path(__file__).parent.parent / "static" / "tidewire.js"


def add_module_route(router: APIRouter, service: Service) -> None:
    """Adds ``/tidewire.js``, for anyone."""

    # Once, and not before somebody asks: most servers are started to do something else.
    read = cache(lambda: Asset.of(FILE.read_bytes(), "text/javascript"))

    async def module(request: Request) -> Response:
        return read().answer(request, {"cache-control": "no-cache"})

    router.add_api_route(
        "/tidewire.js",
        module,
        methods=["GET", "HEAD"],
        response_class=Response,
        # A file, and nothing to call.
        include_in_schema=False,
        route_class_override=problem_route(service.journal, straight=True),
    )
