"""Going down with open streams: everybody is told, nobody waits."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.serve.conftest import DevServer
from tests.serve.processes import COMMAND, Process, running, url_in
from tests.serve.streams import open_stream, open_streams
from tests.waiting import until_told

BIN = Path(sys.executable).parent
AT_ONCE = 10.0
"""Seconds. Whoever waited for a stream to end by itself would wait for ever."""
APP = """
from tidewire import Tidewire

tidewire = Tidewire(dev=True)
app = tidewire.app
"""
MORE = """
from starlette.responses import Response

app.add_route("/new", lambda request: Response())
"""


@asynccontextmanager
async def stopped(process: Process, sign: int = signal.SIGTERM) -> AsyncIterator[list[float]]:
    """Sends a signal, lets the block see what happens, and waits for the end; the list gets
    how many seconds that took."""
    took: list[float] = []
    stopping = asyncio.create_task(asyncio.to_thread(process.stop, sign))
    try:
        yield took
    finally:
        took.append(await stopping)


@pytest.mark.usefixtures("many_files")
async def test_ctrl_c_with_a_thousand_streams_tells_each_its_slot_and_ends_in_two_seconds(
    dev_server: DevServer,
) -> None:
    async with (
        open_streams(dev_server.url, 1000) as streams,
        stopped(dev_server.process, signal.SIGINT) as took,
    ):
        await asyncio.gather(*(stream.to_the_end() for stream in streams))
    assert took[0] < 2
    slots = sorted(stream.reconnect_after for stream in streams)
    # 500 a second: the last of a thousand comes back two seconds after the first.
    assert slots == [250 + 2 * n for n in range(1000)]
    assert all(bytes(stream.received).endswith(b"0\r\n\r\n") for stream in streams)
    assert "Traceback" not in dev_server.process.output


async def test_sigterm_ends_streams_as_ctrl_c_does(dev_server: DevServer) -> None:
    async with open_streams(dev_server.url, 1) as (stream,), stopped(dev_server.process) as took:
        await stream.to_the_end()
    assert stream.reconnect_after == 250
    assert took[0] < AT_ONCE


async def test_a_peer_that_does_not_read_does_not_delay_the_end(dev_server: DevServer) -> None:
    async with open_stream(dev_server.url, "/api/sse?userId=a", receive_buffer=4096) as sleeper:
        await sleeper.until(b"event: connected")
        events = [{"type": "bulk", "data": "x" * 10_000}] * 300
        async with httpx.AsyncClient(base_url=dev_server.url) as http:
            answer = await http.post(
                "/api/realtime/publish",
                params={"userId": "p", "permissions": "publish"},
                json={"events": events},
            )
        assert answer.status_code == 200
        async with stopped(dev_server.process, signal.SIGINT) as took:
            pass
    assert took[0] < AT_ONCE


async def test_a_held_poll_is_answered_when_the_server_goes_down(dev_server: DevServer) -> None:
    async with httpx.AsyncClient(base_url=dev_server.url, timeout=30) as http:
        params = {"userId": "alice", "since": "latest", "wait": "60"}
        poll = asyncio.create_task(http.get("/api/realtime/polling", params=params))
        # The stream was asked for later; once it is open, the poll is held.
        async with open_streams(dev_server.url, 1), stopped(dev_server.process) as took:
            answer = await asyncio.wait_for(poll, 20)
        assert answer.status_code == 200
        assert answer.json()["events"] == []
    assert took[0] < AT_ONCE


async def test_reload_with_an_open_stream_ends_it_and_serves_the_new_code(
    tmp_path: Path, env: dict[str, str]
) -> None:
    module = tmp_path / "demo.py"
    module.write_text(APP)
    command = [COMMAND, "serve", "demo:app", "--dev", "--reload", "--port", "0"]
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = url_in(server)
        async with open_streams(url, 1) as (stream,):
            module.write_text(APP + MORE)
            await stream.to_the_end()
            assert stream.reconnect_after == 250
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            await until_told(partial(http.get, "/new"), lambda told: told.status_code == 200)
        async with stopped(server, signal.SIGINT) as took:
            pass
        assert took[0] < AT_ONCE


@pytest.mark.parametrize(
    "command",
    [
        [str(BIN / "uvicorn"), "demo:app", "--timeout-graceful-shutdown", "1", "--port"],
        [str(BIN / "hypercorn"), "demo:app", "--graceful-timeout", "1", "--bind"],
    ],
    ids=["uvicorn", "hypercorn"],
)
async def test_servers_that_cancel_what_is_left_let_streams_say_goodbye(
    tmp_path: Path, env: dict[str, str], command: list[str]
) -> None:
    (tmp_path / "demo.py").write_text(APP)
    port = free_port()
    address = str(port) if command[-1] == "--port" else f"127.0.0.1:{port}"
    with running([*command, address], tmp_path, env, cwd=tmp_path) as server:
        url = await reachable(server, port)
        async with open_streams(url, 3) as streams, stopped(server) as took:
            await asyncio.gather(*(stream.to_the_end() for stream in streams))
        assert sorted(stream.reconnect_after for stream in streams) == [250, 252, 254]
        assert took[0] < AT_ONCE
        assert "tidewire" not in server.output


async def test_granian_tells_nobody_and_its_kill_timeout_bounds_the_end(
    tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / "demo.py").write_text(APP)
    port = free_port()
    command = [str(BIN / "granian"), "--interface", "asgi", "--workers-kill-timeout", "1"]
    command += ["--port", str(port), "demo:app"]
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = await reachable(server, port)
        async with open_streams(url, 3) as streams, stopped(server) as took:
            for stream in streams:
                with suppress(ConnectionError):
                    await stream.to_the_end()
                assert b"disconnecting" not in stream.received
        assert took[0] < AT_ONCE


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def reachable(server: Process, port: int) -> str:
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url) as http:

        async def serves() -> bool:
            assert server.popen.poll() is None, server.output
            with suppress(httpx.TransportError):
                return (await http.get("/livez")).status_code == 200
            return False

        await until_told(serves, what=lambda: server.output)
    return url
