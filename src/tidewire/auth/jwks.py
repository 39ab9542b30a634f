"""The public keys of an issuer: a JWK Set (RFC 7517 section 5) from a file or a URL."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import base64_to_int

from tidewire.core.clock import Clock
from tidewire.core.errors import ConfigurationError, Unavailable
from tidewire.core.journal import Journal, NullJournal

REFRESH_SECONDS: Final = 30
"""The least time between two readings. Until then a ``kid`` that is not there stays unknown."""

MAX_AGE_SECONDS: Final = 600
"""When keys are read again although nothing asked for it: a withdrawn key is gone by then."""

TIMEOUT_SECONDS: Final = 5
MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 64
MIN_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""


class _Verifier(JWSRegistry):
    """One algorithm, which the key has chosen: a header may only agree.

    RFC 8725 section 3.1. EdDSA is the older name of what RFC 9864 calls Ed25519.
    """

    # A certificate chain may stand in a header; the whole token is bounded before.
    max_header_length = 8192

    def __init__(self, algorithm: str, *, also: str | None = None) -> None:
        # RFC 7515 section 4: header parameters that are not understood are ignored.
        super().__init__(strict_check_header=False)
        self.names = frozenset({algorithm, also or algorithm})
        self._model = self.algorithms[algorithm]

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in self.names:
            raise UnsupportedAlgorithmError("Not the algorithm of this key")
        return self._model


_RS256: Final = _Verifier("RS256")
_ES256: Final = _Verifier("ES256")
_ED25519: Final = _Verifier("Ed25519", also="EdDSA")

ALGORITHMS: Final = _RS256.names | _ES256.names | _ED25519.names
"""What tokens may be signed with: RS256, ES256, and EdDSA with Ed25519 under both names."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the one algorithm that it verifies."""

    kid: str | None
    key: Key
    verifier: _Verifier

    def fits(self, algorithm: str) -> bool:
        """Whether a header that says this algorithm agrees with the key."""
        return algorithm in self.verifier.names

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that this key signed.

        Raises:
            JoseError: it did not.
            ValueError: what stands there is no token; TypeError and RecursionError as well.
        """
        return jwt.decode(token, self.key, registry=self.verifier).claims


class Jwks:
    """Keeps an issuer's keys, and reads them again when a token names one that is not there.

    Attributes:
        algorithms: what its tokens may be signed with.
    """

    algorithms: Final = ALGORITHMS

    def __init__(self, source: str | Path, *, clock: Clock, journal: Journal | None = None) -> None:
        """Reads nothing yet.

        Args:
            source: an ``http://`` or ``https://`` URL, or the path of a file.
            clock: where the time comes from.
            journal: where failures are noted.

        Raises:
            ConfigurationError: the URL is not one.
        """
        self._source = source if isinstance(source, Path) or _is_url(source) else Path(source)
        self._clock = clock
        self._journal: Journal = NullJournal() if journal is None else journal
        self._keys: Sequence[VerificationKey] = ()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failed = False

    async def find(self, kid: str | None) -> list[VerificationKey]:
        """The keys that a token with this ``kid`` may have been signed by; all, if it has none.

        Raises:
            Unavailable: none is known, and the issuer's keys cannot be read at the moment.
        """
        now = self._clock.monotonic()
        is_fresh = self._read_at is not None and now - self._read_at < MAX_AGE_SECONDS
        if not (is_fresh and self._known(kid)):
            await self._read_again(now)
        found = self._known(kid)
        if not found and (self._read_at is None or self._read_at != self._tried_at):
            raise Unavailable(
                "The keys that could verify this token cannot be read at the moment.",
                retry_after=REFRESH_SECONDS * 1000,
            )
        return found

    def _known(self, kid: str | None) -> list[VerificationKey]:
        return [key for key in self._keys if kid is None or key.kid == kid]

    async def _read_again(self, now: float) -> None:
        reading = self._reading
        if reading is None or reading.get_loop() is not asyncio.get_running_loop():
            if self._tried_at is not None and now - self._tried_at < REFRESH_SECONDS:
                return
            self._tried_at = now
            self._reading = reading = asyncio.create_task(self._read(now))
        # Shielded: one caller who goes away must not end it for the others.
        await asyncio.shield(reading)

    async def _read(self, now: float) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                data = await (
                    asyncio.to_thread(_read_file, self._source)
                    if isinstance(self._source, Path)
                    else _fetch(self._source)
                )
            self._keys = parse_keys(data)
            self._read_at = now
            if self._failed:
                self._failed = False
                self._journal.note(
                    "An issuer's keys are read again",
                    recovered=["KEYS_UNREAD"],
                    source=_shown(self._source),
                )
        except Exception as error:
            # Whatever it was, the keys that were good stay good until the next try.
            self._failed = True
            self._journal.note(
                "An issuer's keys could not be read",
                error=error,
                code="KEYS_UNREAD",
                source=_shown(self._source),
            )
        finally:
            self._reading = None


def parse_keys(data: bytes) -> tuple[VerificationKey, ...]:
    """The keys of a JWK Set that can verify; the others are passed over (RFC 7517 section 5).

    Raises:
        ValueError: it is no JWK Set, or no key of it can be used.
    """
    document = json.loads(data)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("a JWK Set is an object with a list of 'keys'")
    keys = [key for key in map(_verification_key, listed[:MAX_KEYS]) if key is not None]
    if not keys:
        raise ValueError("no key of the set can verify RS256, ES256 or EdDSA")
    return tuple(keys)


def _verification_key(jwk: Any) -> VerificationKey | None:
    if not isinstance(jwk, Mapping) or jwk.get("use", "sig") != "sig":
        return None
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        made = _public_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    kid = jwk.get("kid")
    if made is None or not (kid is None or isinstance(kid, str)):
        return None
    key, verifier = made
    if jwk.get("alg") is not None and jwk["alg"] not in list(verifier.names):
        return None
    return VerificationKey(kid, key, verifier)


def _public_key(jwk: Mapping[str, Any]) -> tuple[Key, _Verifier] | None:
    # Only the public members: a set that holds private ones by mistake is not kept in memory.
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            if base64_to_int(jwk["n"]).bit_length() < MIN_RSA_BITS:
                return None
            return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]}), _RS256
        case "EC", "P-256":
            point = {name: jwk[name] for name in ("crv", "x", "y")}
            return ECKey.import_key({"kty": "EC", **point}), _ES256
        case "OKP", "Ed25519":
            point = {name: jwk[name] for name in ("crv", "x")}
            return OKPKey.import_key({"kty": "OKP", **point}), _ED25519
    return None


def _is_url(source: str) -> bool:
    if not source.startswith(("http://", "https://")):
        return False
    # Only for a URL: who has no issuer, or its keys in a file, does not wait for an HTTP client.
    import httpx

    try:
        host = httpx.URL(source).host
    except httpx.InvalidURL:
        host = ""
    if not host:
        raise ConfigurationError("The JWKS must be the path of a file, or a URL with a host.")
    return True


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(MAX_BYTES + 1))


async def _fetch(url: str) -> bytes:
    import httpx

    # Redirects are not followed: the keys come from where the operator said.
    async with (
        httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"the answer was {response.status_code}")
        data = b""
        async for part in response.aiter_bytes():
            data = _bounded(data + part)
    return data


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return data


def _shown(source: str | Path) -> str:
    if isinstance(source, Path):
        return str(source)
    # A password or a key may stand before the host, or in the query.
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
