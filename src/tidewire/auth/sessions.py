"""Sessions of the application that Tidewire stands beside: its cookies, or its own code.

A session may be ended at any time without anybody telling us, so what it proves holds for an
hour at most.
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey
from starlette.requests import HTTPConnection

from tidewire.auth.claims import SKEW_SECONDS, ClaimNames, header_of, identity_of, time_of
from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError, InvalidToken, StaleSession
from tidewire.core.target import Identity

SESSION_SECONDS: Final = 3600
"""For how long a session is believed without asking again."""

MAX_COOKIE_LENGTH: Final = 48 * 1024
"""All chunks together, in characters."""

METHOD: Final = "session"

_CHUNK_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,2}")


SessionCallable: TypeAlias = Callable[[HTTPConnection], Awaitable[Identity | None]]


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """A cookie that holds an encrypted session, and how its key is made from the secret.

    Attributes:
        name: the cookie's name; long ones come in chunks ``name.0``, ``name.1``, …
        encryption: the only ``enc`` that is taken (RFC 7516 section 4.1.2); ``alg`` is ``dir``.
        key_bytes: the length of its key.
        salt: HKDF's salt (RFC 5869).
        info: HKDF's info.
    """

    name: str
    encryption: str
    key_bytes: int
    salt: str
    info: str

    @classmethod
    def next_auth(cls, name: str) -> "SessionCookie":
        """As NextAuth.js 4 makes it."""
        return cls(name, "A256GCM", 32, "", "NextAuth.js Generated Encryption Key")

    @classmethod
    def auth_js(cls, name: str) -> "SessionCookie":
        """As Auth.js (NextAuth.js 5) makes it: each cookie name has a key of its own."""
        info = f"Auth.js Generated Encryption Key ({name})"
        return cls(name, "A256CBC-HS512", 64, name, info)

    def key(self, secret: str) -> OctKey:
        """The key that the secret stands for."""
        hkdf = HKDF(SHA256(), self.key_bytes, self.salt.encode(), self.info.encode())
        return OctKey.import_key(hkdf.derive(secret.encode()))


COOKIES: Final = (
    SessionCookie.auth_js("__Secure-authjs.session-token"),
    SessionCookie.auth_js("authjs.session-token"),
    SessionCookie.next_auth("__Secure-next-auth.session-token"),
    SessionCookie.next_auth("next-auth.session-token"),
)
"""The names that both libraries use, with and without HTTPS."""

NEXT_AUTH_NAMES: Final = ClaimNames(user=("sub", "id"))
STARLETTE_NAMES: Final = ClaimNames(user=("user_id",))


class NextAuthSession:
    """The cookies of NextAuth.js 4 and Auth.js 5 with their JWT strategy.

    They are JSON Web Encryptions (RFC 7516) under a key that is derived from NEXTAUTH_SECRET.
    With the database strategy the cookie is only a name in that database: use `CallableSession`.
    """

    hint = "the session cookie of NextAuth.js"

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        clock: Clock,
        names: ClaimNames = NEXT_AUTH_NAMES,
        cookies: Sequence[SessionCookie] = COOKIES,
    ) -> None:
        """Derives the keys.

        Args:
            secrets: newest first; any may have encrypted a cookie.
            clock: where the time comes from.
            names: where the session names the user and the rest.
            cookies: which cookies to look for, in this order; the first that is good decides.

        Raises:
            ConfigurationError: a secret is empty, or there is none.
        """
        if not secrets or not all(secrets):
            raise ConfigurationError("A session cookie needs a secret that is not empty.")
        self._clock = clock
        self._names = names
        self._cookies = [
            (
                cookie,
                [cookie.key(secret) for secret in secrets],
                JWERegistry(algorithms=["dir", cookie.encryption]),
            )
            for cookie in cookies
        ]

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Who is signed in; None without a cookie, or if the session names nobody.

        Raises:
            StaleSession: a cookie has expired, was changed, or has another secret.
            InvalidToken: a verified session has claims that are not of their form.
        """
        stale: StaleSession | None = None
        for cookie, keys, registry in self._cookies:
            try:
                text = _joined(request.cookies, cookie.name)
                if text is not None:
                    return self._identity(_decrypted(text, cookie, keys, registry))
            except StaleSession as error:
                # Another application on the same host, or an older version of this one, may
                # have left a cookie of the other kind.
                stale = stale or error
        if stale is not None:
            raise stale
        return None

    def _identity(self, claims: dict[str, Any]) -> Identity | None:
        now = self._clock.now()
        expires = time_of(claims, "exp", what="session")
        if expires is not None and now >= expires * 1000:
            raise _expired()
        if (time_of(claims, "nbf", what="session") or 0) * 1000 > now + SKEW_SECONDS * 1000:
            raise StaleSession("The session begins in the future. Sign in again.")
        ends = None if expires is None else int(expires * 1000)
        return identity_of(
            claims, self._names, method=METHOD, expires_at=_capped(ends, now), what="session"
        )


class StarletteSession:
    """The signed cookie of ``starlette.middleware.sessions.SessionMiddleware``."""

    hint = "the session cookie of the application"

    def __init__(
        self,
        secret_key: str,
        *,
        clock: Clock,
        cookie: str = "session",
        max_age: int | None = 14 * 24 * 3600,
        names: ClaimNames = STARLETTE_NAMES,
    ) -> None:
        """Takes what the middleware was given.

        Args:
            secret_key: the middleware's.
            clock: where the time comes from.
            cookie: the cookie's name.
            max_age: seconds after its signing until it is stale; None: never.
            names: where the session names the user and the rest.

        Raises:
            ConfigurationError: the secret is empty.
        """
        if not secret_key:
            raise ConfigurationError("A session cookie needs a secret that is not empty.")
        self._signer = _Signer(secret_key, clock)
        self._clock = clock
        self._cookie = cookie
        self._max_age = max_age
        self._names = names

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Who is signed in; None without a cookie, or if the session names nobody.

        Raises:
            StaleSession: the cookie has expired, was changed, or has another secret.
            InvalidToken: a verified session is not of its form.
        """
        text = request.cookies.get(self._cookie)
        if not text:
            return None
        if len(text) > MAX_COOKIE_LENGTH:
            raise _too_large()
        session, signed_at = self._unsigned(text)
        ends = None if self._max_age is None else signed_at + self._max_age * 1000
        expires_at = _capped(ends, self._clock.now())
        identity = identity_of(
            session, self._names, method=METHOD, expires_at=expires_at, what="session"
        )
        return None if identity is None else replace(identity, issued_at=signed_at)

    def _unsigned(self, text: str) -> tuple[dict[str, Any], int]:
        try:
            data, signed = self._signer.unsign(text, self._max_age, return_timestamp=True)
        except SignatureExpired:
            raise _expired() from None
        except (BadSignature, ValueError, OverflowError, OSError):
            raise _not_ours() from None
        try:
            session = json.loads(base64.b64decode(data))
        except (ValueError, RecursionError):
            session = None
        if not isinstance(session, dict):
            raise InvalidToken("The session must be a JSON object.")
        return session, int(signed.timestamp() * 1000)


class CallableSession:
    """The application's own code says who asks: any async callable.

    What a FastAPI dependency does, called as the function that it is::

        async def session(request):
            async with make_database_session() as database:
                user = await current_user(request, database)
            return None if user is None else Identity(user.id, roles=frozenset(user.roles))

    ``examples/django_sessions.py`` does it with Django's sessions and users.
    """

    hint = "a session of the application"

    def __init__(self, ask: SessionCallable, *, clock: Clock) -> None:
        """Takes the callable: it gets the request, and returns None where nobody is signed in.

        It should raise `StaleSession` for a session that is over. Anything else that it raises
        is a failure of the application and goes on as it is.
        """
        self._ask = ask
        self._clock = clock

    async def identify(self, request: HTTPConnection) -> Identity | None:
        """Who is signed in, as the callable says.

        Raises:
            StaleSession: the authority that it gave has ended.
            TypeError: it returned something else than an identity or None.
        """
        identity = await self._ask(request)
        if identity is None:
            return None
        if not isinstance(identity, Identity):
            raise TypeError(
                f"the session callable returned {type(identity).__name__}, not Identity or None"
            )
        now = self._clock.now()
        if identity.expires_at is not None and now >= identity.expires_at:
            raise _expired()
        return replace(identity, method=METHOD, expires_at=_capped(identity.expires_at, now))


class _Signer(TimestampSigner):
    def __init__(self, secret_key: str, clock: Clock) -> None:
        super().__init__(secret_key)
        self._clock = clock

    def get_timestamp(self) -> int:
        return self._clock.now() // 1000


def _joined(cookies: Mapping[str, str], name: str) -> str | None:
    plain = cookies.get(name)
    chunks = {
        int(number): value
        for key, value in cookies.items()
        if value
        and key.startswith(f"{name}.")
        and _CHUNK_NUMBER.fullmatch(number := key[len(name) + 1 :])
    }
    if not chunks:
        text = plain
    elif plain or chunks.keys() != set(range(len(chunks))):
        raise StaleSession("The session's cookie is in parts that do not fit. Sign in again.")
    else:
        text = "".join(chunks[number] for number in range(len(chunks)))
    if text and len(text) > MAX_COOKIE_LENGTH:
        raise _too_large()
    return text or None


def _decrypted(
    text: str, cookie: SessionCookie, keys: Sequence[OctKey], registry: JWERegistry
) -> dict[str, Any]:
    try:
        header = header_of(text)
    except InvalidToken:
        raise _not_ours() from None
    if header.get("alg") != "dir" or header.get("enc") != cookie.encryption:
        raise _not_ours()
    for key in keys:
        try:
            return jwt.decode(text, key, registry=registry).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            # What strangers send may fail in any of these ways before it is verified.
            continue
    raise _not_ours()


def _capped(ends: int | None, now: int) -> int:
    latest = now + SESSION_SECONDS * 1000
    return latest if ends is None else min(ends, latest)


def _expired() -> StaleSession:
    return StaleSession("The session has expired. Sign in again.")


def _not_ours() -> StaleSession:
    return StaleSession("The session was not made with a secret of this server. Sign in again.")


def _too_large() -> StaleSession:
    return StaleSession(f"A session's cookie may have at most {MAX_COOKIE_LENGTH} characters.")
