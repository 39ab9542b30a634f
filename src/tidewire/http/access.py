"""Who asks, and what they may do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.requests import HTTPConnection

from tidewire.core.clock import Clock
from tidewire.core.errors import ExpiredToken, Forbidden, NotConfigured
from tidewire.core.target import Identity
from tidewire.http.authentication import MAY_MINT, Authentication
from tidewire.http.gate import Gate
from tidewire.http.life import Life, Start
from tidewire.http.settings import SECRET_SETTINGS, Settings

if TYPE_CHECKING:
    from tidewire.auth.tokens import IssuedToken

Ask: TypeAlias = Callable[[HTTPConnection], Awaitable[Identity]]
"""Says who asks."""

PUBLISH: Final = "publish"

LOAD_AFTER_SECONDS: Final = 0.5
"""When a development server loads what checks tokens, if nobody has shown it one before."""


class Access:
    """Identities of one service: proved, judged by what was revoked or changed since, and held
    against what an endpoint needs."""

    def __init__(
        self,
        settings: Settings,
        authentication: Authentication,
        gate: Gate,
        life: Life,
        start: Start,
        ask: Ask,
        clock: Clock,
    ) -> None:
        """``life`` has the node that knows what was revoked, and ``start`` starts it. ``ask`` says
        who asks, as the service does."""
        self._settings = settings
        self._authentication = authentication
        self._gate = gate
        self._life = life
        self._start = start
        self._ask = ask
        self._clock = clock
        self._loading: asyncio.TimerHandle | None = None

    def load_soon(self) -> None:
        """Loads what checks tokens, if there are any, when the first answers have been given."""
        tokens = self._authentication.tokens
        if tokens is not None and self._loading is None:
            # In a thread, and not at once: who waits for the first answer does not wait for this.
            load = Thread(target=tokens.load, name="tidewire-load")
            self._loading = asyncio.get_running_loop().call_later(LOAD_AFTER_SECONDS, load.start)

    def stop(self) -> None:
        """Loads nothing more."""
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None

    async def authenticate(self, request: HTTPConnection) -> Identity:
        """Who asks, as they are now.

        Raises:
            AuthenticationError: no credential, or a bad or revoked one.
            Forbidden: a session cookie, used by a foreign page.
            RateLimited: the client's address has failed too often.
        """
        node = await self._start()

        async def proved() -> Identity:
            asked_at = self._clock.now()
            identity = await self._authentication.authenticator.authenticate(request)
            if identity.issued_at is None:
                # Asked for now: what is decided from now on concerns it.
                identity = replace(identity, issued_at=asked_at)
            return node.keeper.authority.judge(identity)

        return await self._gate.identify(request, proved)

    async def administrator(self, request: HTTPConnection) -> Identity:
        """Who asks, if that is an administrator.

        Raises:
            Forbidden: it is none.
            AuthenticationError, RateLimited: as `authenticate`.
        """
        identity = await self._ask(request)
        self.check_admin(identity)
        return identity

    def confirm(self, identity: Identity) -> Identity:
        """The identity as it is now, after something was waited for since `authenticate`.

        Raises:
            ExpiredToken: its time is over.
            RevokedCredential: it was revoked.
        """
        if identity.expires_at is not None and identity.expires_at <= self._clock.now():
            raise ExpiredToken("The credential has expired meanwhile. Get a new one.")
        if self._life.node is None:
            return identity
        return self._life.node.keeper.authority.judge(identity)

    def check_admin(self, identity: Identity) -> None:
        """Lets administrators pass.

        Raises:
            Forbidden: the identity is none.
        """
        if not self._is_admin(identity):
            raise Forbidden("This needs an administrator's role.")

    def check_may_publish(self, identity: Identity) -> None:
        """Lets publishers and administrators pass.

        Raises:
            Forbidden: neither.
        """
        if PUBLISH not in identity.permissions and not self._is_admin(identity):
            raise Forbidden(
                f"Publishing needs the permission '{PUBLISH}', or an administrator's role."
            )

    def _is_admin(self, identity: Identity) -> bool:
        return not identity.roles.isdisjoint(self._settings.admin_roles)

    def issue_token(self, identity: Identity) -> "IssuedToken":
        """Makes a token for the same user, roles, permissions and topics.

        Raises:
            Forbidden: the identity was itself proved by a token.
            NotConfigured: there is no signing secret.
        """
        if identity.method not in MAY_MINT:
            raise Forbidden("A token must not get its own successor. Ask with a session.")
        identity = self.confirm(identity)
        tokens = self._authentication.tokens
        if tokens is None:
            raise NotConfigured(
                f"Tokens cannot be signed: set {SECRET_SETTINGS[0]} (or {SECRET_SETTINGS[1]})."
            )
        return tokens.issue(
            identity.user_id,
            roles=identity.roles,
            permissions=identity.permissions,
            topics=identity.topics,
        )
