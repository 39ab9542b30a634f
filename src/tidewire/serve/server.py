"""Tidewire on uvicorn: streams are told of a shutdown before uvicorn waits for them."""

import asyncio
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import ChangeReload

from tidewire.http import redaction
from tidewire.serve.application import Application
from tidewire.serve.direct import Streams
from tidewire.serve.garbage import Garbage
from tidewire.serve.listening import BACKLOG, url_of
from tidewire.serve.protocol import STREAMS, TUNED, TURNSTILE, Protocol, tune
from tidewire.serve.turnstile import Turnstile

OTHER_REQUESTS_SECONDS: Final = 0.5
"""How long requests that are no streams may take to end, after the streams are gone."""
FIRST_REQUEST_SECONDS: Final = 0.15
"""How long a connection that was just accepted may take to send its request, at the end."""


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
        self._garbage: Garbage | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._garbage = Garbage(loop)
        self.lifespan.state[TURNSTILE] = Turnstile(loop, self._garbage.leave)
        for listener in sockets or ():
            tune(listener)
            self.lifespan.state[TUNED] = True
        await super().startup(sockets)
        if self.started and self._announce is not None:
            encrypted = self._application.certificate is not None
            self._announce(url_of(self.servers[0].sockets[0], encrypted=encrypted))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # New connections first: who is sent away must not come back to this process.
        for server in self.servers:
            server.close()
        await self._first_requests()
        streams: Streams | None = self.lifespan.state.get(STREAMS)
        if streams is not None:
            await streams.drain()
        await super().shutdown(sockets)
        if self._garbage is not None:
            self._garbage.take()

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
        redaction.configure()
        await super()._serve(sockets)


def raise_file_limit() -> None:
    """Lets this process have as many open connections as the system grants without asking."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
    if application.is_own:
        # Tidewire alone takes no WebSockets; to load a library for them takes as long as to make
        # the application.
        options["ws"] = "none"
    if application.certificate is not None:
        options["ssl_certfile"] = application.certificate.certfile
        options["ssl_keyfile"] = application.certificate.keyfile
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
