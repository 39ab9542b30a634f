"""A real nginx before a real server: configured well, or wrong in one thing."""

import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.doctor.certificates import Certificate
from tests.redisserver import free_port
from tests.serve.processes import clean_environment, running, until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "tidewire.conf"

GOOD = "proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host $http_host;"

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Site:
    """What a test wants of nginx.

    Attributes:
        lines: of the server, beside its one location.
        location: the path of that.
        passing: what stands in the location beside ``proxy_pass``.
        path: what is added to the address of the server in ``proxy_pass``.
        encrypted: shown over TLS, with HTTP/2.
    """

    lines: str = ""
    location: str = "/"
    passing: str = GOOD
    path: str = ""
    encrypted: Certificate | None = None


@contextmanager
def nginx(folder: Path, upstreams: Sequence[str], site: Site | None = None) -> Iterator[str]:
    """A site before servers, each in its turn; yields its URL."""
    site = site or Site()
    port = free_port()
    listen = f"listen 127.0.0.1:{port};"
    if (shown := site.encrypted) is not None:
        listen = f"listen 127.0.0.1:{port} ssl http2; ssl_certificate {shown.certfile};"
        listen += f"ssl_certificate_key {shown.keyfile};"
    servers = "".join(f"server {urlsplit(url).netloc};" for url in upstreams)
    text = f"""
        upstream tidewire {{ {servers} }}
        server {{
            {listen}
            {site.lines}
            location {site.location} {{
                proxy_pass http://tidewire{site.path};
                {site.passing}
            }}
        }}
    """
    with _started(folder, port, text):
        scheme = "http" if shown is None else "https"
        yield f"{scheme}://{'127.0.0.1' if shown is None else 'localhost'}:{port}"


@contextmanager
def shipped(folder: Path, upstream: str, certificate: Certificate) -> Iterator[str]:
    """The site that is shipped, among settings that are bad for streams; yields its URL."""
    port, plain = free_port(), free_port()
    text = SHIPPED.read_text()
    for old, new in {
        "server 127.0.0.1:8000;": f"server {urlsplit(upstream).netloc};",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "/etc/ssl/certs/events.example.com.pem": certificate.certfile,
        "/etc/ssl/private/events.example.com.key": certificate.keyfile,
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert old in text, f"the file that is shipped has no {old}"
        text = text.replace(old, new)
    bad = "gzip on; gzip_types *; gzip_proxied any; proxy_read_timeout 1s;"
    bad += "proxy_ignore_headers X-Accel-Buffering;"
    with _started(folder, port, bad + text):
        yield f"https://localhost:{port}"


@contextmanager
def _started(folder: Path, port: int, http: str) -> Iterator[None]:
    file = folder / f"nginx-{port}.conf"
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    file.write_text(
        f"daemon off; master_process off; pid {folder}/nginx-{port}.pid; error_log stderr crit;"
        f"events {{ worker_connections 256; }} http {{ access_log off; {temporary} {http} }}"
    )
    command = [NGINX, "-e", "stderr", "-c", str(file)]
    with running(command, folder, clean_environment(folder)) as process:

        def listens() -> bool:
            assert process.popen.poll() is None, process.output
            with socket.socket() as peer:
                return peer.connect_ex(("127.0.0.1", port)) == 0

        until(listens)
        yield
