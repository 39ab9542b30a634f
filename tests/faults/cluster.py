"""Nodes: real processes of ``tidewire serve`` that share a log, and what is asked of them."""

import os
import signal
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from tests.faults.history import Who
from tests.serve.processes import COMMAND, Process, clean_environment, url_in
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

SECRET = "a secret of the fault suite that is long enough to sign with"
PING_SECONDS = 1
"""Clients take a stream for dead after a few pings; a fault should not have to last longer."""

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""No node speaks TLS, and to load the authorities anew for each client takes long."""


def http_client(timeout: float, **options: Any) -> httpx.AsyncClient:
    """What talks to nodes; ``timeout`` in seconds."""
    return httpx.AsyncClient(trust_env=False, verify=NO_AUTHORITIES, timeout=timeout, **options)


def token(who: Who, *, permissions: Iterable[str] = ()) -> str:
    """A token that every node accepts."""
    tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
    return tokens.issue(who.user, roles=who.roles, permissions=permissions).token


def bearer(who: Who, *, permissions: Iterable[str] = ()) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(who, permissions=permissions)}"}


class Node:
    """One process of the server. Started again, it is on the port that it had."""

    def __init__(
        self,
        name: str,
        folder: Path,
        log: str,
        *,
        spool: Path | None = None,
        settings: dict[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Prepares it; `start` starts it.

        Args:
            name: what messages call it.
            folder: where its output goes.
            log: the address of the log.
            spool: its spool directory, if it has one.
            settings: further settings.
            options: further words of the command line.
        """
        self.name = name
        self.url = ""
        self._folder = folder
        self._log = log
        self._options = options
        self._env = clean_environment(
            folder,
            SSE_JWT_SECRET=SECRET,
            # What a fault makes clients do is not for limits to forbid.
            TIDEWIRE_RATE_LIMITS="off",
            TIDEWIRE_MAX_CONNECTIONS_PER_USER="0",
            TIDEWIRE_PING_INTERVAL=str(PING_SECONDS),
            **({} if spool is None else {"TIDEWIRE_SPOOL_DIR": str(spool)}),
            **(settings or {}),
        )
        self._process: Process | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        assert self._process is None or self._process.popen.poll() is not None, "it runs already"
        port = str(self.port)
        command = [COMMAND, "serve", "--log", self._log, "--port", port, *self._options]
        self._process = Process(command, self._folder, self._env)
        self.url = url_in(self._process)

    def kill(self) -> None:
        """Ends it at once, as kill -9 does."""
        if self._process is not None:
            self._process.end()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def hang_up(self) -> None:
        """Sends SIGHUP to the process that was started, and not to those that it has started."""
        assert self._process is not None
        self._process.popen.send_signal(signal.SIGHUP)

    @property
    def port(self) -> int:
        """Where it listens; 0 before its first start."""
        return int(self.url.rpartition(":")[2] or 0)

    @property
    def output(self) -> str:
        """What it has printed since its last start."""
        return "" if self._process is None else self._process.output

    async def health(self) -> str:
        """The status that it tells everybody; "" if it does not answer."""
        answer = await self._get("/api/sse/health")
        return "" if answer is None else str(answer.json()["status"])

    async def readiness(self) -> int:
        """The status code of its readiness; 0 if it does not answer."""
        answer = await self._get("/readyz")
        return 0 if answer is None else answer.status_code

    async def head(self, who: Who) -> str:
        """The cursor at the end of the log."""
        answer = await self._get("/api/realtime/cursor", bearer(who))
        assert answer is not None
        return str(answer.json()["cursor"])

    async def monitor(self, who: Who) -> dict[str, Any]:
        """What an administrator is told of all nodes, by whichever process answers."""
        answer = await self._get("/api/realtime/monitor", bearer(who))
        assert answer is not None
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def metrics(self, who: Who) -> str:
        """The same for Prometheus."""
        answer = await self._get("/metrics", bearer(who))
        assert answer is not None
        return answer.text

    async def _get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response | None:
        async with http_client(3, base_url=self.url) as http:
            try:
                return await http.get(path, headers=headers)
            except httpx.TransportError:
                return None

    def _signal(self, sign: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.popen.pid, sign)
