"""The command itself: what it ends with, what it prints, and what it never prints."""

import asyncio
import json
import os
import pty
import subprocess
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from tests.doctor.conftest import PAGE, Doctor
from tests.doctor.examined import OTHER_SECRET, SECRET, doctor, doctor_here, environment
from tests.doctor.nginx import Site, nginx
from tests.redisserver import free_port
from tests.serve.processes import COMMAND, running
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock
from tidewire.serve.doctor import catalogue, mends

LOCAL = list(catalogue.names(catalogue.LOCAL))
ALL = [*LOCAL, *catalogue.names(catalogue.DEPLOYMENT)]


def token(user: str) -> str:
    tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
    return tokens.issue(user, permissions=["publish"]).token


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, SSE_JWT_SECRET=SECRET)


def test_it_ends_with_0_where_nothing_failed(env: dict[str, str], server: str) -> None:
    assert doctor(server, "--user", "zero", env=env).code == 0
    # A warning alone is no failure.
    assert doctor_here(env={**env, "SSE_JWT_SECRET": ""}).code == 0


def test_it_ends_with_1_where_something_failed(env: dict[str, str]) -> None:
    assert doctor(f"http://127.0.0.1:{free_port()}", env=env).code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["ftp://events.example.com"],
        ["events.example.com"],
        ["http://user:password@127.0.0.1"],
        ["http://127.0.0.1:port"],
        ["http://127.0.0.1", "--origin", "app.example.com"],
        ["http://127.0.0.1", "--origin", "https://app.example.com/page"],
        ["http://127.0.0.1", "--ca-file", "/nowhere.pem"],
        ["http://127.0.0.1", "--timeout", "0"],
        ["--no-such-option"],
    ],
    ids=lambda words: " ".join(words),
)
def test_it_ends_with_2_where_the_words_are_wrong(env: dict[str, str], words: list[str]) -> None:
    done = doctor_here(*words, env=env)
    assert done.code == 2
    assert done.output == ""
    assert "password" not in done.errors.replace("a password", "")


def test_json_has_each_check_once_in_its_order(env: dict[str, str], server: str) -> None:
    for words, checks in (([], LOCAL), ([server], ALL)):
        done = doctor(*words, "--user", "json", "--json", env=env)
        listed = json.loads(done.output)
        assert [finding["check"] for finding in listed] == checks
        for finding in listed:
            assert list(finding) == ["check", "status", "reason", "mend", "measured"]
            assert finding["status"] in ("pass", "warn", "fail", "skip")
            assert finding["reason"]
            assert (finding["mend"] is not None) or finding["status"] in ("pass", "skip")
        assert done.errors == ""


def test_a_server_that_is_gone_still_has_a_finding_for_each_check(env: dict[str, str]) -> None:
    done = doctor(f"https://localhost:{free_port()}", "--json", env=env)
    assert [finding["check"] for finding in json.loads(done.output)] == ALL


def test_it_is_readable_in_80_columns_and_without_colours(
    env: dict[str, str], server: str, tmp_path: Path
) -> None:
    greedy = "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"
    with nginx(tmp_path, [server], Site(passing=greedy)) as url:
        words = (url, "--user", "narrow", "--timeout", "1", "--origin", "https://x.example")
        done = doctor(*words, env={**env, "COLUMNS": "80"})
    lines = done.output.splitlines()
    assert "\x1b" not in done.output
    assert max(map(len, lines)) <= 80
    # What went wrong is to be seen without colours, and what to write stands on a line of its own.
    assert any(line.startswith("  FAIL stream.buffering ") for line in lines)
    assert any(line.strip() == "proxy_buffering off;" for line in lines)
    assert lines[-1].startswith("2 failed, ")


def test_on_a_terminal_it_shows_what_it_waits_for(env: dict[str, str], server: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "doctor", server, "--user", "at-a-terminal"],
        env={**env, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        # A terminal whose last writer has gone is an error to read from.
        with suppress(OSError):
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
        assert process.stdout is not None
        told = process.stdout.read()
    assert process.returncode == 0
    assert b"waiting for a ping" in shown
    assert b"waiting for a ping" not in told


def test_no_token_and_no_secret_is_ever_printed(
    env: dict[str, str], server: str, tmp_path: Path
) -> None:
    shown = token("discreet")
    # A proxy that hands back what it was asked, as pages of errors do.
    echo = "location / { default_type text/html; return 404 '<p>No $request_uri</p>'; }"
    redirect = "location / { return 302 https://elsewhere.example$request_uri; }"
    outputs = [
        doctor_here(server, "--token", shown, env=env),
        doctor_here(f"{server}/api/sse?token={shown}", env=env),
        doctor_here(f"{server}/api/sse?token={shown}", "--json", env=env),
        doctor_here(env={**env, "REDIS_URL": f"redis://:{OTHER_SECRET}@127.0.0.1:{free_port()}"}),
        doctor_here(env={**env, "REDIS_URL": f"redis//:{OTHER_SECRET}@127.0.0.1:port"}),
    ]
    for lines in (echo, redirect):
        with nginx(tmp_path, [server], Site(location="/x/", lines=lines)) as url:
            outputs.append(doctor_here(f"{url}/api/sse?token={shown}", env=env))
    for done in outputs:
        assert done.output
        text = (done.output + done.errors).replace("\n", "").replace(" ", "")
        for secret in (shown, shown.rpartition(".")[2], SECRET, OTHER_SECRET):
            assert secret not in text


def test_a_token_in_the_address_is_taken_and_hinted_at(examine: Doctor, server: str) -> None:
    found = examine(f"{server}/api/sse?token={token('by-query')}").named("auth.query")
    assert "log_format" in found["mend"]


async def test_nobody_else_gets_anything(env: dict[str, str], server: str) -> None:
    received: list[str] = []

    async def listen(http: httpx.AsyncClient, opened: asyncio.Event) -> None:
        params = {"token": token("bystander")}
        async with http.stream("GET", "/api/sse", params=params) as stream:
            async for line in stream.aiter_lines():
                opened.set()
                if line.startswith("event: "):
                    received.append(line.removeprefix("event: "))

    async with httpx.AsyncClient(base_url=server, timeout=30) as http:
        opened = asyncio.Event()
        listening = asyncio.create_task(listen(http, opened))
        try:
            await asyncio.wait_for(opened.wait(), 10)
            done = await asyncio.to_thread(doctor, server, "--user", "alone", "--json", env=env)
            assert done.code == 0
            health = (await http.get("/api/sse/health")).json()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    assert {*received} <= {"connected", "ping"}
    # And none of its streams is left.
    assert health["connections"]["total"] == 1


def test_another_version_is_a_warning(examine: Doctor, server: str) -> None:
    with patch("tidewire.serve.doctor.nodes.__version__", "99.0.0"):
        found = examine(server).named("nodes.version")
    assert found["measured"]["here"] == "99.0.0"


def test_a_page_of_the_address_itself_needs_no_permission(examine: Doctor, server: str) -> None:
    examined = examine(server, "--origin", server)
    assert examined.wrong == {}
    assert examined.findings["cors.origin"]["status"] == "pass"


def test_a_page_that_is_allowed_is_right(examine: Doctor, server: str) -> None:
    examined = examine(server, "--origin", PAGE)
    assert examined.wrong == {}
    assert examined.findings["cors.headers"]["status"] == "pass"


def test_a_proxy_that_dies_meanwhile_is_told_of_and_nothing_hangs(
    examine: Doctor, tmp_path: Path
) -> None:
    # It takes a connection, and says nothing to it.
    port = free_port()
    code = (
        "import socket, time\n"
        f"listener = socket.create_server(('127.0.0.1', {port}))\n"
        "print('listens on', flush=True)\n"
        "kept = []\n"
        "while True: kept.append(listener.accept())\n"
    )
    python = str(Path(COMMAND).parent / "python")
    with running([python, "-c", code], tmp_path, examine.env) as silent:
        silent.until("listens on")
        found = examine(f"http://127.0.0.1:{port}", timeout=0.5).named("address.reached")
    assert "no answer within" in found["reason"]


def lines_for_nginx(mend: str) -> list[str]:
    """What a mend says to write into the configuration of nginx."""
    _, _, rest = mend.partition("nginx")
    return list(takewhile(lambda line: line.startswith("    "), rest.splitlines()[1:]))


def test_what_is_said_to_mend_nginx_is_right(examine: Doctor, server: str, tmp_path: Path) -> None:
    told = (
        mends.BUFFERING,
        mends.COMPRESSION,
        mends.IDLE,
        mends.AUTHORIZATION,
        mends.LAST_EVENT_ID,
    )
    lines = [line for mend in told for line in lines_for_nginx(mend)]
    assert len(lines) >= len(told)
    # Nothing may be said twice.
    prefix = "\n".join(lines_for_nginx(mends.prefix("/live")))
    site = Site(lines=prefix, passing="\n".join(dict.fromkeys(lines)))
    with nginx(tmp_path, [server], site) as url:
        assert examine(url).wrong == {}
        assert examine(f"{url}/live").wrong == {}
