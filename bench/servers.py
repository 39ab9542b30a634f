"""The servers that are measured: Tidewire and, beside it, its peers and the floor.

Each runs as one process on one core of its own, on a free port of loopback, and is ended with its
block. How each is configured is said in `Kind.about`, which every table prints.
"""

import http.client
import json
import os
import re
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.compiled import compiled
from bench.process import children, running, write_calls
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

COMMAND: Final = str(Path(sys.executable).parent / "tidewire")
SECRET: Final = "a secret of the benches that has 32 bytes or more"
OURS: Final = re.compile("^(TIDEWIRE_|NEXTAUTH_|SSE_JWT_|DRAGONFLY_|REDIS_|RATE_LIMIT_)")
START_SECONDS: Final = 20


@dataclass(frozen=True)
class Wire:
    """How a server is spoken to.

    Attributes:
        stream: the head of the request by which user n opens a stream.
        publish: the head of a request that publishes to all, without its length.
        event: the body of that request; ``@DATA@`` stands for the payload.
        publish_to: the same for one user, whose number ``@USER@`` stands for.
        event_to: likewise.
        batch: what stands before, between and after the events of one request.
    """

    stream: Callable[[int], str]
    publish: str
    event: str
    publish_to: str
    event_to: str
    batch: tuple[str, str, str] = ("", "\n", "")


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    pid: int
    port: int
    wire: Wire
    counters: bool = False
    """Whether it counts its own writes."""

    def writes(self) -> int:
        """How often it has written, so far."""
        if not self.counters:
            return write_calls(self.pid)
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/counters")
        counted = json.loads(connection.getresponse().read())["writes"]
        connection.close()
        return int(counted)


@dataclass(frozen=True)
class Kind:
    """A server that can be started."""

    name: str
    about: str
    start: Callable[[], AbstractContextManager[Server]] = field(repr=False)
    batches: bool = True
    """Whether one request may publish several events."""
    resumes: bool = True
    """Whether a stream that comes back gets what it missed."""


# Tidewire


def tidewire(**settings: str) -> Kind:
    """Tidewire with these settings; the others are as they are by default."""
    told = ", ".join(f"{name}={value}" for name, value in settings.items())
    about = (
        "tidewire serve, not in development mode; every stream has a user and a token of its own; "
        f"access log as by default, to /dev/null; {told or 'rates and all else as by default'}"
    )
    return Kind("Tidewire", about, lambda: _tidewire(settings))


@contextmanager
def _tidewire(settings: Mapping[str, str]) -> Iterator[Server]:
    inherited = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    environment = inherited | {"SSE_JWT_SECRET": SECRET} | dict(settings)
    with running([COMMAND, "serve", "--port", "0"], environment=environment) as process:
        port = None
        while port is None:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "tidewire serve did not start"
            port = re.search(r"http://[0-9.]+:([0-9]+)", line)
        yield Server("Tidewire", process.pid, int(port[1]), _tidewire_wire())


def _tidewire_wire() -> Wire:
    tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
    publisher = tokens.issue("publisher", permissions=["publish"]).token

    def stream(number: int) -> str:
        token = tokens.issue(f"user-{number}").token
        return _get("/api/sse", f"Authorization: Bearer {token}")

    event = '{"type":"notification","data":"@DATA@"'
    publish = _post("/api/realtime/publish", f"Authorization: Bearer {publisher}")
    return Wire(
        stream,
        publish,
        event + "}",
        publish,
        event + ',"metadata":{"userIds":["user-@USER@"]}}',
        ('{"events":[', ",", "]}"),
    )


def _get(path: str, *fields: str) -> str:
    return "\r\n".join(
        (f"GET {path} HTTP/1.1", "Host: localhost", "Accept: text/event-stream", *fields, "", "")
    )


def _post(path: str, *fields: str) -> str:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *fields)
    return "\r\n".join((*lines, ""))


# nchan

NCHAN_CONFIGURATION: Final = """
load_module modules/ngx_nchan_module.so;
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 1m;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    nchan_shared_memory_size 512m;
    nchan_message_buffer_length 100000;
    nchan_message_timeout 1h;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /sub {{ nchan_subscriber eventsource; nchan_channel_id all;
                           nchan_subscriber_first_message newest; }}
        location = /pub {{ nchan_publisher; nchan_channel_id all; }}
        location ~ ^/sub/([a-z0-9-]+)$ {{ nchan_subscriber eventsource; nchan_channel_id $1;
                                         nchan_subscriber_first_message newest; }}
        location ~ ^/pub/([a-z0-9-]+)$ {{ nchan_publisher; nchan_channel_id $1; }}
    }}
}}
"""
"""The keep-alive settings are the publishers'; by default nginx ends a connection after 1,000
requests. A user is a channel."""


@contextmanager
def _nchan(*, apart: bool) -> Iterator[Server]:
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(
            NCHAN_CONFIGURATION.format(
                folder=folder,
                port=port,
                files=_hard_file_limit(),
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        command = ["nginx", "-p", "/usr/share/nginx", "-c", str(configuration)]
        with running(command) as master:
            _wait_for(port)
            while not (workers := children(master.pid)):
                time.sleep(0.02)
            yield Server("nchan", workers[0], port, paths(apart=apart))


def paths(*, apart: bool) -> Wire:
    """Peers in which a user is a path; ``apart``: each stream has a channel of its own."""

    def stream(number: int) -> str:
        return _get(f"/sub/user-{number}" if apart else "/sub")

    return Wire(stream, _post("/pub"), "@DATA@", _post("/pub/user-@USER@"), "@DATA@")


# The peers in Python, and the floor


@contextmanager
def _python_peer(name: str, *, apart: bool) -> Iterator[Server]:
    with _announced(name, [sys.executable, "-m", "bench.peers", name]) as (pid, port):
        yield Server(name, pid, port, paths(apart=apart))


@contextmanager
def _floor(name: str, *arguments: str) -> Iterator[Server]:
    with _announced(name, [compiled("floor"), *arguments]) as (pid, port):
        yield Server(name, pid, port, paths(apart=False), counters=True)


@contextmanager
def _announced(name: str, command: list[str]) -> Iterator[tuple[int, int]]:
    """A server whose first line is where it listens."""
    with running(command, environment=dict(os.environ)) as process:
        assert process.stdout is not None
        port = re.search(r":([0-9]+)$", process.stdout.readline())
        assert port, f"{name} did not start"
        yield process.pid, int(port[1])


def nchan(*, apart: bool = False) -> Kind:
    about = (
        "nginx with libnginx-mod-nchan, one worker, access log off, no authentication, messages "
        "kept in memory"
    )
    return Kind("nchan", about, lambda: _nchan(apart=apart), batches=False)


def sse_starlette(*, apart: bool = False) -> Kind:
    about = (
        "EventSourceResponse over a queue for each stream; uvicorn with uvloop and httptools, "
        "access log off, no authentication, no log"
    )
    name = "sse-starlette"
    return Kind(name, about, lambda: _python_peer(name, apart=apart), resumes=False)


def starlette(*, apart: bool = False) -> Kind:
    about = (
        "StreamingResponse over a queue for each stream, events encoded once; served as "
        "sse-starlette is"
    )
    name = "Starlette"
    return Kind(name, about, lambda: _python_peer(name, apart=apart), resumes=False)


FLOOR: Final = Kind(
    "floor",
    "bench/native/floor.c: C, epoll, no authentication, no log, one write for each stream and "
    "event, of as many bytes as Tidewire's events have",
    lambda: _floor("floor"),
    resumes=False,
)
JOINING_FLOOR: Final = Kind(
    "joining floor",
    "the same, with one write for each stream and batch",
    lambda: _floor("joining floor", "join"),
    resumes=False,
)


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _hard_file_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.02)
        else:
            return
