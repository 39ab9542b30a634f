"""Tokens, as whoever makes them hands them over."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Self, TypeAlias


class Token(NamedTuple):
    """A token, and when to replace it.

    Attributes:
        token: what is shown to the server.
        refresh_after: from when on a new one is fetched, Unix milliseconds; None: when the server
            says that it runs out.
    """

    token: str
    refresh_after: float | None = None

    @classmethod
    def of(cls, given: "GivenToken") -> Self:
        """What somebody gave: a token, with its time or without, or the answer of
        ``GET /api/auth/sse-token``."""
        if isinstance(given, str):
            return cls(given)
        if isinstance(given, Mapping):
            return cls(given["token"], given.get("refreshAfter"))
        return cls(*given)


GivenToken: TypeAlias = str | Token | Mapping[str, Any]

TokenSource: TypeAlias = Callable[[], GivenToken | Awaitable[GivenToken]]
"""Gets a token. What it does at once must not take long: nothing else runs meanwhile."""


async def get_token(source: TokenSource) -> Token:
    """A new token. Raises what the source raises."""
    given = source()
    return Token.of(await given if inspect.isawaitable(given) else given)
