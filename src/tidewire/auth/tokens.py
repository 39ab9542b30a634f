"""Tokens of our own: JSON Web Tokens (RFC 7519) signed with HS256 by a shared secret."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError, ExpiredToken, InvalidToken
from tidewire.core.target import Identity

AUDIENCE: Final = "tidewire"
TYPE: Final = "sse"
LIFETIME_SECONDS: Final = 3600
REFRESH_SECONDS: Final = 2700
MAX_TOKEN_LENGTH: Final = 8192
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: a key of the size of the hash output, or larger."""

_ALGORITHM: Final = "HS256"
_SKEW_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and when it ends and should be renewed, Unix milliseconds."""

    token: str
    expires_at: int
    refresh_after: int


class Tokens:
    """Signs with the first secret, verifies with any: so a secret can be rotated."""

    def __init__(self, shared: Sequence[str], *, clock: Clock, setting: str) -> None:
        """Takes the secrets, newest first.

        Raises:
            ConfigurationError: a secret is too short; the error names ``setting``.
        """
        for secret in shared:
            if len(secret.encode()) < MIN_SECRET_BYTES:
                raise ConfigurationError(
                    f"{setting} holds a secret of {len(secret.encode())} bytes; HS256 needs at "
                    f"least {MIN_SECRET_BYTES}. Make one with: openssl rand -base64 32"
                )
        self._keys = [OctKey.import_key(secret) for secret in shared]
        self._clock = clock

    def issue(
        self,
        user_id: str,
        *,
        roles: Iterable[str] = (),
        permissions: Iterable[str] = (),
        topics: Iterable[str] = (),
        lifetime: int = LIFETIME_SECONDS,
    ) -> IssuedToken:
        """Makes a token that is good for ``lifetime`` seconds."""
        now = self._clock.now() // 1000
        claims = {
            "sub": user_id,
            "roles": sorted(roles),
            "permissions": sorted(permissions),
            "topics": sorted(topics),
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(16),
            "aud": AUDIENCE,
            "typ": TYPE,
        }
        token = jwt.encode({"alg": _ALGORITHM}, claims, self._keys[0], [_ALGORITHM])
        refresh = now + min(REFRESH_SECONDS, lifetime * 3 // 4)
        return IssuedToken(token, (now + lifetime) * 1000, refresh * 1000)

    def verify(self, token: str, *, method: str) -> Identity:
        """Who a token speaks for.

        Raises:
            ExpiredToken: its time is over.
            InvalidToken: anything else is wrong with it.
        """
        claims = self._signed(token)
        if claims.get("typ") != TYPE:
            raise InvalidToken(f"The token's 'typ' must be '{TYPE}'. It was made for another use.")
        audience = claims.get("aud")
        if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
            raise InvalidToken(
                f"The token's 'aud' must be '{AUDIENCE}'. It was made for another service."
            )
        now = self._clock.now() / 1000
        expires = _time(claims, "exp")
        if expires is None:
            raise InvalidToken("The token has no 'exp'. Tokens must say when they end.")
        if now >= expires:
            raise ExpiredToken("The token has expired. Get a new one and try again.")
        for name in ("iat", "nbf"):
            if (_time(claims, name) or 0) > now + _SKEW_SECONDS:
                raise InvalidToken(f"The token's {name!r} lies in the future.")
        user_id, token_id = claims.get("sub"), claims.get("jti")
        if not isinstance(user_id, str) or not user_id:
            raise InvalidToken("The token's 'sub' must name a user.")
        if token_id is not None and not isinstance(token_id, str):
            raise InvalidToken("The token's 'jti' must be a string.")
        return Identity(
            user_id,
            roles=_names(claims, "roles"),
            permissions=_names(claims, "permissions"),
            topics=_names(claims, "topics"),
            method=method,
            expires_at=int(expires * 1000),
            token_id=token_id,
        )

    def _signed(self, token: str) -> dict[str, Any]:
        if len(token) <= MAX_TOKEN_LENGTH:
            for key in self._keys:
                try:
                    return jwt.decode(token, key, [_ALGORITHM]).claims
                except (JoseError, ValueError, TypeError, RecursionError):
                    # What strangers send may fail in any of these ways before it is verified.
                    continue
        raise InvalidToken("The token is malformed, or was not signed by a secret of this server.")


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # RFC 7519 section 2: a NumericDate, in seconds. JSON's true is no number here, and beyond
    # the range of a double there is no date either.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise InvalidToken(f"The token's {name!r} must be a time in seconds.")
    return value


def _names(claims: dict[str, Any], name: str) -> frozenset[str]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise InvalidToken(f"The token's {name!r} must be a list of names.")
    return frozenset(value)
