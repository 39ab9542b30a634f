"""The real server, as a process of its own: what proxies stand before."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.deploy.exchange import fetch
from tests.faults.cluster import SECRET, bearer
from tests.faults.history import Who
from tests.redisserver import free_port
from tests.serve.processes import COMMAND, Process, clean_environment, url_in

PUBLISHER: Final = Who("publisher")

STOP_SECONDS: Final = 10.0


class Server:
    """One that is not in development mode. Started again, it is on the port that it had."""

    def __init__(self, folder: Path, log: str = "memory:", **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [COMMAND, "serve", "--log", log, "--port", str(self.port)]
        self._folder = folder
        self._env = clean_environment(
            folder,
            SSE_JWT_SECRET=SECRET,
            TIDEWIRE_TRUSTED_PROXIES="127.0.0.1",
            **settings,
        )
        self._process: Process | None = None

    def start(self) -> None:
        self._process = Process(self._command, self._folder, self._env)
        url_in(self._process)

    def stop(self) -> None:
        """Stops it as whoever runs it does: it drains."""
        assert self._process is not None
        self._process.stop(signal.SIGTERM, STOP_SECONDS)

    def end(self) -> None:
        if self._process is not None:
            self._process.end()

    @property
    def output(self) -> str:
        """What it has printed since its last start; its access log, too."""
        return "" if self._process is None else self._process.output

    async def publish(self, numbers: Iterable[int]) -> None:
        """Publishes numbered events, in one go, straight to the server."""
        events = [{"type": "tick", "data": {"n": number}} for number in numbers]
        headers = bearer(PUBLISHER, permissions=["publish"])
        await fetch(self.url, "/api/realtime/publish", headers=headers, body={"events": events})

    async def cursor(self) -> str:
        told = await fetch(self.url, "/api/realtime/cursor", headers=bearer(PUBLISHER))
        return str(told["cursor"])

    async def connections(self) -> int:
        """How many streams and held polls it has."""
        told = await fetch(self.url, "/api/sse/health", headers={})
        return int(told["connections"]["total"])


@contextmanager
def serving(folder: Path, log: str = "memory:", **settings: str) -> Iterator[Server]:
    """A server that runs."""
    server = Server(folder, log, **settings)
    try:
        server.start()
        yield server
    finally:
        server.end()
