"""The ways to say who one is, in their order.

The first way whose credential is *present* decides. A bad credential is an error and never
falls through to a weaker way, with one exception: beside a stale cookie a verified token decides.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Protocol

from starlette.requests import HTTPConnection

from tidewire.auth.loopback import LOOPBACK
from tidewire.core.errors import (
    AuthenticationError,
    CredentialConflict,
    Forbidden,
    InvalidParameter,
    InvalidToken,
    StaleSession,
    Unavailable,
)
from tidewire.core.journal import Journal
from tidewire.core.target import Identity

if TYPE_CHECKING:
    from tidewire.auth.tokens import Tokens

# What may stand in Host, and after the scheme in Origin.
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@/\s]+))(?::[0-9]+)?")


class Method(Protocol):
    """One way to say who one is."""

    hint: str
    """How to use it, for those who came without any credential."""

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Who asks; None if this way's credential is absent.

        Raises:
            AuthenticationError: the credential is present and not good.
        """
        ...


class Authenticator:
    """Asks the methods in their order: sessions, tokens, then what is left."""

    def __init__(
        self,
        *,
        sessions: Sequence[Method] = (),
        tokens: Sequence[Method] = (),
        others: Sequence[Method] = (),
        journal: Journal,
    ) -> None:
        self._sessions = tuple(sessions)
        self._tokens = tuple(tokens)
        self._without_session = (*tokens, *others)
        self._journal = journal

    async def authenticate(self, request: HTTPConnection) -> Identity:
        """Who asks.

        Raises:
            CredentialConflict: a session and a token are both good, and of different users.
            AuthenticationError: no credential, or a bad one.
        """
        if self._sessions:
            try:
                session = await _first(self._sessions, request)
            except StaleSession as error:
                return await self._beside_stale(request, error)
            if session is not None:
                await self._check_agreement(request, session)
                return session
        identity = await _first(self._without_session, request)
        if identity is None:
            methods = self._sessions + self._without_session
            hints = "; ".join(method.hint for method in methods)
            raise AuthenticationError(f"Say who you are: {hints}.")
        return identity

    async def _beside_stale(self, request: HTTPConnection, stale: StaleSession) -> Identity:
        # A browser sends its cookie whether the page wants that or not. Where the page also
        # says explicitly who it is, and can prove it, it is not locked out by an old cookie.
        explicit = await _first(self._tokens, request)
        if explicit is None:
            raise stale
        self._journal.note("a stale session cookie stood beside a verified token")
        return explicit

    async def _check_agreement(self, request: HTTPConnection, session: Identity) -> None:
        try:
            explicit = await _first(self._tokens, request)
        except (AuthenticationError, Unavailable):
            # The session decides; a token that proves nothing contradicts nothing.
            return
        if explicit is not None and explicit.user_id != session.user_id:
            raise CredentialConflict(
                "The session cookie and the token are of different users. Send only one of them."
            )


async def _first(methods: Iterable[Method], request: HTTPConnection) -> Identity | None:
    for method in methods:
        identity = await method.identify(request)
        if identity is not None:
            return identity
    return None


class QueryToken:
    """``?token=``: for EventSource, which cannot send headers."""

    hint = "'?token=' with a token"

    def __init__(self, tokens: "Tokens") -> None:
        self._tokens = tokens

    async def identify(self, request: HTTPConnection) -> Identity | None:
        if not request.scope["query_string"]:
            return None
        token = request.query_params.get("token")
        return None if token is None else await self._tokens.verify(token, method="jwt_token")


class BearerToken:
    """``Authorization: Bearer``, RFC 6750 section 2.1."""

    hint = "'Authorization: Bearer' with a token"

    def __init__(self, tokens: "Tokens") -> None:
        self._tokens = tokens

    async def identify(self, request: HTTPConnection) -> Identity | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken("The Authorization header must be 'Bearer' and a token.")
        return await self._tokens.verify(token.strip(), method="bearer_token")


class DevelopmentParameter:
    """``?userId=`` in development mode: anybody is who they say.

    A page in a browser could do the same to a developer's machine, so the request must be for
    a loopback host (no DNS rebinding) and come from a loopback origin, if from any.
    """

    hint = "in development, '?userId=alice' (and '&roles=ADMIN', '&permissions=publish')"

    def __init__(self, *, allow_remote: bool = False) -> None:
        self._allow_remote = allow_remote

    async def identify(self, request: HTTPConnection) -> Identity | None:
        query = request.query_params
        user_id = query.get("userId")
        if user_id is None:
            return None
        if not user_id:
            raise InvalidParameter("userId must not be empty.", parameter="userId")
        if not self._allow_remote:
            self._check_local(request)
        return Identity(
            user_id,
            roles=_listed(query.get("roles")),
            permissions=_listed(query.get("permissions")),
            topics=_listed(query.get("topics")),
            method="parameter_dev",
        )

    def _check_local(self, request: HTTPConnection) -> None:
        if request.client is not None and not _on_this_machine(request.client.host):
            raise Forbidden(
                "The development parameter works only for clients on this machine. To allow "
                "others, start with --dev-allow-remote."
            )
        # The header as it came: where it is malformed, request.url names the server's own address.
        if _host(request.headers.get("host", "")) not in LOOPBACK:
            raise Forbidden(
                "The development parameter works only for requests to a loopback host, such as "
                "http://127.0.0.1:8000. To allow others, start with --dev-allow-remote."
            )
        origin = request.headers.get("origin")
        if origin is not None and _host(origin.partition("://")[2]) not in LOOPBACK:
            raise Forbidden(
                "The development parameter works only from pages of a loopback origin, such as "
                "http://localhost:3000."
            )


def _on_this_machine(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        # No address of a network: a Unix socket, or a client within the process.
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host(authority: str) -> str:
    match = _AUTHORITY.fullmatch(authority)
    return "" if match is None else (match[1] or match[2]).lower()


def _listed(text: str | None) -> frozenset[str]:
    return frozenset(name for name in (text or "").split(",") if name)
