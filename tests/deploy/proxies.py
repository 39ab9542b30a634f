"""Real proxies with the files that are shipped: only addresses, ports, certificates and paths are
others."""

import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deploy.certificate import Certificate
from tests.redisserver import free_port
from tests.serve.processes import Process, running
from tests.waiting import wait_until

DEPLOY: Final = Path(__file__).parents[2] / "deploy"

CONNECTIONS: Final = 8_000
"""What a proxy may have open: fewer files than the limit of a modest machine."""


@dataclass(frozen=True)
class Site:
    """What the shipped files cannot know.

    Attributes:
        folder: for files of the proxy.
        port: where it listens.
        redirecting: the port of plain HTTP beside it.
        certificate: for `localhost`.
        nodes: the ports of the servers behind it.
    """

    folder: Path
    port: int
    redirecting: int
    certificate: Certificate
    nodes: Sequence[int]

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{node}" for node in self.nodes]


@dataclass(frozen=True)
class Prepared:
    """Files that are written, and what is done with them.

    Attributes:
        check: the command by which the proxy looks at its own file.
        run: the one that runs it.
        log: where its access log goes; None = with what it prints.
    """

    check: list[str]
    run: list[str]
    log: Path | None = None


@dataclass(frozen=True)
class Kind:
    """A proxy that can be started."""

    name: str
    prepare: Callable[[Site], Prepared]
    scheme: str = "https"


class Proxy:
    """A proxy that runs."""

    def __init__(self, kind: Kind, site: Site, process: Process, log: Path) -> None:
        host = "localhost" if kind.scheme == "https" else "127.0.0.1"
        self.url = f"{kind.scheme}://{host}:{site.port}"
        self.process = process
        self._log = log
        self._secure = kind.scheme == "https"
        self._certificate = site.certificate

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How a client speaks to it; None = plainly."""
        return self._certificate.trusted() if self._secure else None

    @property
    def log(self) -> str:
        """Its access log; with it, what else it prints where that is the same file."""
        return self._log.read_text(errors="replace")


@contextmanager
def standing(
    kind: Kind, nodes: Sequence[int], certificate: Certificate, folder: Path, port: int = 0
) -> Iterator[Proxy]:
    """A proxy that runs and listens, before servers that need not be there yet."""
    site = Site(folder, port or free_port(), free_port(), certificate, nodes)
    prepared = kind.prepare(site)
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(folder)}
    with running(prepared.run, folder, env) as process:
        wait_until(lambda: _listens(process, site.port))
        yield Proxy(kind, site, process, prepared.log or process.path)


def checked(kind: Kind, certificate: Certificate, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a proxy says of its file."""
    site = Site(folder, free_port(), free_port(), certificate, [free_port(), free_port()])
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(folder)}
    return subprocess.run(
        kind.prepare(site).check, env=env, check=False, capture_output=True, text=True, timeout=30
    )


def _listens(process: Process, port: int) -> bool:
    assert process.popen.poll() is None, process.output
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


def changed(file: Path, *changes: tuple[str, str]) -> str:
    """The text of a file with other words in it, each of which must be there."""
    text = file.read_text()
    for old, new in changes:
        assert old in text, f"{file} has no {old!r}"
        text = text.replace(old, new)
    return text


# nginx

NGINX: Final = """
worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{ include {site}; }}
"""


def _nginx(site: Site) -> Prepared:
    file, around = site.folder / "site.conf", site.folder / "nginx.conf"
    # With several nodes as docs/deployment.md says: else one that was away is shunned for ten
    # seconds, and if the next goes meanwhile, none is left.
    rest = " fail_timeout=1s" if len(site.nodes) > 1 else ""
    text = changed(
        DEPLOY / "nginx/tidewire.conf",
        ("server 127.0.0.1:8000;", " ".join(f"server {each}{rest};" for each in site.addresses)),
        ("listen 80;", f"listen 127.0.0.1:{site.redirecting};"),
        ("listen 443 ", f"listen 127.0.0.1:{site.port} "),
        ("/etc/ssl/certs/events.example.com.pem", str(site.certificate.file)),
        ("/etc/ssl/private/events.example.com.key", str(site.certificate.key)),
        ("/var/log/nginx/tidewire.access.log", str(site.folder / "access.log")),
    )
    file.write_text(text)
    around.write_text(NGINX.format(files=2 * CONNECTIONS, connections=CONNECTIONS, site=file))
    return _nginx_with(around, site)


def _nginx_of_compose(site: Site) -> Prepared:
    file = site.folder / "nginx.conf"
    nodes = " ".join(f"server {each} fail_timeout=1s;" for each in site.addresses)
    text = changed(
        DEPLOY / "docker/nginx.conf",
        # Docker's own, and what asks it: they came with nginx 1.27.3.
        ("resolver 127.0.0.11 valid=2s;", ""),
        ("server tidewire:8000 resolve fail_timeout=1s;", nodes),
        ("listen 80;", f"listen 127.0.0.1:{site.port};"),
        ("/dev/stdout", str(site.folder / "access.log")),
        ("/dev/stderr", "stderr"),
        ("worker_rlimit_nofile 65536", f"worker_rlimit_nofile {2 * CONNECTIONS}"),
        ("worker_connections 20480", f"worker_connections {CONNECTIONS}"),
    )
    file.write_text(text)
    return _nginx_with(file, site)


def _nginx_with(file: Path, site: Site) -> Prepared:
    words = ["daemon off", f"pid {site.folder}/nginx.pid"]
    if os.geteuid() == 0:
        # Without it the workers of root are nobody's, who may not write here.
        words.append("user root")
    command = ["nginx", "-e", "stderr", "-c", str(file), "-g", "; ".join(words) + ";"]
    return Prepared([*command, "-t"], command, site.folder / "access.log")


# Caddy


def _caddy(site: Site) -> Prepared:
    file = site.folder / "Caddyfile"
    tls = f"tls {site.certificate.file} {site.certificate.key}"
    text = changed(
        DEPLOY / "caddy/Caddyfile",
        # Two ports that it would take beside the one of the site.
        ("\n{\n", f"\n{{\n\tadmin off\n\thttp_port {site.redirecting}\n"),
        ("events.example.com {", f"https://localhost:{site.port} {{\n\tbind 127.0.0.1\n\t{tls}\n"),
        ("reverse_proxy 127.0.0.1:8000 {", f"reverse_proxy {' '.join(site.addresses)} {{"),
    )
    file.write_text(text)
    words = ["--adapter", "caddyfile", "--config", str(file)]
    return Prepared(["caddy", "validate", *words], ["caddy", "run", *words])


# HAProxy


def _haproxy(site: Site) -> Prepared:
    file = site.folder / "haproxy.cfg"
    nodes = "\n".join(f"    server node{n} {each}" for n, each in enumerate(site.addresses, 1))
    text = changed(
        DEPLOY / "haproxy/haproxy.cfg",
        ("maxconn 40000", f"maxconn {CONNECTIONS}"),
        ("bind :443 ", f"bind 127.0.0.1:{site.port} "),
        ("/etc/haproxy/events.example.com.pem", str(site.certificate.both)),
        ("bind :80", f"bind 127.0.0.1:{site.redirecting}"),
        ("    server node1 127.0.0.1:8000", nodes),
    )
    file.write_text(text)
    return Prepared(["haproxy", "-c", "-f", str(file)], ["haproxy", "-db", "-f", str(file)])


CADDY: Final = Kind("Caddy", _caddy)
HAPROXY: Final = Kind("HAProxy", _haproxy)
NGINX_ALONE: Final = Kind("nginx", _nginx)
NGINX_OF_COMPOSE: Final = Kind("nginx of compose", _nginx_of_compose, scheme="http")

KINDS: Final = (NGINX_ALONE, CADDY, HAPROXY, NGINX_OF_COMPOSE)
