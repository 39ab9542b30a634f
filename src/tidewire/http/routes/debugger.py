"""The debugger: a page for those who develop or run this server, and the files it is made of."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidewire.core.errors import Forbidden, NotFound
from tidewire.http.answers import UNCACHED
from tidewire.http.assets import Asset
from tidewire.http.endpoints import Endpoint
from tidewire.http.service import Service

FOLDER: Final = Path(__file__).parent.parent / "debugger"
PAGE: Final = "index.html"

MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

PRODUCTION: Final = b'<meta name="mode" content="production">'
DEVELOPMENT: Final = b'<meta name="mode" content="development">'

HEADERS: Final = {
    # All that it is made of comes from here, as files; and it talks to nobody else.
    "content-security-policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    ),
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

CREDENTIALS: Final = frozenset({"authorization", "cookie"})


def debugger_endpoints(service: Service) -> Iterator[Endpoint]:
    """``/debug/sse``, for administrators, and in development mode for this machine."""

    # Once, and not before somebody asks: most servers are started to do something else.
    read = cache(lambda: _read(development=service.dev))

    async def page(request: Request) -> Response:
        await _check_allowed(request, service)
        found = read()[PAGE]
        headers = {**HEADERS, **UNCACHED}
        return Response(found.body, headers=headers, media_type=found.media_type)

    async def file(request: Request) -> Response:
        await _check_allowed(request, service)
        path = request.path_params["path"]
        if not path:
            # Relative, so that it holds under any prefix.
            return Response(status_code=307, headers={"location": "../sse"})
        found = read().get(path)
        if found is None or path == PAGE:
            raise NotFound(f"There is nothing at {request.url.path}.")
        return found.answer(request, {**HEADERS, "cache-control": "private, no-cache"})

    for path, handle in (("/debug/sse", page), ("/debug/sse/{path:path}", file)):
        yield Endpoint(path, handle, methods=("GET", "HEAD"), is_counted=False)


def _read(*, development: bool) -> Mapping[str, Asset]:
    files = {}
    for path in FOLDER.rglob("*"):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None:
            continue
        body = path.read_bytes()
        if path.name == PAGE and development:
            body = body.replace(PRODUCTION, DEVELOPMENT)
        files[path.relative_to(FOLDER).as_posix()] = Asset.of(body, media_type)
    return files


async def _check_allowed(request: Request, service: Service) -> None:
    """Lets administrators pass; in development mode whoever may say there who they are.

    Raises:
        AuthenticationError: nobody, outside development mode.
        Forbidden: no administrator; or a request that development mode does not trust.
    """
    if service.dev:
        try:
            identity = await service.authenticate(_as_developer(request))
        except Forbidden:
            # From another machine, or for a strange host. It may still be an administrator.
            if CREDENTIALS.isdisjoint(request.headers.keys()):
                raise
        else:
            if identity.method == "parameter_dev":
                return
    await service.access.administrator(request)


def _as_developer(request: Request) -> Request:
    # The same request, that says who it is in the way of development mode, and in no other.
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name.decode("latin-1") not in CREDENTIALS
    ]
    return Request({**request.scope, "headers": headers, "query_string": b"userId=developer"})
