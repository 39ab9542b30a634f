"""Tidewire on uvicorn: streams are told of a shutdown before uvicorn waits for them."""

import asyncio
import gc
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.importer import import_from_string
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import ChangeReload

from tidewire.core.errors import ConfigurationError
from tidewire.core.reader import HIGH_WATER
from tidewire.http import accesslog
from tidewire.http.accesslog import AccessLog
from tidewire.http.app import Tidewire
from tidewire.http.routes.streams import DRAIN_EXTENSION
from tidewire.http.settings import Settings

SEND_BUFFER_BYTES: Final = 128 * 1024
BACKLOG: Final = 4096
PEER_TIMEOUT_MS: Final = 60_000
OTHER_REQUESTS_SECONDS: Final = 0.5
"""How long requests that are no streams may take to end, after the streams are gone."""
FIRST_REQUEST_SECONDS: Final = 0.15
"""How long a connection that was just accepted may take to send its request, at the end."""


class Application:
    """The ASGI application to serve: one of the caller's, or Tidewire alone.

    It offers `DRAIN_EXTENSION` to whatever runs in it. It is made in one process and loaded in
    the one that serves, so it holds only what can be sent there.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        settings: Settings | None = None,
        dev: bool = False,
        dev_allow_remote: bool = False,
    ) -> None:
        """Takes ``target`` as ``module:app``; None = Tidewire alone, by the other arguments."""
        self._target = target
        self._settings = settings
        self._dev = dev
        self._dev_allow_remote = dev_allow_remote
        self._app: ASGIApp | None = None
        self._drains: dict[Callable[[], Awaitable[None]], None] = {}

    def load(self) -> None:
        """Imports or makes the application.

        Raises:
            ConfigurationError: Tidewire cannot run safely with these settings.
            uvicorn.importer.ImportFromStringError: there is no such application.
        """
        if self._app is not None:
            return
        if self._target is None:
            self._app = Tidewire(
                self._settings, dev=self._dev, dev_allow_remote=self._dev_allow_remote
            ).app
        else:
            here = str(Path.cwd())
            if here not in sys.path:
                sys.path.insert(0, here)
            self._app = import_from_string(self._target)
        self._app = AccessLog(self._app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            raise RuntimeError("the application is not loaded")
        if scope["type"] == "http":
            scope.setdefault("extensions", {})[DRAIN_EXTENSION] = self._register
        await self._app(scope, receive, send)

    def _register(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drains[drain] = None

    async def drain(self) -> None:
        """Ends the streams of every Tidewire that has opened one."""
        await asyncio.gather(*(drain() for drain in self._drains))


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with small buffers: a reader who sleeps must not cost memory."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            for name, value in (
                # asyncio sets it only on sockets that name their protocol; ours may not.
                ("TCP_NODELAY", 1),
                ("TCP_NOTSENT_LOWAT", HIGH_WATER),
                ("TCP_USER_TIMEOUT", PEER_TIMEOUT_MS),
            ):
                # Linux has both; elsewhere the system's own values must do.
                if hasattr(socket, name):
                    peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        super().connection_made(transport)


class Server(uvicorn.Server):
    """uvicorn's server, which drains the application before it waits for connections."""

    def __init__(
        self,
        application: Application,
        config: uvicorn.Config,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._application = application
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._announce is not None:
            self._announce(url_of(self.servers[0].sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # New connections first: who is sent away must not come back to this process.
        for server in self.servers:
            server.close()
        await self._first_requests()
        await self._application.drain()
        await super().shutdown(sockets)

    async def _first_requests(self) -> None:
        # uvicorn closes connections without a request. One accepted a moment ago has its request
        # on the way, and whoever sent it would be refused although others still serve.
        looks = 15
        for _ in range(looks):
            if not any(
                isinstance(connection, Protocol) and connection.cycle is None
                for connection in self.server_state.connections
            ):
                return
            await asyncio.sleep(FIRST_REQUEST_SECONDS / looks)

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        raise_file_limit()
        self._application.load()
        accesslog.configure()
        # What is loaded stays: collections need not walk it again while events pass.
        gc.collect()
        gc.freeze()
        await super()._serve(sockets)


def raise_file_limit() -> None:
    """Lets this process have as many open connections as the system grants without asking."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bind(host: str, port: int) -> socket.socket:
    """Opens the listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # Python's own text repeats the address; that of a name which is unknown does not.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise ConfigurationError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose others with --host and --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def configuration(application: Application) -> uvicorn.Config:
    """How uvicorn serves an application of ours."""
    options: dict[str, Any] = {
        "http": Protocol,
        "backlog": BACKLOG,
        # A query may hold a token, and uvicorn's access log has the query. `AccessLog` is ours.
        "access_log": False,
        # By default uvicorn lets anybody on this machine say who the client is, and in which
        # scheme. TIDEWIRE_TRUSTED_PROXIES says whose word counts.
        "proxy_headers": False,
        "log_config": None,
        "server_header": False,
        "timeout_graceful_shutdown": OTHER_REQUESTS_SECONDS,
    }
    return uvicorn.Config(application, **options)


def run(
    application: Application,
    listener: socket.socket,
    *,
    reload: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serves on a socket until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: see `Application.load`.
    """
    config = configuration(application)
    server = Server(application, config, announce)
    if reload:
        # uvicorn sets this by itself only for an application that is an import string.
        config.reload_dirs = [Path.cwd()]
        ChangeReload(config, target=server.run, sockets=[listener]).run()
    else:
        application.load()
        server.run(sockets=[listener])
