"""The browser client as one ES module, for pages that have no build of their own."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from tidewire.http.problems import problem_route
from tidewire.http.service import Service

FILE: Final = Path(__file__).parent.parent / "static" / "tidewire.js"


class Module(NamedTuple):
    """The bytes of the module, and the entity tag (RFC 9110 section 8.8.3) that names them."""

    body: bytes
    etag: str

    @classmethod
    def read(cls) -> "Module":
        body = FILE.read_bytes()
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def add_module_route(router: APIRouter, service: Service) -> None:
    """Adds ``/tidewire.js``, for anyone."""

    # Once, and not before somebody asks: most servers are started to do something else.
    read = cache(Module.read)

    async def module(request: Request) -> Response:
        found = read()
        headers = {"etag": found.etag, "cache-control": "no-cache"}
        if is_known(found.etag, request.headers.getlist("if-none-match")):
            return Response(status_code=304, headers=headers)
        # To HEAD a server sends only what goes before it. The charset is added by Starlette.
        return Response(found.body, headers=headers, media_type="text/javascript")

    router.add_api_route(
        "/tidewire.js",
        module,
        methods=["GET", "HEAD"],
        response_class=Response,
        # A file, and nothing to call.
        include_in_schema=False,
        route_class_override=problem_route(service.journal, straight=True),
    )


def is_known(etag: str, given: Iterable[str]) -> bool:
    """Whether ``If-None-Match`` names it, by the weak comparison (RFC 9110 section 13.1.2): a
    proxy that compresses weakens tags."""
    tags = (tag.strip() for field in given for tag in field.split(","))
    return any(tag == "*" or tag.removeprefix("W/") == etag for tag in tags)
