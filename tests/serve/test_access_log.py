"""`tidewire serve` writes what was asked of it, and no secret."""

import re
from pathlib import Path

import httpx

from tests.serve.conftest import DevServer
from tests.serve.processes import COMMAND, clean_environment, running, url_in
from tests.waiting import wait_until

SECRET = "a-secret-of-these-tests-0123456789-0123456789"
APP = """
import logging
from fastapi import FastAPI
from tidewire import Tidewire

tidewire = Tidewire()
app = FastAPI(lifespan=tidewire.lifespan)
app.include_router(tidewire.router)

@app.get("/mine")
async def mine(token: str = "") -> dict:
    logging.getLogger("mine").warning("asked with token=%s", token)
    return {}
"""


def lines(output: str) -> list[str]:
    return re.findall(r"INFO tidewire\.access: (.*)", output)


def test_requests_are_written_when_they_end_and_streams_when_they_open_too(
    dev_server: DevServer,
) -> None:
    with httpx.Client(base_url=dev_server.url, trust_env=False) as http:
        http.get("/livez")
        http.get("/api/realtime/cursor", params={"token": "hunter2"})
        with http.stream("GET", "/api/sse", params={"userId": "al ice", "types": "a,b"}) as stream:
            next(stream.iter_raw())
            opened = '127.0.0.1 al%20ice "GET /api/sse?userId=al+ice&types=a%2Cb" 200 opened'
            wait_until(lambda: opened in lines(dev_server.process.output))
    closed = re.compile(re.escape(opened.removesuffix("opened")) + r"[0-9]+\.[0-9] ms")
    wait_until(lambda: any(map(closed.fullmatch, lines(dev_server.process.output))))
    written = lines(dev_server.process.output)
    assert re.fullmatch(r'127\.0\.0\.1 - "GET /livez" 200 [0-9]+\.[0-9] ms', written[0])
    assert re.fullmatch(
        r'127\.0\.0\.1 - "GET /api/realtime/cursor\?token=\[redacted\]" 401 [0-9]+\.[0-9] ms',
        written[1],
    )
    assert "hunter2" not in dev_server.process.output


def test_an_application_of_ones_own_is_written_without_secrets_too(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    env = clean_environment(tmp_path, SSE_JWT_SECRET=SECRET)
    command = [COMMAND, "serve", "shop:app", "--port", "0"]
    with running(command, tmp_path, env, cwd=tmp_path) as process:
        url = url_in(process)
        httpx.get(f"{url}/mine", params={"token": "hunter2"}, trust_env=False)
        httpx.get(
            f"{url}/api/sse",
            headers={"cookie": "session=hunter2", "authorization": "Bearer hunter2"},
            trust_env=False,
        )
        wait_until(lambda: len(lines(process.output)) == 2)
        assert "asked with token=[redacted]" in process.output
        assert "hunter2" not in process.output
        assert SECRET not in process.output


def test_nobody_on_this_machine_says_who_the_client_is(dev_server: DevServer) -> None:
    httpx.get(
        f"{dev_server.url}/api/realtime/cursor",
        params={"userId": "alice"},
        headers={"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"},
        trust_env=False,
    )
    wait_until(lambda: lines(dev_server.process.output))
    assert lines(dev_server.process.output)[0].startswith("127.0.0.1 alice ")
