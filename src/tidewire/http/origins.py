"""Which pages may read our answers, and which may act with the cookies of a visitor."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from tidewire.auth.loopback import LOOPBACK
from tidewire.core.errors import ConfigurationError, Forbidden

SETTING: Final = "TIDEWIRE_CORS_ORIGINS"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION: Final = "session"
"""The method of identities that a browser proves by itself, whichever page asks it to."""

_PORTS: Final = {"http": "80", "https": "443"}
_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s\[\]:/?#@,*]+)(?::([0-9]{1,5}))?")


class Origins:
    """The origins whose pages are trusted beside our own."""

    def __init__(self, allowed: Iterable[str] = (), *, loopback: bool = False) -> None:
        """Takes origins such as ``https://app.example.com``; with ``loopback`` also those of
        any page of this machine.

        Raises:
            ConfigurationError: one of them is no origin.
        """
        self._allowed = frozenset(_configured(text) for text in allowed)
        self._loopback = loopback

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin (as browsers write it) may read answers and use cookies."""
        match = _ORIGIN.fullmatch(origin.lower())
        if match is None:
            return False
        if self._loopback and match[2].strip("[]") in LOOPBACK:
            return True
        return _canonical(match) in self._allowed

    def check_cookie_use(self, request: HTTPConnection) -> None:
        """Lets a request pass that proved itself by a cookie, if no foreign page made it.

        Browsers send cookies with requests that any page makes. They also say which page it
        was: in Origin, with all requests that change something and with those whose answer a
        page of another origin wants to read; and in Sec-Fetch-Site (W3C Fetch Metadata), which
        no page can set.

        Raises:
            Forbidden: a foreign page made it; or it changes something, and nothing tells that a
                page of ours made it.
        """
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site")
        # "null" is what pages without an origin send, and forms of pages that send no referrer.
        named = origin is not None and origin != "null"
        if origin is not None and named and (self.allows(origin) or _is_own(origin, request)):
            return
        if site == "same-origin":
            return
        if origin is None and site is None and "cookie" not in request.headers:
            # No browser, and nothing that one would send by itself.
            return
        reads = request.scope.get("method", "GET") in SAFE_METHODS
        if reads and origin is None and (site in (None, "none") or _is_visit(request)):
            return
        told = f"pages of {origin}" if named else "this request, which names no page of ours"
        raise Forbidden(
            f"A session cookie does not count for {told}. Allow the page's origin in {SETTING}, "
            "or send a token instead of the cookie."
        )


def _is_visit(request: HTTPConnection) -> bool:
    # A link that somebody followed: it opens nothing that they do not see.
    headers = request.headers
    return (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _is_own(origin: str, request: HTTPConnection) -> bool:
    # Without the scheme: a proxy that ends TLS speaks plain HTTP to us.
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return False
    scheme, host, port = match.groups()
    asked = request.headers.get("host", "").lower().removesuffix(":" + _PORTS[scheme])
    return asked == _authority(scheme, host, port)


def _configured(text: str) -> str:
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ConfigurationError(
            f"{SETTING}: {text!r} is no origin. An origin is a scheme, a host and perhaps a port, "
            "with nothing after them: 'https://app.example.com, http://localhost:3000'."
        )
    return _canonical(match)


def _canonical(match: "re.Match[str]") -> str:
    return f"{match[1]}://{_authority(*match.groups())}"


def _authority(scheme: str, host: str, port: str | None) -> str:
    return host if port in (None, _PORTS[scheme]) else f"{host}:{port}"


def origin_of(url: str) -> str | None:
    """The origin of a URL; None if it has none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in _PORTS or not parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
