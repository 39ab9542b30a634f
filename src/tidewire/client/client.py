"""Events as they happen: over a stream, or by polling where streams do not get through.

One cursor serves both ways: each event is handed over once, in the order of the log, whichever way
it came; and what is missing is said.
"""

import asyncio
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

import httpx

from tidewire.client.buffer import Buffer
from tidewire.client.connection import Connection
from tidewire.client.endpoints import Endpoints
from tidewire.client.errors import GapError, error_of
from tidewire.client.messages import Envelope, Gap, Item
from tidewire.client.model import Report, Settings, State
from tidewire.client.source import Source
from tidewire.client.state import initial
from tidewire.client.status import Status, status_of
from tidewire.client.tokens import TokenSource
from tidewire.core.position import Cursor
from tidewire.version import __version__

BUFFER: Final = 500
"""Items that wait for a slow consumer before nothing more is read: as many as a poll brings."""

_LOGGER: Final = logging.getLogger("tidewire.client")


class Client:
    """Follows events, as an asynchronous context manager that is iterated over.

        async with Client("https://example.com/api/sse", token=token) as client:
            async for event in client:
                print(event.type, event.data)

    One task at a time iterates. To leave the context leaves no task and no connection; what had
    arrived and was not taken is kept, and to enter it again goes on from there.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | TokenSource | None = None,
        types: Iterable[str] | None = None,
        topics: Iterable[str] | None = None,
        since: str | int | Cursor | None = None,
        on_gap: Callable[[Gap], Awaitable[object] | object] | None = None,
        on_status: Callable[[Status], object] | None = None,
        user_id: str | None = None,
        client_type: str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auto_reconnect: bool = True,
        max_reconnect_attempts: int = 5,
        open_timeout: float = 10.0,
        buffer: int = BUFFER,
        polling_url: str | None = None,
        token_url: str | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """Prepares it; nothing is connected yet.

        Args:
            url: of the streams, such as ``https://example.com/api/sse``.
            token: a token that does not change; or what gets one, plain or asynchronous: a string,
                or a `Token` with the time to renew it. It is asked before the first connection,
                when the token is due, when the server says that it runs out, and after a 401.
            types: event types that are wanted; None = all.
            topics: topics that are wanted.
            since: where to start: a cursor that was kept, or that of a snapshot; ``earliest``; Unix
                milliseconds; None = at the head.
            on_gap: told of a hole, plain or asynchronous, when the iteration comes to it. Without
                it a hole is raised there, as `GapError`.
            on_status: told when `status` has something new; must not block.
            user_id: who you are, in development mode only.
            client_type: what this client calls itself, for administrators.
            params: further query parameters.
            headers: further headers.
            auto_reconnect: False: the first failure stops it.
            max_reconnect_attempts: after so many failures of streams in a row it polls. It does not
                give up.
            open_timeout: seconds in which a stream must say ``connected``, and a poll be answered.
            buffer: so many events wait to be taken before nothing more is read.
            polling_url: of the polls, where it does not lie beside ``url``.
            token_url: of the tokens, where it does not lie beside ``url``.
            http: what makes requests, where it is to have certificates, proxies or cookies of your
                own. It is not closed.

        Raises:
            ConfigurationError: ``url`` is not the address of a server.
            ValueError: ``buffer``, ``open_timeout`` or ``max_reconnect_attempts`` is not above 0.
        """
        if min(buffer, open_timeout, max_reconnect_attempts) <= 0:
            raise ValueError("buffer, open_timeout and max_reconnect_attempts must be above 0")
        self._endpoints = Endpoints.of(url, polling_url=polling_url, token_url=token_url)
        self._token = token
        self._on_gap = on_gap
        self._on_status = on_status
        self._given_http = http
        self._headers = {"User-Agent": f"tidewire/{__version__}", **(headers or {})}
        named = {
            "instanceId": secrets.token_hex(12),
            "userId": user_id,
            "clientType": client_type,
            "types": None if types is None else ",".join(types),
            "topics": None if topics is None else ",".join(topics),
        }
        self._params = {name: value for name, value in named.items() if value is not None}
        self._params |= params or {}
        settings = Settings(
            auto_reconnect=auto_reconnect,
            max_reconnect_attempts=max_reconnect_attempts,
            open_timeout=open_timeout * 1000,
            refreshable=callable(token),
        )
        text = "latest" if since in (None, "") else str(since)
        is_cursor = not (text in ("earliest", "latest") or (text.isascii() and text.isdigit()))
        self._since = "latest" if is_cursor else text
        self._buffer = Buffer(buffer)
        self._state = initial(settings, text if is_cursor else None)
        self._status = status_of(self._state, 0)
        self._connection: Connection | None = None
        self._stack = AsyncExitStack()
        self._opening: set[asyncio.Future[None]] = set()
        self._is_new = True

    async def __aenter__(self) -> Self:
        """Begins to connect, from where it was; does not wait for that (see `connected`).

        Raises:
            RuntimeError: it is entered already.
        """
        if self._connection is not None:
            raise RuntimeError("The client is entered already.")
        http = self._given_http
        if http is None:
            made = httpx.AsyncClient(follow_redirects=True)
            http = await self._stack.enter_async_context(made)
        token = self._token
        source = Source(
            http,
            self._endpoints,
            self._params,
            self._headers,
            self._since,
            self._state.settings.hold,
            token if isinstance(token, str) else None,
        )
        connection = Connection(
            self._state,
            source,
            self._buffer,
            get_token=token if callable(token) else None,
            on_step=self._after_step,
            on_crash=self._fail_waiting,
        )
        self._connection = connection
        self._stack.push_async_callback(connection.close)
        self._is_new = False
        connection.do("connect")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; iterations end. Nothing is left open; the cursor stays."""
        stack, self._stack = self._stack, AsyncExitStack()
        try:
            await stack.aclose()
        finally:
            if self._state.phase != "idle":
                # It ended by a fault of ours.
                self._state = initial(self._state.settings, self._state.cursor)
            self._connection = None
            self._fail_waiting(RuntimeError("The client was closed."))

    async def connected(self) -> None:
        """Returns when events arrive. From then on nothing is missed that is not told.

        Raises:
            RuntimeError: it is not entered, or was closed meanwhile.
            TidewireError: it has stopped; which one says why.
        """
        connection = self._check()
        if connection.state.phase == "open":
            return
        if connection.state.phase == "stopped" and connection.state.error is not None:
            raise error_of(connection.state.error)
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opening.add(waiting)
        try:
            await waiting
        finally:
            self._opening.discard(waiting)

    # Reading

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        """The next event.

        Raises:
            StopAsyncIteration: the client was closed.
            GapError: something was missed, and there is no ``on_gap``. Iterating again goes on
                behind it.
            SentAway: the server told the client not to come back.
            AuthenticationError: who asks is not known, also by a new token; or may not ask.
            TidewireError: it has stopped for another reason, which trying again does not mend.
        """
        while True:
            item = await self._first()
            if isinstance(item, Gap) and self._on_gap is not None:
                told = self._on_gap(item)
                if inspect.isawaitable(told):
                    await told
            # Not before: a hole that nobody has heard of to the end is told again.
            self._take()
            if isinstance(item, Envelope):
                return item
            if isinstance(item, Gap) and self._on_gap is None:
                raise GapError(item)

    def items(self) -> "Items":
        """All that happens, in order: events, gaps, and what streams say beside them. Gaps are told
        here, and neither raised nor given to ``on_gap``."""
        return Items(self)

    async def _first(self) -> Item:
        """The next item, which stays there."""
        while True:
            # Nothing is given out any more by one that was closed, whatever has arrived.
            connection = self._connection
            if connection is None:
                if self._is_new:
                    self._check()
                raise StopAsyncIteration
            first = self._buffer.before
            if first is not None:
                return first.item
            if connection.crash is not None:
                raise connection.crash
            if connection.state.phase == "stopped" and connection.state.error is not None:
                raise error_of(connection.state.error)
            await self._buffer.filled()

    def _take(self) -> None:
        has_room = self._buffer.take()
        if has_room and self._connection is not None:
            self._connection.do("resume")

    # How it stands

    @property
    def cursor(self) -> str | None:
        """Everything up to here was handed over; None before the first connection. To be kept, for
        ``since`` of another client."""
        first = self._buffer.before
        return self._state.cursor if first is None else first.before

    @property
    def status(self) -> Status:
        """How it stands."""
        return self._status

    # Forcing

    def reconnect(self) -> None:
        """Connects anew, by a stream, as if nothing had failed; also if it has stopped.

        Raises:
            RuntimeError: it is not entered.
        """
        self._check().do("reconnect")

    def force_sse(self) -> None:
        """Tries a stream now. If it fails, polling takes over as ever. Raises as `reconnect`."""
        self._check().do("forceSSE")

    def force_polling(self) -> None:
        """Polls, and tries no streams, until `force_sse` or `reconnect`. Raises as `reconnect`."""
        self._check().do("forcePolling")

    def _check(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("The client is not entered: use it in 'async with'.")
        return self._connection

    # Steps

    def _after_step(self, state: State, reports: Sequence[Report]) -> None:
        self._state = state
        for report in reports:
            failure = report.failure
            _LOGGER.debug("%s: %s", failure.code, failure.detail)
        status = status_of(state, Connection.now())
        if status == self._status:
            return
        self._status = status
        if state.phase == "stopped" and state.error is not None:
            self._fail_waiting(error_of(state.error))
        elif state.phase == "open":
            for waiting in self._opening:
                if not waiting.done():
                    waiting.set_result(None)
        if self._on_status is not None:
            try:
                self._on_status(status)
            except Exception:
                _LOGGER.exception("on_status failed")

    def _fail_waiting(self, error: Exception) -> None:
        """Nobody waits any more for what does not come."""
        self._buffer.wake()
        for waiting in self._opening:
            if not waiting.done():
                waiting.set_exception(error)


class Items:
    """All that happens to a client, as an asynchronous iterator. Raises as the client, but for
    `GapError`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        item = await self._client._first()
        self._client._take()
        return item
