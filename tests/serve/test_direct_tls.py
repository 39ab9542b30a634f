"""`tidewire serve` over TLS: the options, and streams that are written to through it."""

import asyncio
import re
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from tests.doctor.certificates import certify
from tests.serve.processes import COMMAND, Process, running, url_in
from tests.serve.streams import RawStream
from tests.serve.wire import dechunk
from tidewire.core.errors import ConfigurationError
from tidewire.serve.tls import Certificate, certificate

APP = """
from tidewire import Settings, Tidewire
from tidewire.core.clock import SystemClock
from tidewire.logs import Retention, open_log

# Each process has its own log, which does not matter where nothing is published.
log = open_log("memory:", retention=Retention(100, 60, 100_000), clock=SystemClock())
tidewire = Tidewire(dev=True, log=log)
app = tidewire.app
"""


def make_pair(folder: Path) -> Certificate:
    folder.mkdir()
    made = certify(folder, began=timedelta(days=1), ends=timedelta(days=1))
    return Certificate(made.certfile, made.keyfile)


@pytest.fixture
def pair(tmp_path: Path) -> Certificate:
    return make_pair(tmp_path / "ours")


def options(pair: Certificate) -> list[str]:
    return ["--ssl-certfile", pair.certfile, "--ssl-keyfile", pair.keyfile]


@dataclass
class Served:
    process: Process
    url: str
    trust: ssl.SSLContext


def trusting(pair: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=pair.certfile)


@pytest.fixture
def served(tmp_path: Path, env: dict[str, str], pair: Certificate) -> Iterator[Served]:
    command = [COMMAND, "serve", "--dev", "--port", "0", *options(pair)]
    with running(command, tmp_path, env) as process:
        yield Served(process, url_in(process), trusting(pair))


@asynccontextmanager
async def stream_on(served: Served, user: str) -> AsyncIterator[RawStream]:
    """A stream over TLS. What is not asked for is not read: little is held before the peer."""
    address = urlsplit(served.url)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port, ssl=served.trust, server_hostname="localhost", limit=2048
    )
    writer.write(f"GET /api/sse?userId={user} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    stream = RawStream(reader, writer)
    try:
        await stream.until(b"\n\n")
        yield stream
    finally:
        writer.transport.abort()


async def publish(served: Served, *payloads: str) -> None:
    async with httpx.AsyncClient(verify=served.trust, trust_env=False) as http:
        answer = await http.post(
            f"{served.url}/api/realtime/publish",
            params={"userId": "p", "permissions": "publish"},
            json={"events": [{"type": "news", "data": data} for data in payloads]},
        )
        assert answer.status_code == 200, answer.text


def payloads_in(stream: RawStream) -> list[str]:
    return [block.data for block in stream.answer.blocks if block.event == "news"]


async def test_a_large_backlog_comes_whole_to_who_reads_and_to_who_reads_late(
    served: Served,
) -> None:
    assert served.url.startswith("https://")
    async with stream_on(served, "sleeper") as sleeper, stream_on(served, "other") as other:
        wanted = [f"{number}:" + "x" * 10_000 for number in range(600)]
        for start in range(0, 600, 200):
            await publish(served, *wanted[start : start + 200])
        await publish(served, "end")
        for stream in (other, sleeper):
            await stream.until_data("end")
            assert payloads_in(stream) == [*wanted, "end"]
        # Both are live again.
        await publish(served, "live")
        for stream in (other, sleeper):
            await stream.until_data("live")


async def test_who_goes_down_says_goodbye_over_tls_and_waits_for_no_sleeper(
    served: Served,
) -> None:
    async with stream_on(served, "sleeper") as sleeper, stream_on(served, "other") as other:
        for _ in range(3):
            await publish(served, *["x" * 10_000] * 200)
        await publish(served, "end")
        await other.until_data("end")
        stopping = asyncio.create_task(asyncio.to_thread(served.process.stop, signal.SIGTERM))
        await other.to_the_end()
        assert dechunk(other.answer.rest).ended
        assert other.answer.blocks[-1].event == "disconnecting"
        await stopping
        assert "Traceback" not in served.process.output
        assert sleeper.received


async def test_workers_and_reload_serve_over_tls_too(
    tmp_path: Path, env: dict[str, str], pair: Certificate
) -> None:
    (tmp_path / "demo.py").write_text(APP)
    env = {**env, "REDIS_URL": "redis://127.0.0.1:9"}
    for more in (["--workers", "2"], ["--reload"]):
        command = [COMMAND, "serve", "demo:app", "--dev", "--port", "0", *more, *options(pair)]
        with running(command, tmp_path, env, cwd=tmp_path) as process:
            served = Served(process, url_in(process), trusting(pair))
            assert served.url.startswith("https://")
            async with stream_on(served, "alice") as stream:
                stopping = asyncio.create_task(asyncio.to_thread(process.stop, signal.SIGINT))
                await stream.to_the_end()
                assert stream.answer.blocks[-1].event == "disconnecting"
                await stopping


def test_the_options_go_together_and_what_is_wrong_is_named(
    tmp_path: Path, pair: Certificate
) -> None:
    other = make_pair(tmp_path / "other")
    key = serialization.load_pem_private_key(Path(pair.keyfile).read_bytes(), None)
    locked, empty = tmp_path / "locked.key", tmp_path / "empty.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a passphrase"),
        )
    )
    empty.write_bytes(b"")
    nowhere = str(tmp_path / "nowhere.pem")
    assert certificate(None, None) is None
    assert certificate(pair.certfile, pair.keyfile) == pair
    for certfile, keyfile, told in (
        (pair.certfile, None, "--ssl-certfile needs --ssl-keyfile"),
        (None, pair.keyfile, "--ssl-keyfile needs --ssl-certfile"),
        (nowhere, pair.keyfile, rf"Cannot read {re.escape(nowhere)} \(--ssl-certfile\): No such"),
        (pair.certfile, nowhere, rf"Cannot read {re.escape(nowhere)} \(--ssl-keyfile\): No such"),
        (str(empty), pair.keyfile, r"no certificate in .*empty.pem \(--ssl-certfile\)"),
        (pair.certfile, str(empty), r"no private key in .*empty.pem \(--ssl-keyfile\)"),
        (pair.certfile, str(locked), r"locked.key \(--ssl-keyfile\) has a passphrase"),
        (pair.certfile, other.keyfile, r"other/key.pem \(--ssl-keyfile\) is not that of the cert"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            certificate(certfile, keyfile)


def test_the_command_tells_it_in_one_line(env: dict[str, str], pair: Certificate) -> None:
    done = subprocess.run(
        [COMMAND, "serve", "--dev", "--port", "0", "--ssl-certfile", pair.certfile],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "--ssl-certfile needs --ssl-keyfile" in done.stderr
    assert "Traceback" not in done.stderr
