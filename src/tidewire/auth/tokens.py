"""Tokens: JSON Web Tokens (RFC 7519), our own and those of an issuer that we trust.

Our own are signed with HS256 by a shared secret. Those of an issuer are signed with RS256,
ES256 or EdDSA by a key of its JWK Set. A shared secret verifies nothing but HS256 and a public
key never does, so neither can be taken for the other (RFC 8725 sections 2.1 and 3.1).
"""

import secrets
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidewire.auth.claims import (
    OWN_TOKEN,
    SKEW_SECONDS,
    ClaimNames,
    header_of,
    identity_of,
    time_of,
)
from tidewire.auth.verified import Verified, VerifiedTokens
from tidewire.core.clock import Clock
from tidewire.core.errors import (
    ConfigurationError,
    ExpiredToken,
    InvalidToken,
    NotConfigured,
    NotYetValid,
    TokenTooLarge,
    WrongAlgorithm,
    WrongAudience,
    WrongIssuer,
    WrongType,
)
from tidewire.core.target import Identity

if TYPE_CHECKING:
    from tidewire.auth.jwks import Jwks, VerificationKey
    from tidewire.auth.signatures import Signatures

AUDIENCE: Final = "tidewire"
TYPE: Final = "sse"
LIFETIME_SECONDS: Final = 3600
REFRESH_SECONDS: Final = 2700
MAX_TOKEN_LENGTH: Final = 8192
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: a key of the size of the hash output, or larger."""

SKEW_MS: Final = SKEW_SECONDS * 1000

_ALGORITHM: Final = "HS256"


class IssuedToken(NamedTuple):
    """A token and when it ends and should be renewed, Unix milliseconds."""

    token: str
    expires_at: int
    refresh_after: int


class TrustedIssuer(NamedTuple):
    """Somebody else whose tokens are good here.

    Attributes:
        keys: its public keys.
        issuer: what ``iss`` must be; None: not asked.
        audiences: one of them must stand in ``aud``.
        type: what the claim ``typ`` must be; None: not asked.
        names: where its tokens name the user, roles, permissions and topics.
    """

    keys: "Jwks"
    issuer: str | None = None
    audiences: tuple[str, ...] = (AUDIENCE,)
    type: str | None = None
    names: ClaimNames = ClaimNames()


class Tokens:
    """The one verifier. Signs with the first secret, verifies with any: so it can be rotated."""

    def __init__(
        self,
        shared: Sequence[str],
        *,
        clock: Clock,
        setting: str,
        trusted: TrustedIssuer | None = None,
    ) -> None:
        """Takes the secrets, newest first; none, if all tokens come from the trusted issuer.

        Raises:
            ConfigurationError: a secret is too short; the error names ``setting``.
        """
        for secret in shared:
            if len(secret.encode()) < MIN_SECRET_BYTES:
                raise ConfigurationError(
                    f"{setting} holds a secret of {len(secret.encode())} bytes; HS256 needs at "
                    f"least {MIN_SECRET_BYTES}. Make one with: openssl rand -base64 32"
                )
        self._shared = tuple(shared)
        self._clock = clock
        self._setting = setting
        self._trusted = trusted
        self._verified = VerifiedTokens(clock)

    @property
    def can_sign(self) -> bool:
        """Whether there is a secret to sign with."""
        return bool(self._shared)

    def load(self) -> None:
        """Loads what signs and verifies. It takes tens of milliseconds, which the first token
        would wait for otherwise."""
        _ = self._signatures

    @cached_property
    def _signatures(self) -> "Signatures":
        # Here and not above: a development server is there before anybody shows it a token.
        from tidewire.auth.signatures import Signatures

        return Signatures(self._shared)

    def issue(
        self,
        user_id: str,
        *,
        roles: Iterable[str] = (),
        permissions: Iterable[str] = (),
        topics: Iterable[str] = (),
        lifetime: int = LIFETIME_SECONDS,
    ) -> IssuedToken:
        """Makes a token that is good for ``lifetime`` seconds.

        Raises:
            NotConfigured: there is no secret to sign with.
        """
        if not self._shared:
            raise NotConfigured(f"Tokens cannot be signed: set {self._setting}.")
        now = self._clock.now() // 1000
        claims = {
            "sub": user_id,
            "roles": sorted(roles),
            "permissions": sorted(permissions),
            "topics": sorted(topics),
            # To the millisecond, so that what is issued right after a revocation is good.
            "iat": self._clock.now() / 1000,
            "exp": now + lifetime,
            "jti": secrets.token_hex(16),
            "aud": AUDIENCE,
            "typ": TYPE,
        }
        token = self._signatures.sign(claims)
        refresh = now + min(REFRESH_SECONDS, lifetime * 3 // 4)
        return IssuedToken(token, (now + lifetime) * 1000, refresh * 1000)

    async def verify(self, token: str, *, method: str) -> Identity:
        """Who a token speaks for.

        Raises:
            ExpiredToken: its time is over.
            InvalidToken: anything else is wrong with it; its subclasses say what.
            Unavailable: the trusted issuer's keys cannot be read.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenTooLarge(f"A token may have at most {MAX_TOKEN_LENGTH} characters.")
        known = self._verified.get(token, method)
        if known is not None and await self._is_still_trusted(token, known):
            return known.identity
        verified = await self._verify(token, method)
        self._verified.add(token, verified)
        return verified.identity

    async def _is_still_trusted(self, token: str, known: Verified) -> bool:
        # Our own secrets stay as long as this process; an issuer's keys come and go.
        if known.key is None or self._trusted is None:
            return known.key is None
        keys = await self._trusted.keys.find(_kid(header_of(token)))
        return any(key is known.key for key in keys)

    async def _verify(self, token: str, method: str) -> Verified:
        header = header_of(token)
        key: VerificationKey | None = None
        if header.get("alg") == _ALGORITHM and self._shared:
            claims, names = self._signed(token), OWN_TOKEN
            _check_type(claims, TYPE)
            _check_audience(claims, (AUDIENCE,))
        elif self._trusted is not None and header.get("alg") in list(self._trusted.keys.algorithms):
            claims, key = await _signed_by(self._trusted, token, header)
            names = self._trusted.names
            if self._trusted.issuer is not None and claims.get("iss") != self._trusted.issuer:
                raise WrongIssuer("The token's 'iss' is not the issuer that this server trusts.")
            if self._trusted.type is not None:
                _check_type(claims, self._trusted.type)
            _check_audience(claims, self._trusted.audiences)
        else:
            raise self._wrong_algorithm()
        begins_at, expires_at = self._time(claims)
        identity = identity_of(claims, names, method=method, expires_at=expires_at)
        if identity is None:
            raise InvalidToken(f"The token's {names.user[0]!r} must name a user.")
        return Verified(identity, begins_at, key)

    def _signed(self, token: str) -> dict[str, Any]:
        claims = self._signatures.claims(token)
        if claims is None:
            raise InvalidToken(
                "The token is malformed, or was not signed by a secret of this server."
            )
        return claims

    def _wrong_algorithm(self) -> WrongAlgorithm:
        taken = [_ALGORITHM] if self._shared else []
        if self._trusted is not None:
            taken += ["RS256", "ES256", "EdDSA"]
        return WrongAlgorithm(f"The token's 'alg' must be {' or '.join(taken)}.")

    def _time(self, claims: dict[str, Any]) -> tuple[int, int]:
        now = self._clock.now()
        expires = time_of(claims, "exp")
        if expires is None:
            raise InvalidToken("The token has no 'exp'. Tokens must say when they end.")
        expires_at = int(expires * 1000)
        if now >= expires_at:
            raise ExpiredToken("The token has expired. Get a new one and try again.")
        begins_at = 0
        for name in ("iat", "nbf"):
            begins_at = max(begins_at, int((time_of(claims, name) or 0) * 1000) - SKEW_MS)
            if now < begins_at:
                raise NotYetValid(f"The token's {name!r} lies in the future.")
        return begins_at, expires_at


def _kid(header: dict[str, Any]) -> str | None:
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("The token is malformed: its 'kid' must be a string.")
    return kid


async def _signed_by(
    trusted: TrustedIssuer, token: str, header: dict[str, Any]
) -> tuple[dict[str, Any], "VerificationKey"]:
    # It is loaded already, by what has the issuer's keys.
    from joserfc.errors import BadSignatureError, JoseError

    keys = await trusted.keys.find(_kid(header))
    fitting = [key for key in keys if key.fits(header["alg"])]
    if keys and not fitting:
        raise WrongAlgorithm("The token's 'alg' is not that of the key that it names.")
    for key in fitting:
        try:
            return key.claims(token), key
        except BadSignatureError:
            continue
        except (JoseError, ValueError, TypeError, RecursionError):
            break
    raise InvalidToken("The token is malformed, or was not signed by a key of its issuer.")


def _check_type(claims: dict[str, Any], wanted: str) -> None:
    if claims.get("typ") != wanted:
        raise WrongType(f"The token's 'typ' must be {wanted!r}. It was made for another use.")


def _check_audience(claims: dict[str, Any], wanted: Sequence[str]) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(name in named for name in wanted):
        raise WrongAudience(
            f"The token's 'aud' must be {' or '.join(map(repr, wanted))}. "
            "It was made for another service."
        )
