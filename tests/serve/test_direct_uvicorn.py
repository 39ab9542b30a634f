"""`uvicorn --http tidewire.serve:Protocol`: the fast path under a server that is not ours."""

import asyncio
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.serve.processes import running
from tests.serve.streams import open_streams
from tests.serve.test_shutdown import free_port, reachable, stopped

UVICORN = str(Path(sys.executable).parent / "uvicorn")

APP = """
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from tidewire import Tidewire
from tidewire.serve.direct import DirectSink

tidewire = Tidewire(dev=True)
app = FastAPI(lifespan=tidewire.lifespan)
app.include_router(tidewire.router)


@app.get("/kinds")
async def kinds() -> dict[str, int]:
    keeper = (await tidewire.start()).keeper
    sinks = [type(each.reader.sink) for each in keeper.connections if each.transport == "sse"]
    return {"open": len(keeper.connections), "direct": sinks.count(DirectSink)}
"""
PORTABLE = """

async def pass_on(request, call_next):
    return await call_next(request)

app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
"""


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("more", "direct"), [("", 5), (PORTABLE, 0)], ids=["direct", "portable"])
async def test_a_shutdown_ends_streams_and_held_polls_and_then_the_process_by_itself(
    tmp_path: Path, env: dict[str, str], sign: int, more: str, direct: int
) -> None:
    (tmp_path / "demo.py").write_text(APP + more)
    port = free_port()
    command = [UVICORN, "--http", "tidewire.serve:Protocol", "demo:app", "--port", str(port)]
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = await reachable(server, port)
        async with open_streams(url, 5) as streams, httpx.AsyncClient(base_url=url) as http:
            params = {"userId": "poller", "since": "latest", "wait": "60"}
            poll = asyncio.create_task(http.get("/api/realtime/polling", params=params, timeout=30))
            while True:
                kinds = (await http.get("/kinds")).json()
                if kinds["open"] == 6:
                    break
            assert kinds["direct"] == direct
            async with stopped(server, sign):
                await asyncio.gather(*(stream.to_the_end() for stream in streams))
                assert (await poll).status_code == 200
        # Of six slots one went to the poll.
        slots = {stream.reconnect_after for stream in streams}
        assert len(slots) == 5
        assert all(bytes(stream.received).endswith(b"0\r\n\r\n") for stream in streams)
        assert "Traceback" not in server.output
        assert "never retrieved" not in server.output


async def test_a_peer_that_does_not_read_is_cut_off_and_does_not_keep_the_process(
    tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / "demo.py").write_text(APP)
    port = free_port()
    command = [UVICORN, "--http", "tidewire.serve:Protocol", "demo:app", "--port", str(port)]
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = await reachable(server, port)
        async with open_streams(url, 1), httpx.AsyncClient(base_url=url) as http:
            for _ in range(3):
                answer = await http.post(
                    "/api/realtime/publish",
                    params={"userId": "p", "permissions": "publish"},
                    json={"events": [{"type": "bulk", "data": "x" * 10_000}] * 300},
                )
                assert answer.status_code == 200
            async with stopped(server):
                pass
        assert "Traceback" not in server.output
