"""What verified claims say of their owner: one reading for tokens and for sessions."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from joserfc.util import urlsafe_b64decode

from tidewire.core.errors import InvalidToken
from tidewire.core.target import Identity

SKEW_SECONDS: Final = 60
"""How far two clocks may be apart where a time lies in the future."""

Claims = Mapping[str, Any]

_ABSENT: Final = object()


class ClaimNames(NamedTuple):
    """Where an identity stands in claims.

    A name is looked up as it is written, then as a path through nested objects
    (``realm_access.roles``): names such as ``https://example.com/roles`` hold dots of their own.
    Of several names the first that is there counts.

    Attributes:
        user: the user's id.
        roles: the roles.
        permissions: the permissions.
        topics: the topics that may be subscribed to.
        strict: the user must be a string and the others lists of strings, as we write them.
            Otherwise an integer is a user id too, a single string counts as one name (one that
            is named ``scope`` as several, divided by spaces: RFC 8693 section 4.2), and null
            is as good as absent.
    """

    user: tuple[str, ...] = ("sub",)
    roles: tuple[str, ...] = ("roles", "role")
    permissions: tuple[str, ...] = ("permissions",)
    topics: tuple[str, ...] = ("topics",)
    strict: bool = False


OWN_TOKEN: Final = ClaimNames(roles=("roles",), strict=True)
"""Where our own tokens say it."""


def identity_of(
    claims: Claims, names: ClaimNames, *, method: str, expires_at: int | None, what: str = "token"
) -> Identity | None:
    """Whom claims speak of, once they are verified; None if they name no user.

    Args:
        claims: what was verified.
        names: where it stands.
        method: how it was proved.
        expires_at: when the authority ends, Unix milliseconds.
        what: the word for the credential in texts.

    Raises:
        InvalidToken: a claim is not of its form; the error names the claim.
    """
    name, user = _first(claims, names.user, names)
    if user is _ABSENT or user is None or user == "":
        return None
    if isinstance(user, int) and not isinstance(user, bool) and not names.strict:
        user = str(user)
    if not isinstance(user, str):
        raise InvalidToken(f"The {what}'s {name!r} must name a user.")
    token_id = claims.get("jti")
    if token_id is not None and not isinstance(token_id, str):
        raise InvalidToken(f"The {what}'s 'jti' must be a string.")
    issued = time_of(claims, "iat", what=what)
    return Identity(
        user,
        roles=_names(claims, names.roles, names, what),
        permissions=_names(claims, names.permissions, names, what),
        topics=_names(claims, names.topics, names, what),
        method=method,
        expires_at=expires_at,
        token_id=token_id,
        # Without a time it may be of any age: every decision since concerns it.
        issued_at=0 if issued is None else int(issued * 1000),
    )


def time_of(claims: Claims, name: str, *, what: str = "token") -> float | None:
    """A time in claims, Unix seconds; None if it is absent.

    Raises:
        InvalidToken: it is no NumericDate (RFC 7519 section 2).
    """
    value = claims.get(name)
    if value is None:
        return None
    # JSON's true is no number here, and beyond the range of a double there is no date either.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise InvalidToken(f"The {what}'s {name!r} must be a time in seconds.")
    return value


def header_of(token: str) -> dict[str, Any]:
    """The header of a compact JWS or JWE (RFC 7515 and RFC 7516, section 3.1), not verified.

    Raises:
        InvalidToken: there is none.
    """
    return _header(token.partition(".")[0])


# Those who sign with one key write the same header each time.
@lru_cache(maxsize=16)
def _header(encoded: str) -> dict[str, Any]:
    try:
        # Decoded as joserfc does, so that both see the same header.
        header = json.loads(urlsafe_b64decode(encoded.encode("ascii")))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InvalidToken("The token is malformed: it does not begin with a header.")
    return header


def _first(claims: Claims, wanted: tuple[str, ...], names: ClaimNames) -> tuple[str, Any]:
    for name in wanted:
        value = claims[name] if name in claims else _along(claims, name)
        if value is not _ABSENT and (names.strict or value is not None):
            return name, value
    return "", _ABSENT


def _along(claims: Claims, path: str) -> Any:
    found: Any = claims
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return _ABSENT
        found = found[step]
    return found


def _names(claims: Claims, wanted: tuple[str, ...], names: ClaimNames, what: str) -> frozenset[str]:
    name, value = _first(claims, wanted, names)
    if value is _ABSENT:
        return frozenset()
    if isinstance(value, str) and not names.strict:
        value = value.split() if name.rpartition(".")[2] == "scope" else [value]
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise InvalidToken(f"The {what}'s {name!r} must be a list of names.")
    return _shared(tuple(value))


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> frozenset[str]:
    # Many have the same roles, and a set for each is the largest part of an identity.
    return frozenset(names)
