"""Where the paths of a server are, beside that of its streams."""

import re
from typing import Final, NamedTuple, Self

import httpx

from tidewire.core.errors import ConfigurationError

STREAM: Final = "/api/sse"

_STREAM = re.compile(r"/(?:realtime/)?sse$")


class Endpoints(NamedTuple):
    """The addresses of one server."""

    stream: httpx.URL
    polling: httpx.URL
    refresh: httpx.URL
    publish: httpx.URL

    @classmethod
    def of(cls, url: str, *, polling_url: str | None = None, token_url: str | None = None) -> Self:
        """Those of a server.

        Args:
            url: of its streams, such as ``https://example.com/api/sse``; without a path it is that.
            polling_url: of its polls, where it does not lie beside.
            token_url: of its tokens, where it does not lie beside.

        Raises:
            ConfigurationError: not the address of a server.
        """
        given = _address(url)
        stream = given.copy_with(path=given.path.rstrip("/") or STREAM)
        root = _STREAM.sub("", stream.path)

        def beside(path: str, given: str | None = None) -> httpx.URL:
            return stream.copy_with(path=root + path) if given is None else _address(given)

        tokens = beside("/auth/sse-token", token_url)
        return cls(
            stream,
            beside("/realtime/polling", polling_url),
            tokens.copy_with(path=f"{tokens.path.rstrip('/')}/refresh"),
            beside("/realtime/publish"),
        )


def _address(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(
            f"{url!r} is not the address of a server. Give it as in http://127.0.0.1:8000/api/sse."
        )
    return parsed
