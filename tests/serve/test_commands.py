"""The commands as users run them, with real processes and curl."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.client.elsewhere import ACCEPTED, NONE, Answer, elsewhere
from tests.serve.conftest import DevServer
from tests.serve.processes import COMMAND, Process, running, until, url_in
from tests.waiting import PATIENCE
from tidewire.client.errors import Unreachable
from tidewire.core.target import EVERYONE
from tidewire.serve.commands.publish import publish as publish_by
from tidewire.serve.commands.serve import program

ID = re.compile(r"^id: (.+)$", re.MULTILINE)


def tidewire(
    server: DevServer, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments, "--url", server.url],
        env=server.env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def publish(server: DevServer, *arguments: str) -> str:
    done = tidewire(server, "publish", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def curl(server: DevServer, path: str, *options: str) -> Iterator[Process]:
    with running(
        ["curl", "-sN", *options, server.url + path], server.folder, server.env
    ) as process:
        yield process


def events(output: str) -> list[dict[str, object]]:
    """The log events in what curl printed."""
    envelopes = [
        json.loads(line.removeprefix("data: "))
        for line in output.splitlines()
        if line.startswith("data: ")
    ]
    return [envelope for envelope in envelopes if "id" in envelope]


def test_curl_shows_connected_at_once(dev_server: DevServer) -> None:
    with curl(dev_server, "/api/sse?userId=alice") as stream:
        stream.until("event: connected\n", seconds=2)


def test_what_is_published_arrives_only_where_it_may(dev_server: DevServer) -> None:
    with (
        curl(dev_server, "/api/sse?userId=alice") as alice,
        curl(dev_server, "/api/sse?userId=bob&roles=EDITOR") as bob,
    ):
        alice.until("connected")
        bob.until("connected")
        to_user = publish(dev_server, "notification", '{"title":"one"}', "--user", "alice")
        to_role = publish(dev_server, "notification", '{"title":"two"}', "--role", "EDITOR")
        to_all = publish(dev_server, "notification", '{"title":"three"}')
        alice.until(to_all)
        bob.until(to_all)
        assert [event["id"] for event in events(alice.output)] == [to_user, to_all]
        assert [event["id"] for event in events(bob.output)] == [to_role, to_all]


def test_fifty_events_missed_come_back_on_either_transport(dev_server: DevServer) -> None:
    with curl(dev_server, "/api/sse?userId=alice") as stream:
        stream.until("connected")
        publish(dev_server, "notification", '{"n":-1}')
        stream.until('"n":-1')
        cursor = ID.findall(stream.output)[-1]
        stream.stop(signal.SIGKILL)
    lines = "".join(f'{{"n":{n}}}\n' for n in range(50))
    done = tidewire(dev_server, "publish", "notification", "-", stdin=lines)
    ids = done.stdout.split()
    assert len(ids) == 50, done.stderr

    header = ("-H", f"Last-Event-ID: {cursor}")
    with curl(dev_server, "/api/sse?userId=alice", *header) as stream:
        stream.until(ids[-1])
        marker = publish(dev_server, "notification", '{"n":"end"}')
        stream.until(marker)
        assert [event["id"] for event in events(stream.output)] == [*ids, marker]
        assert '"resumed":true' in stream.output

    polled: list[str] = []
    at, from_polling = cursor, ""
    with httpx.Client(base_url=dev_server.url) as http:
        while True:
            page = http.get(
                "/api/realtime/polling", params={"userId": "alice", "since": at, "limit": 7}
            ).json()
            polled += [event["id"] for event in page["events"]]
            assert len(page["events"]) == 7 or not page["hasMore"]
            assert page["gap"] is None
            at = page["cursor"]
            if len(polled) == 21:
                from_polling = at
            if not page["hasMore"]:
                break
    assert polled == [*ids, marker]

    header = ("-H", f"Last-Event-ID: {from_polling}")
    with curl(dev_server, "/api/sse?userId=alice", *header) as stream:
        stream.until(marker)
        assert [event["id"] for event in events(stream.output)] == [*ids[21:], marker]


def test_tail_prints_events_as_json_and_goes_on_after_a_restart(
    tmp_path: Path, env: dict[str, str]
) -> None:
    env = {**env, "SSE_JWT_SECRET": "a secret that outlives the server it signs for"}
    serve = [COMMAND, "serve", "--dev", "--port"]
    with running([*serve, "0"], tmp_path, env) as first:
        url = until(lambda: re.search(r"http://[0-9.]+:([0-9]+)", first.output))
        server = DevServer(first, url[0], env, tmp_path)
        streams = f"{url[0]}/api/sse"
        with running([COMMAND, "tail", "--json", "--url", streams], tmp_path, env) as tail:
            # It prints nothing until something comes; publish until it is there.
            until(lambda: publish(server, "tick", "1") and events_of(tail))
            first.stop()
            with running([*serve, url[1]], tmp_path, env) as second:
                second.until("listens on", seconds=20)
                server = DevServer(second, url[0], env, tmp_path)
                tail.until('"reason": "epoch"', seconds=20)
                last = publish(server, "tick", "2")
                tail.until(last)


def events_of(tail: Process) -> list[str]:
    return [line for line in tail.output.splitlines() if '"type": "tick"' in line]


def test_publishing_whole_events_from_standard_input_keeps_their_order(
    dev_server: DevServer,
) -> None:
    whole = [{"type": "step", "data": n, "metadata": {"userIds": ["alice"]}} for n in range(1200)]
    stdin = "".join(json.dumps(event) + "\n" for event in whole)
    done = tidewire(dev_server, "publish", "-", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert "1,200 published" in done.stderr
    seen: list[object] = []
    at = "earliest"
    with httpx.Client(base_url=dev_server.url) as http:
        for _ in range(3):
            page = http.get(
                "/api/realtime/polling", params={"userId": "alice", "since": at, "limit": 500}
            ).json()
            seen += [event["data"] for event in page["events"]]
            at = page["cursor"]
    assert seen == list(range(1200))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("publish", "ping"), "reserved"),
        (("publish", "notification", "{oops"), "DATA is not JSON"),
        (("publish", "notification", "1", "--user", ""), "metadata.userIds"),
        (("publish", "notification", "1", "--priority", "urgent"), "priority"),
        (("publish", "-", "--user", "alice"), "each line is a whole event"),
        (("tail", "--since", "yesterday"), "not a cursor"),
        (("tail", "--token", "nonsense"), "AUTH_INVALID_TOKEN"),
    ],
)
def test_a_wrong_command_line_is_answered_in_a_line_and_not_with_a_traceback(
    dev_server: DevServer, arguments: tuple[str, ...], told: str
) -> None:
    done = tidewire(dev_server, *arguments)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def publish_here(url: str, *, deadline: float = PATIENCE) -> None:
    """As the command does it, within another time."""
    publish_by(
        "tick",
        "1",
        target=EVERYONE,
        priority="normal",
        source="here",
        url=url,
        token="any",
        deadline=deadline,
    )


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach() -> None:
    with pytest.raises(Unreachable) as raised:
        publish_here("http://127.0.0.1:9", deadline=0.5)
    assert raised.value.title == "The server cannot be reached"
    assert "may have been published" not in raised.value.detail


def test_what_may_have_been_published_is_said_to_be() -> None:
    with elsewhere(NONE) as silent, pytest.raises(Unreachable) as raised:
        publish_here(silent.url, deadline=0.5)
    assert raised.value.detail.endswith("It may have been published all the same.")


def tick(url: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Publishes an event by the command."""
    return subprocess.run(
        [COMMAND, "publish", "tick", "1", "--url", url, "--token", "any"],
        env=env,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_a_server_that_takes_longer_to_answer_than_is_waited_is_asked_again_what_became_of_it(
    env: dict[str, str],
) -> None:
    with elsewhere(NONE, ACCEPTED) as slow:
        done = tick(slow.url, env)
    assert (done.returncode, done.stdout) == (0, "1-1-abcd\n"), done.stderr
    assert len(slow.keys) == 2
    assert len({*slow.keys}) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            Answer(404),
            "The server refused. HTTP 404: What answers at {} is another server than Tidewire.",
        ),
        (
            Answer(301, headers={"Location": "https://example.com/publish?token=x"}),
            "The server refused. HTTP 301: {} leads to https://example.com/publish, and nothing",
        ),
    ],
)
def test_another_server_at_the_address_is_said_to_be_one_and_not_asked_again(
    env: dict[str, str], answer: Answer, told: str
) -> None:
    with elsewhere(answer) as other:
        done = tick(other.url, env)
    assert (done.returncode, done.stdout) == (1, "")
    assert told.format(f"{other.url}/api/realtime/publish") in done.stderr
    assert other.requests == ["POST /api/realtime/publish"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/api/realtime/publish"),
        ("/", "/api/realtime/publish"),
        ("/api/sse", "/api/realtime/publish"),
        ("/api/realtime/sse/", "/api/realtime/publish"),
        ("/app/", "/app/api/realtime/publish"),
        ("/app/api/sse", "/app/api/realtime/publish"),
    ],
)
def test_the_address_is_that_of_a_server_where_it_is_mounted_or_of_its_streams(
    path: str, asked: str
) -> None:
    with elsewhere(ACCEPTED) as server:
        publish_here(server.url + path)
    assert server.requests == [f"POST {asked}"]


def test_a_standard_input_that_is_closed_is_said_to_be(env: dict[str, str]) -> None:
    command = f"exec {shlex.quote(COMMAND)} publish tick - --token any <&-"
    done = subprocess.run(
        ["sh", "-c", command], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Standard input is closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_checking_what_is_published_loads_no_framework() -> None:
    code = "import sys, tidewire.serve.commands.publish, tidewire.http.bodies; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "tidewire" in loaded
    assert not loaded & {"fastapi", "starlette", "uvicorn"}


def test_what_is_published_while_the_server_is_away_is_tried_again_and_made_once(
    tmp_path: Path, env: dict[str, str]
) -> None:
    env = {**env, "SSE_JWT_SECRET": "a secret that outlives the server it signs for"}
    serve = [COMMAND, "serve", "--dev", "--port"]
    with running([*serve, "0"], tmp_path, env) as first:
        url = url_in(first)
        first.stop()
    with running([COMMAND, "publish", "tick", "1", "--url", url], tmp_path, env) as publishing:
        publishing.until("trying again in")
        with running([*serve, url.rpartition(":")[2]], tmp_path, env) as second:
            second.until("listens on")
            assert publishing.popen.wait(PATIENCE) == 0
            with httpx.Client(base_url=url) as http:
                query = {"userId": "alice", "since": "earliest"}
                page = http.get("/api/realtime/polling", params=query).json()
    assert [event["id"] for event in page["events"]] == [publishing.output.split()[-1]]


def test_ids_are_printed_as_lines_come_and_not_only_at_their_end(dev_server: DevServer) -> None:
    command = [COMMAND, "publish", "tick", "-", "--url", dev_server.url]
    with subprocess.Popen(
        command, env=dev_server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as publishing:
        assert publishing.stdin is not None
        assert publishing.stdout is not None
        for n in range(3):
            publishing.stdin.write(f"{n}\n")
            publishing.stdin.flush()
            assert publishing.stdout.readline().count("-") == 2
        publishing.stdin.close()
        assert publishing.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("type_", "line", "told"),
    [
        ("-", b'{"type":"ping"}', "Line 3: The type 'ping' is reserved"),
        ("-", b'{"type":"t","id":"1"}', "Line 3: 'id' is given by the server"),
        ("-", b'{"type":"t","user":"alice"}', "Line 3: 'user' is not a field of an event"),
        ("-", b'{"events":[{"type":"t"}]}', "Line 3: 'events' is not a field of an event"),
        ("-", b"[]", "Line 3: "),
        ("-", b'{"type":"t"', "Line 3 is not JSON"),
        ("tick", b"oops", "Line 3 is not JSON"),
        ("tick", b"\xff", "Line 3 is not UTF-8"),
        ("tick", b"[" * 200_000, "Line 3 is not JSON"),
        ("-", b"[" * 977 + b"]" * 977, "Line 3 is not JSON"),
        ("-", b'{"type":"t","data":%s1%s}' % (b"[" * 977, b"]" * 977), "Line 3 is not JSON"),
        ("tick", b"NaN", "Line 3: The event cannot be written as JSON"),
    ],
)
def test_a_line_that_is_no_event_is_named_and_nothing_that_came_with_it_is_published(
    dev_server: DevServer, type_: str, line: bytes, told: str
) -> None:
    good = b'{"type":"t"}\n' if type_ == "-" else b"1\n"
    words = [type_] if type_ == "-" else [type_, "-"]
    # Of a file all is read at once.
    given = dev_server.folder / "lines"
    given.write_bytes(good + b"\n" + line + b"\n" + good)
    with given.open("rb") as stdin:
        done = subprocess.run(
            [COMMAND, "publish", *words, "--url", dev_server.url],
            env=dev_server.env,
            stdin=stdin,
            capture_output=True,
            timeout=30,
            check=False,
        )
    complaint = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert told in complaint
    assert "Traceback" not in complaint


def test_token_prints_a_token_that_opens_a_stream(dev_server: DevServer) -> None:
    done = tidewire(dev_server, "token", "--user", "carol", "--role", "EDITOR")
    bearer = ("-H", f"Authorization: Bearer {done.stdout.strip()}")
    with curl(dev_server, "/api/sse", *bearer) as stream:
        stream.until('"authMethod":"bearer_token"')
        marker = publish(dev_server, "notification", "1", "--role", "EDITOR")
        stream.until(marker)


def test_without_a_secret_the_server_refuses_to_start_and_names_the_setting(
    tmp_path: Path, env: dict[str, str]
) -> None:
    with running([COMMAND, "serve", "--port", "0"], tmp_path, env) as process:
        assert process.popen.wait(20) == 2
        assert "SSE_JWT_SECRET" in process.output
        assert "--dev" in process.output
        assert "Traceback" not in process.output


def test_an_application_that_is_not_there_is_said_not_to_be(
    tmp_path: Path, env: dict[str, str]
) -> None:
    command = [COMMAND, "serve", "nowhere:app", "--port", "0"]
    with running(command, tmp_path, env, cwd=tmp_path) as process:
        assert process.popen.wait(20) == 2
        assert 'No such application. Could not import module "nowhere".' in process.output
        assert "Traceback" not in process.output


def test_development_mode_does_not_listen_beyond_loopback_unless_it_is_meant(
    tmp_path: Path, env: dict[str, str]
) -> None:
    command = [COMMAND, "serve", "--dev", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104
    with running(command, tmp_path, env) as process:
        assert process.popen.wait(20) == 2
        assert "--dev-allow-remote" in process.output


def test_a_port_that_is_taken_is_said_to_be(dev_server: DevServer) -> None:
    port = dev_server.url.rpartition(":")[2]
    command = [COMMAND, "serve", "--dev", "--port", port]
    with running(command, dev_server.folder, dev_server.env) as process:
        assert process.popen.wait(20) == 2
        assert "Address already in use" in process.output


def test_a_misspelt_setting_is_said_to_do_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    env["TIDEWIRE_PING_INTERVALL"] = "5"
    with running([COMMAND, "serve", "--dev", "--port", "0"], tmp_path, env) as process:
        assert "TIDEWIRE_PING_INTERVALL is not a setting" in process.until("listens on", 20)


def test_the_development_secret_is_readable_by_its_user_alone_and_goes_with_the_server(
    dev_server: DevServer,
) -> None:
    (secret,) = dev_server.folder.glob("tidewire-*/*.secret")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert secret.read_text() not in dev_server.process.output
    dev_server.process.stop(signal.SIGINT)
    assert not secret.exists()


def test_a_folder_for_secrets_that_others_can_read_is_refused(
    tmp_path: Path, env: dict[str, str]
) -> None:
    (tmp_path / f"tidewire-{os.getuid()}").mkdir(mode=0o755)
    with running([COMMAND, "serve", "--dev", "--port", "0"], tmp_path, env) as process:
        assert process.popen.wait(20) == 2
        assert "mode 0700" in process.output


def test_the_version_is_printed() -> None:
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"tidewire [0-9]+\.[0-9]+\.[0-9]+\n", done.stdout)


@pytest.mark.parametrize(
    ("inside", "written"),
    [("", ".venv/bin/tidewire"), (".venv", "bin/tidewire"), (".venv/bin", None)],
)
def test_the_way_to_the_command_is_one_that_a_shell_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, written: str | None
) -> None:
    command = tmp_path / ".venv/bin/tidewire"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\necho here\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(command.parent / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path / inside)
    assert program() == (str(command) if written is None else written)
    assert subprocess.check_output(["sh", "-c", program()], text=True) == "here\n"


def test_what_a_server_says_when_it_starts_works_as_it_stands(
    dev_server: DevServer, env: dict[str, str]
) -> None:
    says = dev_server.process.until("The endpoints")
    pages = [words.split()[-1] for words in says.splitlines() if words.endswith(("sse", "docs"))]
    assert [page.removeprefix(dev_server.url) for page in pages] == ["/debug/sse", "/docs"]
    for page in pages:
        assert httpx.get(page).headers["content-type"] == "text/html; charset=utf-8"

    (command,) = (line for line in says.splitlines() if "Publish to it" in line)
    done = subprocess.run(
        ["sh", "-c", command.partition("Publish to it")[2]],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (
        httpx.get(f"{dev_server.url}/api/realtime/polling?userId=alice&since=earliest").json()[
            "events"
        ][0]["id"]
        == done.stdout.strip()
    )
