"""Signatures of our own tokens: HS256 (RFC 7518 section 3.2) by shared secrets."""

from collections.abc import Sequence
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

ALGORITHM: Final = "HS256"

_HS256: Final = JWSRegistry(algorithms=[ALGORITHM])


class Signatures:
    """Signs with the first secret, verifies with any."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [OctKey.import_key(secret) for secret in secrets]

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a token (RFC 7515, compact)."""
        return jwt.encode({"alg": ALGORITHM}, claims, self._keys[0], [ALGORITHM])

    def claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a token; None if none of the secrets has signed it."""
        for key in self._keys:
            try:
                return jwt.decode(token, key, registry=_HS256).claims
            except (JoseError, ValueError, TypeError, RecursionError):
                # What strangers send may fail in any of these ways before it is verified.
                continue
        return None
