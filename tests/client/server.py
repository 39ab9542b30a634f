"""The real server, as a process of its own, and what tests do with it."""

import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from tests.serve.processes import COMMAND, Process, clean_environment, url_in
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

SECRET: Final = "a secret of the tests of clients that is long enough"


def token(
    user: str = "alice",
    *,
    roles: Iterable[str] = ("EDITOR",),
    permissions: Iterable[str] = (),
    seconds: int = 3600,
) -> str:
    """A token that every server of these tests takes."""
    tokens = Tokens([SECRET], clock=SystemClock(), setting="SSE_JWT_SECRET")
    return tokens.issue(user, roles=roles, permissions=permissions, lifetime=seconds).token


def publisher_token() -> str:
    return token("publisher", permissions=["publish"])


def _bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


class Server:
    """A server. Started again, it is on the port that it had.

    Attributes:
        base: its address.
        name: of its log, if that has one of its own.
    """

    def __init__(self, folder: Path, log: str = "memory:", **settings: str) -> None:
        """Prepares it; ``settings``: further ones, by the names of their variables."""
        self.base = ""
        self.name = settings.get("TIDEWIRE_LOG_NAME", "")
        self._folder = folder
        self._log = log
        self._env = clean_environment(
            folder,
            SSE_JWT_SECRET=SECRET,
            TIDEWIRE_RATE_LIMITS="off",
            TIDEWIRE_MAX_CONNECTIONS_PER_USER="0",
            TIDEWIRE_PING_INTERVAL="1",
            **settings,
        )
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Of its streams."""
        return f"{self.base}/api/sse"

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def start(self) -> None:
        """Starts it and waits until it listens."""
        port = self.base.rpartition(":")[2] or "0"
        command = [COMMAND, "serve", "--log", self._log, "--port", port]
        self._process = Process(command, self._folder, self._env)
        self.base = url_in(self._process)

    def kill(self) -> None:
        """Ends it at once, as kill -9 does."""
        if self._process is not None:
            self._process.end()

    def stop(self) -> None:
        """Tells it to end, and does not wait for that."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self) -> None:
        assert self._process is not None
        self._process.popen.wait(15)

    async def publish(
        self, numbers: Iterable[int], *, text: str | None = None, **rest: Any
    ) -> list[str]:
        """Publishes numbered events, in one go, and returns their ids. With a text they are as
        large as that."""
        more = {} if text is None else {"text": text}
        events = [{"type": "counted", "data": {"n": n, **more}, **rest} for n in numbers]
        answer = await self._ask(
            "POST",
            "/api/realtime/publish",
            json={"events": events},
            headers=_bearer(publisher_token()),
        )
        assert answer.is_success, answer.text
        return list(answer.json()["ids"])

    async def connections(self) -> int:
        """How many streams and held polls are open."""
        answer = await self._ask("GET", "/api/sse/health")
        return int(answer.json()["connections"]["total"])

    async def cursor(self) -> str:
        """Where the log ends."""
        answer = await self._ask("GET", "/api/realtime/cursor", headers=_bearer(token()))
        return str(answer.json()["cursor"])

    async def events(self, since: str = "earliest") -> list[Mapping[str, Any]]:
        """What alice may see, oldest first."""
        found: list[Mapping[str, Any]] = []
        while True:
            query = {"since": since, "limit": "500"}
            answer = await self._ask(
                "GET", "/api/realtime/polling", params=query, headers=_bearer(token())
            )
            page = answer.json()
            found += page["events"]
            since = page["cursor"]
            if not page["hasMore"]:
                return found

    async def send_away(self, user: str) -> None:
        """Ends the streams of a user, for good."""
        admin = token("root", roles=["ADMIN"])
        body = {"action": "disconnect_user", "parameters": {"userId": user}}
        answer = await self._ask("POST", "/api/sse/health", json=body, headers=_bearer(admin))
        assert answer.is_success, answer.text

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        # Without what TLS needs: to load that takes longer than the request.
        transport = httpx.AsyncHTTPTransport(verify=False)
        async with httpx.AsyncClient(base_url=self.base, transport=transport) as http:
            return await http.request(method, path, **how)

    def _signal(self, sign: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.popen.pid, sign)
