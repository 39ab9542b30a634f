"""`tidewire serve --workers`: several processes on one port, and the one that looks after them."""

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serve.processes import COMMAND, Process, running, url_in
from tests.serve.streams import open_stream
from tests.waiting import wait_until

PLAIN = """
import asyncio
import os
import time
from pathlib import Path

from tidewire.core.errors import ConfigurationError

with open("starts", "a") as file:
    file.write(f"{os.getpid()}\\n")
mode = Path("mode").read_text() if Path("mode").exists() else ""
if mode == "die":
    os._exit(7)
if mode == "refuse":
    raise ConfigurationError("The application lacks a setting.")
if mode == "patient":
    from tidewire.serve import server

    server.FIRST_REQUEST_SECONDS = 60


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if mode == "slow":
            Path("slow").touch()
            await asyncio.sleep(3600)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = os.environ.get("TIDEWIRE_LOG_URL", "") if scope["path"] == "/log" else str(os.getpid())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
    if scope["path"] == "/hang":
        await asyncio.sleep(0.1)
        time.sleep(3600)
"""
LIVE = """
from tidewire import Settings, Tidewire
from tidewire.core.clock import SystemClock
from tidewire.logs import Retention, open_log

with open("starts", "a") as file:
    import os
    file.write(f"{os.getpid()}\\n")

# Each worker has its own, which does not matter where nothing is published.
log = open_log("memory:", retention=Retention(100, 60, 100_000), clock=SystemClock())
app = Tidewire(dev=True, log=log).app
"""
SUPERVISE = """
import sys

from tidewire.serve.application import Application
from tidewire.serve.listening import bind
from tidewire.serve.supervisor import Patience
from tidewire.serve.workers import supervise

supervise(
    Application("demo:app"),
    bind("127.0.0.1", 0),
    2,
    announce=lambda url: print("listens on", url, flush=True),
    patience=Patience(**{name: float(value) for name, value in zip(*[iter(sys.argv[1:])] * 2)}),
)
"""
SERVE = (COMMAND, "serve", "demo:app", "--port", "0", "--workers", "2")


@dataclass
class Fleet:
    """A parent and its workers, as they tell of themselves."""

    process: Process
    folder: Path

    @property
    def started(self) -> list[int]:
        """Every process that has loaded the application, in order."""
        with suppress(FileNotFoundError):
            return [int(line) for line in (self.folder / "starts").read_text().split()]
        return []

    @property
    def alive(self) -> list[int]:
        return [number for number in self.started if is_alive(number)]

    @property
    def url(self) -> str:
        return url_in(self.process)

    @property
    def serving(self) -> int:
        """How many have said that they serve, ever."""
        return len(re.findall(r"worker \d+ \(process \d+\) serves", self.process.output))

    def until_serving(self, count: int, seconds: float = 30) -> None:
        wait_until(lambda: self.serving >= count, seconds)

    def send(self, sign: int) -> None:
        self.process.popen.send_signal(sign)

    def set_mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "demo.py").write_text(PLAIN)
    return folder


@pytest.fixture
def shared(env: dict[str, str]) -> dict[str, str]:
    """Settings that name a log which processes share; the applications here never use it."""
    return {**env, "REDIS_URL": "redis://127.0.0.1:9"}


@contextmanager
def fleet(folder: Path, env: dict[str, str], command: Sequence[str] = SERVE) -> Iterator[Fleet]:
    with running(command, folder, env, cwd=folder) as process:
        try:
            yield Fleet(process, folder)
        finally:
            with suppress(ProcessLookupError):
                # Also workers whose parent has ended.
                os.killpg(process.popen.pid, signal.SIGKILL)


def patient(**seconds: float) -> list[str]:
    """The command of a parent whose `Patience` is another."""
    words = [word for name, value in seconds.items() for word in (name, str(value))]
    return [sys.executable, "-c", SUPERVISE, *words]


@contextmanager
def live_fleet(folder: Path, env: dict[str, str]) -> Iterator[Fleet]:
    (folder / "demo.py").write_text(LIVE)
    with fleet(folder, env, [*SERVE, "--dev"]) as workers:
        workers.until_serving(2)
        yield workers


@pytest.fixture
def plain(folder: Path, shared: dict[str, str]) -> Iterator[Fleet]:
    with fleet(folder, shared) as workers:
        workers.until_serving(2)
        yield workers


def is_alive(number: int) -> bool:
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def get(url: str, path: str = "/") -> str:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()
    finally:
        connection.close()


def pids(url: str, count: int) -> set[int]:
    """The processes that answer, once so many have."""
    found: set[int] = set()

    def ask() -> bool:
        found.update(int(get(url)) for _ in range(20))
        return len(found) >= count

    wait_until(ask)
    return found


@dataclass
class Traffic:
    """Requests one after the other from several threads, each on a connection of its own."""

    url: str
    answered: list[str] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)

    def __enter__(self) -> "Traffic":
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.001):
            try:
                self.answered.append(get(self.url, "/livez"))
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(error)


def test_workers_share_a_port_and_are_announced_once(plain: Fleet) -> None:
    assert pids(plain.url, 2) == set(plain.started)
    assert plain.process.popen.pid not in plain.started
    assert plain.process.output.count("listens on") == 1


def test_killed_workers_come_back(plain: Fleet) -> None:
    first = set(plain.started)
    for number in first:
        os.kill(number, signal.SIGKILL)
    plain.until_serving(4)
    assert len(plain.alive) == 2
    assert pids(plain.url, 2) == set(plain.alive)
    assert not first & set(plain.alive)
    assert "signal SIGKILL" in plain.process.output
    assert plain.process.output.count("listens on") == 1


def test_a_worker_that_somebody_else_ends_is_replaced(plain: Fleet) -> None:
    (one, other) = plain.started
    os.kill(one, signal.SIGTERM)
    plain.until_serving(3)
    assert set(plain.alive) == {other, plain.started[-1]}


def test_a_worker_whose_event_loop_is_blocked_is_killed_and_replaced(
    folder: Path, shared: dict[str, str]
) -> None:
    with fleet(folder, shared, patient(silence=1)) as workers:
        workers.until_serving(2)
        hung = int(get(workers.url, "/hang"))
        workers.process.until("does not answer for 1 s, and is killed")
        workers.until_serving(3)
        assert hung not in workers.alive
        assert len(pids(workers.url, 2)) == 2


def test_sighup_replaces_each_worker_and_no_request_is_refused(plain: Fleet) -> None:
    first = set(plain.started)
    url = plain.url
    with Traffic(url) as traffic:
        for round_ in (1, 2):
            before = len(traffic.answered)
            plain.send(signal.SIGHUP)
            wait_until(lambda n=round_: plain.process.output.count("worker was replaced") == n, 40)  # type: ignore[misc]
            assert len(traffic.answered) > before + 50
    assert traffic.failed == []
    assert not first & set(map(int, traffic.answered[-20:]))
    assert len(plain.started) == 6
    assert set(plain.alive) == set(plain.started[-2:])


def test_who_was_accepted_and_has_not_asked_yet_is_answered_when_its_worker_is_replaced(
    folder: Path, shared: dict[str, str]
) -> None:
    # A moment is all that a worker gives; not so long that this machine is always in time.
    (folder / "mode").write_text("patient")
    with fleet(folder, shared) as workers:
        workers.until_serving(2)
        port = urlsplit(workers.url).port or 0
        first = workers.started
        (listening,) = inodes(port, LISTENS)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as late:
            (accepted,) = wait_until(lambda: inodes(port, IS_OPEN, late.getsockname()[1]))
            (mine,) = [number for number in first if has_socket(number, accepted)]
            os.kill(mine, signal.SIGTERM)
            wait_until(lambda: not has_socket(mine, listening))
            assert has_socket(mine, accepted)
            late.sendall(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n")
            assert late.recv(100).startswith(b"HTTP/1.1 200 ")


LISTENS, IS_OPEN = "0A", "01"
"""States of a socket, as the system writes them."""


def inodes(port: int, state: str, peer: int = 0) -> list[str]:
    """The sockets of processes at a port of this machine, in a state and with a peer's port."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, is_in, *_, inode = line.split()[:10]
        ports = [int(address.rpartition(":")[2], 16) for address in (local, remote)]
        # Those that wait to be accepted are of no process yet.
        if ports == [port, peer] and is_in == state and inode != "0":
            found.append(inode)
    return found


def has_socket(number: int, inode: str) -> bool:
    """Whether a process has a socket open."""
    for descriptor in Path(f"/proc/{number}/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(descriptor.readlink()) == f"socket:[{inode}]":
                return True
    return False


def test_a_restart_into_a_wrong_configuration_is_given_up_and_the_old_workers_stay(
    plain: Fleet,
) -> None:
    first = plain.started
    plain.set_mode("refuse")
    plain.send(signal.SIGHUP)
    told = plain.process.until("The restart is given up")
    assert "The application lacks a setting" in told
    assert plain.alive == first
    assert pids(plain.url, 2) == set(first)


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_in_two_seconds_with_a_thousand_streams(
    folder: Path, shared: dict[str, str], sign: int
) -> None:
    with live_fleet(folder, shared) as workers:
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(
                    open_stream(workers.url, f"/api/sse?userId=user-{n}")
                )
                for n in range(1000)
            ]
            await asyncio.gather(*(stream.until(b"event: connected") for stream in streams))
            stopping = asyncio.create_task(asyncio.to_thread(workers.process.stop, sign))
            await asyncio.gather(*(stream.to_the_end() for stream in streams))
            took = await stopping
        assert took < 2
        assert all(stream.reconnect_after >= 250 for stream in streams)
        assert all(bytes(stream.received).endswith(b"0\r\n\r\n") for stream in streams)
        assert workers.alive == []
        assert workers.process.popen.returncode == (130 if sign == signal.SIGINT else 0)
        assert "Traceback" not in workers.process.output


async def test_ctrl_c_in_a_terminal_reaches_all_and_streams_are_told_all_the_same(
    folder: Path, shared: dict[str, str]
) -> None:
    with live_fleet(folder, shared) as workers:
        async with open_stream(workers.url, "/api/sse?userId=alice") as stream:
            await stream.until(b"event: connected")
            os.killpg(workers.process.popen.pid, signal.SIGINT)
            await stream.to_the_end()
            assert stream.reconnect_after == 250
        assert await asyncio.to_thread(workers.process.popen.wait, 20) == 130
        assert workers.alive == []
        assert "Traceback" not in workers.process.output


@pytest.mark.parametrize(
    ("prefix", "ends"), [((), True), (("nohup",), False)], ids=["in a terminal", "under nohup"]
)
def test_closing_the_terminal_ends_all_unless_it_was_not_to(
    folder: Path, shared: dict[str, str], prefix: tuple[str, ...], ends: bool
) -> None:
    ours, theirs = os.openpty()
    with (folder / "output").open("wb") as output:
        popen = subprocess.Popen(
            ["setsid", "--ctty", *prefix, *SERVE],
            stdin=theirs,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=shared,
            # Whoever runs the tests may have been told to ignore it, as under nohup.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
    os.close(theirs)

    def told() -> str:
        return (folder / "output").read_text()

    try:
        wait_until(lambda: told().count("serves") == 2)
        os.close(ours)
        if ends:
            popen.wait(20)
        else:
            # The parent hears of this after it has heard of the terminal.
            os.kill(int((folder / "starts").read_text().split()[0]), signal.SIGKILL)
            wait_until(lambda: told().count("serves") == 3)
            assert "replaced" not in told()
            # The next one is again a request to restart.
            popen.send_signal(signal.SIGHUP)
            wait_until(lambda: "every worker was replaced" in told(), 40)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


async def test_a_rolling_restart_sends_streams_away_and_they_may_come_back_at_once(
    folder: Path, shared: dict[str, str]
) -> None:
    with live_fleet(folder, shared) as workers:
        url = workers.url
        async with open_stream(url, "/api/sse?userId=alice") as stream:
            await stream.until(b"event: connected")
            workers.send(signal.SIGHUP)
            await stream.to_the_end()
            assert stream.reconnect_after == 250
            async with open_stream(url, "/api/sse?userId=alice") as again:
                await again.until(b"event: connected")
        await asyncio.to_thread(workers.process.until, "every worker was replaced", 30)


async def test_workers_whose_parent_was_killed_tell_their_streams_and_end(
    folder: Path, shared: dict[str, str]
) -> None:
    with live_fleet(folder, shared) as workers:
        async with open_stream(workers.url, "/api/sse?userId=alice") as stream:
            await stream.until(b"event: connected")
            workers.send(signal.SIGKILL)
            await stream.to_the_end()
            assert stream.reconnect_after == 250
        await asyncio.to_thread(wait_until, lambda: not workers.alive)


def test_workers_that_always_die_at_start_are_tried_again_ever_more_rarely_until_they_serve(
    folder: Path, shared: dict[str, str]
) -> None:
    (folder / "mode").write_text("die")
    with fleet(folder, shared, patient(backoff=0.2)) as workers:
        workers.process.until("exit code 7. Another is started in 0.2 s")
        workers.process.until("Another is started in 0.4 s")
        assert "listens on" not in workers.process.output
        workers.set_mode("")
        workers.until_serving(2)
        assert workers.process.output.count("listens on") == 1


def test_while_workers_die_at_start_the_parent_can_be_stopped(
    folder: Path, shared: dict[str, str]
) -> None:
    (folder / "mode").write_text("die")
    with fleet(folder, shared, patient(backoff=30)) as workers:
        workers.process.until("Another is started in 30.0 s")
        workers.process.stop()
        assert workers.process.popen.returncode == 0
        assert workers.alive == []


def test_while_the_application_is_still_starting_the_parent_can_be_stopped(
    folder: Path, shared: dict[str, str]
) -> None:
    (folder / "mode").write_text("slow")
    with fleet(folder, shared, patient(leave=0.5)) as workers:
        wait_until((folder / "slow").exists)
        workers.process.stop()
        assert workers.alive == []


def test_a_wrong_configuration_is_told_once_and_ends_all_with_code_two(
    folder: Path, shared: dict[str, str]
) -> None:
    (folder / "mode").write_text("refuse")
    with fleet(folder, shared) as workers:
        assert workers.process.popen.wait(20) == 2
        assert workers.process.output.count("The application lacks a setting.") == 1
        assert "Traceback" not in workers.process.output


def test_an_application_that_does_not_exist_is_told_once(
    folder: Path, shared: dict[str, str]
) -> None:
    command = [COMMAND, "serve", "nowhere:app", "--port", "0", "--workers", "2"]
    with fleet(folder, shared, command) as workers:
        assert workers.process.popen.wait(20) == 2
        assert workers.process.output.count("nowhere") == 1
        assert "Traceback" not in workers.process.output


def test_a_log_in_memory_is_refused_with_what_to_set(folder: Path, env: dict[str, str]) -> None:
    for name in ("DRAGONFLY_URL", "REDIS_URL"):
        env.pop(name, None)
    with fleet(folder, env) as workers:
        assert workers.process.popen.wait(20) == 2
        for what in ("--log redis://", "TIDEWIRE_LOG_URL", "REDIS_URL"):
            assert what in workers.process.output
        assert workers.started == []


def test_reloading_and_several_workers_exclude_each_other(
    folder: Path, shared: dict[str, str]
) -> None:
    with fleet(folder, shared, [*SERVE, "--reload"]) as workers:
        assert workers.process.popen.wait(20) == 2
        assert "--reload" in workers.process.output


def test_one_worker_needs_no_shared_log_and_no_parent(folder: Path, env: dict[str, str]) -> None:
    with fleet(folder, env, [*SERVE[:-1], "1"]) as workers:
        assert int(get(workers.url)) == workers.process.popen.pid


def test_the_log_of_the_command_line_is_that_of_the_application_in_each_worker(
    folder: Path, env: dict[str, str]
) -> None:
    env["TIDEWIRE_LOG_URL"] = "memory:"
    with fleet(folder, env, [*SERVE, "--log", "redis://127.0.0.1:9"]) as workers:
        assert get(workers.url, "/log") == "redis://127.0.0.1:9"
