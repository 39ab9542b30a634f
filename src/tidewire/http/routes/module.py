"""The browser client as one ES module, for pages that have no build of their own."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tidewire.http.assets import Asset
from tidewire.http.endpoints import Endpoint

FILE: Final = Path(__file__).parent.parent / "static" / "tidewire.js"


def module_endpoints() -> Iterator[Endpoint]:
    """``/tidewire.js``, for anyone."""

    # Once, and not before somebody asks: most servers are started to do something else.
    read = cache(lambda: Asset.of(FILE.read_bytes(), "text/javascript"))

    async def module(request: Request) -> Response:
        return read().answer(request, {"cache-control": "no-cache"})

    yield Endpoint("/tidewire.js", module, methods=("GET", "HEAD"), is_counted=False)
