"""Following a stream: it reconnects with its cursor until it is told to stay away."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from httpx_sse import SSEError, aconnect_sse

from tidewire.core.errors import TidewireError

OPEN_TIMEOUT: Final = 10.0
"""Seconds until ``connected`` must have come; after that, two ping intervals and a little."""

BACKOFF_FIRST: Final = 0.5
BACKOFF_LAST: Final = 15.0


class Refused(TidewireError):
    """The server answered with a problem that trying again does not mend."""

    title = "The server refused"

    def __init__(self, answer: Mapping[str, Any], status: int) -> None:
        code = answer.get("code", f"HTTP {status}")
        super().__init__(f"{code}: {answer.get('detail', 'no reason was given')}")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Message:
    """One event of the stream, log or control.

    Attributes:
        event: the SSE name.
        envelope: the JSON of the event: ``type``, ``data``, …
        cursor: where to go on from after it; None if it has none.
    """

    event: str
    envelope: Mapping[str, Any]
    cursor: str | None


async def follow(
    http: httpx.AsyncClient,
    path: str = "/api/sse",
    *,
    params: Mapping[str, str] | None = None,
    since: str | None = None,
    on_wait: Callable[[str, float], None] | None = None,
) -> AsyncGenerator[Message, None]:
    """Yields every message, over as many connections as it takes.

    Args:
        http: a client with the server's base URL and credentials.
        path: of the stream.
        params: further query parameters.
        since: where to start; None = at the head.
        on_wait: told why and for how many seconds it waits before it connects again.

    Raises:
        Refused: the server answered a 4xx.
    """
    cursor: str | None = None
    failures = 0
    while True:
        query = dict(params or {})
        headers = {}
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        elif since is not None:
            query["since"] = since
        reason = "the stream ended"
        delay: float | None = None
        try:
            async with contextlib.aclosing(_connect(http, path, query, headers)) as messages:
                async for message in messages:
                    failures = 0
                    cursor = message.cursor or cursor
                    yield message
                    if message.event == "disconnecting":
                        after = message.envelope["data"]["reconnectAfter"]
                        if after is None:
                            return
                        reason, delay = message.envelope["data"]["reason"], after / 1000
        except (httpx.TransportError, SSEError, TimeoutError, _Unavailable) as error:
            reason = str(error) or type(error).__name__
        if delay is None:
            delay = random.uniform(0, min(BACKOFF_LAST, BACKOFF_FIRST * 2**failures))  # noqa: S311 - spreads load
            failures += 1
        if on_wait is not None:
            on_wait(reason, delay)
        await asyncio.sleep(delay)


class _Unavailable(Exception):
    """The server answered a 5xx: it is worth trying again."""


async def _connect(
    http: httpx.AsyncClient, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> AsyncGenerator[Message, None]:
    patience = OPEN_TIMEOUT
    timeout = httpx.Timeout(OPEN_TIMEOUT, read=None)
    async with aconnect_sse(
        http, "GET", path, params=query, headers=dict(headers), timeout=timeout
    ) as source:
        response = source.response
        if response.status_code != 200:
            await response.aread()
            if response.status_code < 500 and response.status_code != 429:
                raise Refused(problem_of(response), response.status_code)
            raise _Unavailable(problem_of(response).get("detail", f"HTTP {response.status_code}"))
        events = source.aiter_sse()
        async with contextlib.aclosing(events):
            while True:
                try:
                    async with asyncio.timeout(patience):
                        sse = await anext(events)
                except StopAsyncIteration:
                    return
                message = Message(sse.event, json.loads(sse.data), sse.id or None)
                if message.event == "connected":
                    # Silent for two pings is dead, whatever TCP says.
                    interval = message.envelope["data"]["serverInfo"]["pingInterval"] / 1000
                    patience = interval * 2 + 5
                yield message


def problem_of(response: httpx.Response) -> Mapping[str, Any]:
    """The problem in an answer that was read; empty if it has none."""
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
