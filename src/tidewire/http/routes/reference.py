"""The page that describes the endpoints, for eyes; for programs there is ``/openapi.json``."""

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import FastAPI, Request, Response

from tidewire.core import errors
from tidewire.core.errors import ConfigurationError, TidewireError
from tidewire.http import problems
from tidewire.http.assets import Asset
from tidewire.http.problems import Problem, problem_route
from tidewire.http.service import Service

FOLDER: Final = Path(__file__).parent.parent
STYLES: Final = (FOLDER / "debugger" / "theme.css", FOLDER / "reference" / "page.css")
"""The colours and sizes are those of the other page that we have."""


class Reference(NamedTuple):
    """The page, and the headers that go before it."""

    page: Asset
    headers: dict[str, str]


def add_reference_route(app: FastAPI, service: Service) -> None:
    """Adds ``/docs``, for anyone. To an application of our own only: that of somebody else has
    a document of its own, with our endpoints in it."""
    # Once, and not before somebody asks: most servers are started to do something else.
    made = cache(lambda: _make(app))

    async def reference(request: Request) -> Response:
        page, headers = made()
        return page.answer(request, headers)

    app.router.add_api_route(
        "/docs",
        reference,
        methods=["GET", "HEAD"],
        response_class=Response,
        # For eyes, and nothing to call.
        include_in_schema=False,
        route_class_override=problem_route(service.journal, straight=True),
    )


def codes() -> list[type[TidewireError]]:
    """What endpoints may answer, one class for each code, by status and code."""
    found = {
        error.code: error
        for error in _all(TidewireError)
        # Others are raised on the side of clients, or before there is a server.
        if error.__module__ in (errors.__name__, problems.__name__)
        and not issubclass(error, ConfigurationError)
        # Where a group of errors has no code of its own, none of it is raised.
        and "code" in vars(error)
    }
    return sorted([TidewireError, *found.values()], key=lambda error: (error.status, error.code))


def _all(error: type[TidewireError]) -> Iterator[type[TidewireError]]:
    for under in error.__subclasses__():
        yield under
        yield from _all(under)


def _make(app: FastAPI) -> Reference:
    # Only who asks for it needs it.
    from tidewire.http.reference.page import page

    style = "\n".join(path.read_text("utf-8") for path in STYLES)
    body = page(app.openapi(), Problem.model_json_schema(), codes(), style).encode()
    digest = b64encode(sha256(style.encode()).digest()).decode()
    rules = (
        "default-src 'none'",
        # It loads nothing, and runs nothing: this is all that it holds beside its text.
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": "; ".join(rules),
        "x-frame-options": "DENY",
    }
    return Reference(Asset.of(body, "text/html"), headers)
