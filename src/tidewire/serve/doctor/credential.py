"""How the doctor says who it is."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

Way: TypeAlias = Literal["header", "query", "parameter"]
"""The Authorization header; ``?token=``; ``?userId=`` of development mode."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, or a name that a development server takes at its word.

    Attributes:
        way: how it is sent.
        value: the token, or the name.
        signed_here: whether it was signed by a secret of this machine.
    """

    way: Way
    value: str = field(repr=False)
    signed_here: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What it adds to the headers of a request."""
        return {"authorization": f"Bearer {self.value}"} if self.way == "header" else {}

    @property
    def params(self) -> dict[str, str]:
        """What it adds to the query of a request."""
        match self.way:
            case "header":
                return {}
            case "query":
                return {"token": self.value}
            case "parameter":
                return {"userId": self.value, "permissions": "publish"}

    def by_query(self) -> "Credential":
        """The same token, in the query."""
        return replace(self, way="query")

    @property
    def secret(self) -> str | None:
        """What must not be shown of it."""
        return None if self.way == "parameter" else self.value

    @property
    def claims(self) -> Mapping[str, Any]:
        """What a token says of itself, not verified; empty if that cannot be read."""
        if self.way == "parameter":
            return {}
        try:
            part = self.value.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (IndexError, ValueError, RecursionError):
            return {}
        return claims if isinstance(claims, dict) else {}

    def time(self, claim: str) -> float | None:
        """A time that a token says, Unix seconds."""
        value = self.claims.get(claim)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if 0 <= value < 1e12 else None
