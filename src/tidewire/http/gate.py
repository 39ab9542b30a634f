"""What a request passes before it is carried out: how often, from where, by whose page."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import HTTPConnection

from tidewire.auth.limits import RateLimits, parse_rates
from tidewire.auth.windows import Allowance
from tidewire.core.clock import Clock
from tidewire.core.errors import (
    AuthenticationError,
    CredentialConflict,
    ExpiredToken,
    Forbidden,
    RevokedCredential,
)
from tidewire.core.journal import Journal
from tidewire.core.target import Identity
from tidewire.health.window import Window
from tidewire.http.origins import SESSION, Origins, origin_of
from tidewire.http.proxies import Proxies, whole_host
from tidewire.http.settings import Settings

GOOD_ONCE: Final = (ExpiredToken, RevokedCredential, CredentialConflict)
"""Whoever shows such a credential did not guess it."""

WHAT: Final = {
    "connect": "streams opened by one user",
    "resume": "streams resumed by one user",
    "publish": "publishing requests of one user",
    "token": "requests for tokens of one user",
}
"""What there is too much of where a rate is exceeded, in the words of the problem."""

_FAILURES: Final = "failed authentications from one address"
_POLLS: Final = "polls of one client"

_ALLOWANCE: Final = "tidewire_allowance"
_CLIENT: Final = "tidewire_client"
_USER: Final = "tidewire_user"


class Gate:
    """Rates, client addresses and origins of one service."""

    def __init__(
        self,
        settings: Settings,
        *,
        dev: bool,
        clock: Clock,
        journal: Journal,
        attempts: Window | None = None,
    ) -> None:
        """Takes them from the settings; in development mode pages of this machine are trusted.
        Authentications are counted in ``attempts``: those of whoever shows a credential, and is
        not refused for trying too often.

        Raises:
            ConfigurationError: a setting is not of its form; the error names it.
        """
        self._attempts = attempts or Window(clock)
        url = settings.rate_limit_redis_url
        self.limits = RateLimits(
            parse_rates(settings.rate_limits),
            clock=clock,
            journal=journal,
            redis_url=None if url is None else url.get_secret_value(),
        )
        self.proxies = Proxies(settings.trusted_proxies)
        origins = settings.cors_origins
        if origins is None:
            own = settings.nextauth_url and origin_of(settings.nextauth_url)
            origins = (own,) if own else ()
        self.origins = Origins(origins, loopback=dev)

    async def identify(
        self, request: HTTPConnection, authenticate: Callable[[], Awaitable[Identity]]
    ) -> Identity:
        """Lets whoever asks prove who they are.

        Good credentials are never refused for what others at the same address do, unless that
        is a flood.

        Raises:
            AuthenticationError: no credential, or a bad one.
            Forbidden: a good one, that a foreign page uses.
            RateLimited: the address has failed too often.
        """
        left = _left(request)
        client = left[_CLIENT] = self.proxies.client(request)
        address = whole_host(client)
        _check(request, self.limits.check_burst(address))
        try:
            identity = await authenticate()
        except Forbidden:
            raise
        except AuthenticationError as error:
            was_good = isinstance(error, GOOD_ONCE)
            _check(request, await self.limits.hit_failure(address, was_good=was_good))
            # Whoever shows nothing has not tried, and one who tries too often is no trend.
            if error.code != AuthenticationError.code:
                self._attempts.add(failed=True)
            raise
        self._attempts.add()
        left[_USER] = identity.user_id
        if identity.method == SESSION:
            self.origins.check_cookie_use(request)
        return identity

    async def spend(self, request: HTTPConnection, rate: str, identity: Identity) -> None:
        """Counts a request of a user against a rate.

        Raises:
            RateLimited: the user has asked too often.
        """
        _admit(request, await self.limits.hit(rate, identity.user_id), WHAT[rate])

    async def spend_poll(
        self, request: HTTPConnection, identity: Identity, instance_id: str | None
    ) -> None:
        """Counts a poll of an instance.

        Raises:
            RateLimited: it polls too often, or all instances of its user do.
        """
        _admit(request, await self.limits.hit_poll(identity.user_id, instance_id), _POLLS)


def rate_fields(request: HTTPConnection) -> list[tuple[bytes, bytes]]:
    """What the answer says of the rate that the request was counted against, if of any."""
    allowance: Allowance | None = _left(request).get(_ALLOWANCE)
    return [] if allowance is None else allowance.fields()


def client_of(request: HTTPConnection) -> str | None:
    """The client's address, where it has been asked for."""
    client: str | None = _left(request).get(_CLIENT)
    return client


def user_of(request: HTTPConnection) -> str | None:
    """Who asks, where that has been proved."""
    user: str | None = _left(request).get(_USER)
    return user


def _left(request: HTTPConnection) -> dict[str, Any]:
    # What Starlette shows as the request's state.
    left: dict[str, Any] = request.scope.setdefault("state", {})
    return left


def _admit(request: HTTPConnection, allowance: Allowance | None, what: str) -> None:
    _left(request)[_ALLOWANCE] = allowance
    if allowance is not None and not allowance.granted:
        allowance.refuse(what)


def _check(request: HTTPConnection, allowance: Allowance | None) -> None:
    # What an address may still get wrong is no business of those who get it right.
    if allowance is not None and not allowance.granted:
        _admit(request, allowance, _FAILURES)
