"""Asking a deployment as a browser does, with the time that everything took.

Every request has a connection of its own, so that whoever stands behind the address and divides
them up has something to divide.
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from tidewire.core.errors import TidewireError
from tidewire.serve.doctor.address import Address
from tidewire.serve.doctor.blocks import Block, Blocks
from tidewire.serve.doctor.credential import Credential
from tidewire.version import __version__

MAX_BODY_BYTES: Final = 1024 * 1024
USER_AGENT: Final = f"tidewire-doctor/{__version__}"
AS_BROWSERS: Final = "gzip, deflate, br, zstd"
"""The Accept-Encoding of a browser."""


class NoAnswer(TidewireError):
    """A request had no answer, or none that is HTTP."""

    title = "No answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request.

    Attributes:
        path: what was asked for, without its query.
        status: of HTTP.
        headers: by their names; a name that came twice has both values, by a comma.
        body: at most 1 MiB of it.
        seconds: from the request to its end.
        moment: Unix seconds in the middle of that, by the clock of this machine.
    """

    path: str
    status: int
    headers: httpx.Headers
    body: bytes
    seconds: float
    moment: float

    @property
    def json(self) -> Mapping[str, Any]:
        """The JSON object in it; empty if there is none."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def code(self) -> str | None:
        """The code of the problem that it tells; None if it tells none of ours."""
        code = self.json.get("code")
        return code if isinstance(code, str) else None

    @property
    def ms(self) -> int:
        """How long it took, milliseconds."""
        return round(self.seconds * 1000)

    @property
    def told(self) -> str:
        """What it is, in a few words."""
        if self.code is not None:
            return f"{self.status} {self.code}: {self.json.get('detail', '')}"
        kind = self.headers.get("content-type", "").partition(";")[0]
        return f"{self.status}{' ' if kind else ''}{kind}"


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen of a stream.

    Attributes:
        answer: how it began, the body only where it is no stream; None: not at all.
        blocks: what came.
        first_after: seconds until the first byte of the body.
        ended_after: seconds until it ended by itself; None: it has not.
        waited: seconds that it was looked at.
        failure: why it did not begin, or was cut.
    """

    answer: Answer | None
    blocks: tuple[Block, ...]
    first_after: float | None
    ended_after: float | None
    waited: float
    failure: str | None

    def block(self, event: str) -> Block | None:
        """The first of a name."""
        return next((block for block in self.blocks if block.event == event), None)

    @property
    def connected(self) -> Block | None:
        """By which it says that it works."""
        return self.block("connected")

    @property
    def is_stream(self) -> bool:
        """Whether the answer is one of a stream; also as long as there is none."""
        return self.answer is None or (
            self.answer.status == 200
            and self.answer.headers.get("content-type", "").startswith("text/event-stream")
        )

    @property
    def ping_interval(self) -> float | None:
        """Seconds between pings, as the server says."""
        if self.connected is None:
            return None
        told = self.connected.data.get("serverInfo", {}).get("pingInterval")
        return told / 1000 if isinstance(told, int | float) else None


class Stream:
    """A stream that is read behind everything else, until it is left."""

    def __init__(self, http: httpx.AsyncClient, request: httpx.Request) -> None:
        self._http = http
        self._request = request
        self._began = time.monotonic()
        self._moment = time.time()
        self._answer: Answer | None = None
        self._blocks: list[Block] = []
        self._first: float | None = None
        self._ended: float | None = None
        self._failure: str | None = None
        self._changed = asyncio.Event()

    @property
    def watch(self) -> Watch:
        """What was seen until now."""
        return Watch(
            self._answer,
            tuple(self._blocks),
            self._first,
            self._ended,
            self._after(),
            self._failure,
        )

    async def until(self, found: Callable[[Block], bool], until: float) -> Block | None:
        """The first block of a kind, looked for until so many seconds after the stream was asked
        for; None if it does not come, or the stream ends before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until - self._after()):
                while True:
                    block = next(filter(found, self._blocks), None)
                    if block is not None or self._ended is not None:
                        return block
                    self._changed.clear()
                    await self._changed.wait()
        return None

    async def read(self) -> None:
        """Reads until the end."""
        try:
            response = await self._http.send(self._request, stream=True)
            try:
                await self._read(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._failure = str(error) or type(error).__name__
        self._ended = self._after()
        self._changed.set()

    async def _read(self, response: httpx.Response) -> None:
        opened = self._after()
        answer = Answer(
            self._request.url.path,
            response.status_code,
            response.headers,
            b"",
            opened,
            self._moment + opened / 2,
        )
        self._answer = answer
        if not self.watch.is_stream:
            self._answer = replace(answer, body=await _limited(response))
            return
        blocks = Blocks(response.headers.get("content-encoding", "").strip().lower())
        async for data in response.aiter_raw():
            after = self._after()
            self._first = self._first or after
            self._blocks += blocks.feed(data, after)
            self._changed.set()

    def _after(self) -> float:
        return time.monotonic() - self._began


class Wire:
    """Requests to one deployment. ``answers`` and ``watches`` have all that came."""

    def __init__(self, address: Address, http: httpx.AsyncClient) -> None:
        self.address = address
        self.answers: list[Answer] = []
        self.watches: list[Watch] = []
        self._http = http

    async def ask(
        self,
        method: str,
        path: str,
        credential: Credential | None = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """Asks for a path behind the prefix; one that is a whole address is taken as it is.

        Raises:
            NoAnswer: there was none, or not in time.
        """
        request = self._request(method, path, credential, params, headers, body)
        began, moment = time.monotonic(), time.time()
        try:
            response = await self._http.send(request, stream=True)
            try:
                content = await _limited(response)
            finally:
                await response.aclose()
        except httpx.TimeoutException as error:
            seconds = time.monotonic() - began
            raise NoAnswer(
                f"{method} {request.url.path} had no answer within {seconds:.1f} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = str(error).rstrip(".") or type(error).__name__
            raise NoAnswer(f"{method} {request.url.path}: {told}") from error
        seconds = time.monotonic() - began
        answer = Answer(
            request.url.path,
            response.status_code,
            response.headers,
            content,
            seconds,
            moment + seconds / 2,
        )
        self.answers.append(answer)
        return answer

    @asynccontextmanager
    async def stream(
        self,
        credential: Credential | None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        encoding: str = "identity",
    ) -> AsyncIterator[Stream]:
        """A stream, for as long as the context lasts; what comes of it is in its ``watch``."""
        told = {"accept": "text/event-stream", "accept-encoding": encoding, **(headers or {})}
        request = self._request("GET", "/api/sse", credential, params, told, None)
        # It may be silent for as long as it likes; who waits for it knows for how long.
        request.extensions["timeout"] = {**request.extensions["timeout"], "read": None}
        stream = Stream(self._http, request)
        reading = asyncio.create_task(stream.read())
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            watch = stream.watch
            self.watches.append(watch)
            if watch.answer is not None:
                self.answers.append(watch.answer)

    def _request(
        self,
        method: str,
        path: str,
        credential: Credential | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Any,
    ) -> httpx.Request:
        query, fields = dict(params or {}), dict(headers or {})
        if credential is not None:
            query, fields = {**credential.params, **query}, {**credential.headers, **fields}
        url = path if "://" in path else self.address.base + path
        return self._http.build_request(method, url, params=query, headers=fields, json=body)


@asynccontextmanager
async def connected_to(
    address: Address, trust: ssl.SSLContext, *, timeout: float
) -> AsyncIterator[Wire]:
    """A wire for as long as the context lasts.

    Args:
        address: of the deployment.
        trust: whose certificates are good.
        timeout: seconds that a request may take.
    """
    apart = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(verify=trust, timeout=timeout, limits=apart) as http:
        http.headers.update({"accept-encoding": "identity", "user-agent": USER_AGENT})
        yield Wire(address, http)


async def _limited(response: httpx.Response) -> bytes:
    body = bytearray()
    async for data in response.aiter_bytes():
        body += data
        if len(body) >= MAX_BODY_BYTES:
            break
    return bytes(body)
