"""Applications that follow by the Python client: what is judged is what it hands over to them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx

from tests.faults.cluster import token
from tests.faults.history import Who
from tests.faults.observers import AGAIN, PATIENCE, Observer, Place, Way
from tidewire.client import Client, Gap, Status


class Application(Observer):
    """One application.

    When it goes to another place, or was stopped and is started again, it makes another client
    from the cursor that the last one had.
    """

    def __init__(
        self,
        name: str,
        who: Who,
        places: Sequence[Place],
        ways: Sequence[Way] = ("sse",),
        **options: Any,
    ) -> None:
        """As any observer; ``options``: further ones of its clients."""
        super().__init__(name, who, places, ways)
        self._options = options
        self._client: Client | None = None

    def hurry(self) -> None:
        """Does what a user does who does not like to wait for the next poll: a poll that may not
        be held comes ten seconds after the last one."""
        client = self._client
        if client is not None and client.status.method == "shortPolling":
            again = client.force_polling if self._ways == ("polling",) else client.reconnect
            again()

    async def _follow(self, http: httpx.AsyncClient, place: Place, way: Way) -> float:
        client = self._client = Client(
            place.url,
            token=token(self.who),
            since=self.cursor,
            on_gap=self._told_of,
            on_status=partial(self._stands, place),
            open_timeout=PATIENCE,
            http=http,
            **self._options,
        )
        try:
            async with client:
                if way == "polling":
                    client.force_polling()
                await client.connected()
                self._keep(client)
                async for event in client:
                    self._see(event.data, event.id, place)
                    self._keep(client)
        except Exception as error:
            # No fault is a reason to give up, or to break.
            self.problems.append(f"the client at {place.name} raised {error!r}")
        finally:
            # Without an event it moves as well.
            self._keep(client)
        return AGAIN

    def _keep(self, client: Client) -> None:
        if client.cursor is not None:
            self._move(client.cursor)

    def _told_of(self, gap: Gap) -> None:
        self._miss(gap.reason, gap.from_, gap.to)

    def _stands(self, place: Place, status: Status) -> None:
        if status.is_connected and status.active_method is not None:
            self.ways.add(status.active_method)
        error = status.error
        if error is not None:
            text = f"{status.method} at {place.name}: {error.code}: {error.detail}"
            self._note_failure(text, error.status)
