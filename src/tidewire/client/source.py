"""Where events come from, and who asks for which: what every request of a client says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tidewire.client.endpoints import Endpoints


@dataclass(slots=True)
class Source:
    """What every request says.

    Attributes:
        http: what makes requests.
        endpoints: where they go.
        params: query parameters of streams and polls.
        headers: of every request.
        since: where to start, as long as there is no cursor.
        hold: how long a poll may be held, ms.
        token: the token of this moment; None: there is none.
    """

    http: httpx.AsyncClient
    endpoints: Endpoints
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    since: str = "latest"
    hold: float = 25_000
    token: str | None = None

    def request(self, accept: str) -> dict[str, str]:
        """The headers of a request that wants this kind of answer."""
        own = {"Accept": accept, "Cache-Control": "no-store"}
        if self.token is not None:
            own["Authorization"] = f"Bearer {self.token}"
        return {**self.headers, **own}
