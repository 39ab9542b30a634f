"""A real nginx before a server, which holds streams back until it is told otherwise: it lets one
byte of them pass each second."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.redisserver import free_port
from tests.waiting import wait_until

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {{
            proxy_pass http://127.0.0.1:{target};
        }}
        location = /api/sse {{
            proxy_pass http://127.0.0.1:{target};
            # Nothing is limited but what is buffered.
            proxy_ignore_headers X-Accel-Buffering;
            limit_rate {rate};
        }}
    }}
}}
"""


class Nginx:
    """Runs until it is ended."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._folder = folder
        self._configure(holds=True)
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self._process = subprocess.Popen([*command, "-e", str(folder / "error.log")])
        wait_until(self._has_started, what=lambda: "nginx starts")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/sse"

    def let_through(self) -> None:
        """From now on streams are passed on as they come."""
        self._configure(holds=False)
        self._process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _has_started(self) -> bool:
        assert self._process.poll() is None, (self._folder / "error.log").read_text()
        return (self._folder / "nginx.pid").exists()

    def _configure(self, *, holds: bool) -> None:
        text = CONFIGURATION.format(
            folder=self._folder,
            port=self.port,
            target=self._target,
            rate=1 if holds else 0,
        )
        (self._folder / "nginx.conf").write_text(text)


@contextmanager
def holding_nginx(folder: Path, target: int) -> Iterator[Nginx]:
    made = Nginx(folder, target)
    try:
        yield made
    finally:
        made.end()
