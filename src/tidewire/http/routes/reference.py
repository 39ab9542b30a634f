"""What describes the endpoints: a document for programs, and a page for eyes."""

from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from tidewire.core import errors
from tidewire.core.errors import ConfigurationError, TidewireError
from tidewire.core.event import encode_json
from tidewire.http import problems
from tidewire.http.assets import Asset
from tidewire.http.endpoints import Endpoint, Json
from tidewire.http.once import Once
from tidewire.http.problems import Problem

FOLDER: Final = Path(__file__).parent.parent
STYLES: Final = (FOLDER / "debugger" / "theme.css", FOLDER / "reference" / "page.css")
"""The colours and sizes are those of the other page that we have."""

MAX_PREFIXES: Final = 8
"""Of how many paths, below which the application is mounted, the document is kept as it is sent."""


class Reference(NamedTuple):
    """The page, and the headers that go before it."""

    page: Asset
    headers: dict[str, str]


def reference_endpoints(document: Once[Json]) -> Iterator[Endpoint]:
    """``/openapi.json`` and ``/docs``, for anyone. For an application of our own only: that of
    somebody else has a document of its own, with our endpoints in it."""
    # Not before somebody asks: most servers are started to do something else.
    page = Once(lambda: _page(document.get()))

    @lru_cache(MAX_PREFIXES)
    def encoded(prefix: str) -> Asset:
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        return Asset.of(encode_json({**document.get(), **servers}), "application/json")

    async def openapi(request: Request) -> Response:
        await document.wait()
        made = encoded(request.scope.get("root_path", "").rstrip("/"))
        return made.answer(request, {"cache-control": "no-cache"})

    async def reference(request: Request) -> Response:
        made, headers = await page.wait()
        return made.answer(request, headers)

    for path, handle in (("/openapi.json", openapi), ("/docs", reference)):
        yield Endpoint(path, handle, methods=("GET", "HEAD"), is_counted=False)


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


def _page(document: Json) -> Reference:
    # Only who asks for it needs it.
    from tidewire.http.reference.page import page

    style = "\n".join(path.read_text("utf-8") for path in STYLES)
    body = page(document, Problem.model_json_schema(), codes(), style).encode()
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
