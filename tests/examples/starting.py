"""Examples, started by the one command of their README."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from tests.serve.processes import Process, clean_environment, running
from tests.waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@asynccontextmanager
async def started(name: str, folder: Path, *options: str, **env: str) -> AsyncIterator[Process]:
    """The example, started, as its README says."""
    command = re.search(
        rf"^examples/{name}/start", (EXAMPLES / name / "README.md").read_text(), re.M
    )
    assert command is not None, "the README says how to start it"
    with running([command[0], *options], folder, clean_environment(folder, **env), cwd=ROOT) as run:
        yield run
        # What it has started ends with it.
        await asyncio.to_thread(run.stop)


async def address(process: Process, printed: str) -> str:
    """The address that is printed after a text, once it is."""
    pattern = re.compile(re.escape(printed) + r"\D*?(http://[a-z0-9.]+:[0-9]+)")

    def found() -> str:
        ended = process.popen.poll()
        match = pattern.search(process.output)
        assert match is not None or ended is None, process.output
        return match[1] if match is not None else ""

    return await until(found, 60, lambda: process.output)


class Stream:
    """An open stream."""

    def __init__(self, source: EventSource) -> None:
        self._events: AsyncIterator[ServerSentEvent] = source.aiter_sse()

    async def next(self, type_: str) -> ServerSentEvent:
        async with asyncio.timeout(20):
            async for event in self._events:
                if event.event == type_:
                    return event
        raise AssertionError(f"ended before {type_!r} came")


@asynccontextmanager
async def listening(http: httpx.AsyncClient, path: str) -> AsyncIterator[Stream]:
    """A stream that is connected."""
    async with aconnect_sse(http, "GET", path, timeout=30) as source:
        assert source.response.status_code == 200, (await source.response.aread()).decode()
        stream = Stream(source)
        await stream.next("connected")
        yield stream


def browser(url: str) -> httpx.AsyncClient:
    """A client that keeps cookies, and says of which page it is, as browsers do."""
    return httpx.AsyncClient(
        base_url=url,
        headers={"origin": url},
        timeout=30,
        trust_env=False,
        verify=False,  # noqa: S501
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
