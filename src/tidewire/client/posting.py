"""Publishing over HTTP."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx

from tidewire.client.endpoints import Endpoints
from tidewire.client.errors import Refused, Unreachable, error_of
from tidewire.client.failure import problem_of, refusal
from tidewire.client.tokens import GivenToken, Token
from tidewire.core.errors import AuthenticationError
from tidewire.core.event import Event, encode_json
from tidewire.version import __version__

ANSWER_SECONDS: Final = 10.0
"""How long an answer may take before it is asked for again."""

_LOGGER: Final = logging.getLogger("tidewire.client")
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_KEPT: Final = frozenset({307, 308})
"""What leads elsewhere and keeps a POST one; by the others it becomes a GET."""

_PASSING: Final = frozenset({401, 408, 425, 429})
"""What something in between may say, and take the next one, or one with another token."""


class HttpLane:
    """The way to a server. May be used by several threads, of one process."""

    def __init__(self, endpoints: Endpoints, token: str | Callable[[], GivenToken] | None) -> None:
        """Prepares it; nothing is connected yet. ``token``: one that does not change, or what gets
        one."""
        self._url = endpoints.publish
        self._get_token = token if callable(token) else None
        self._token = Token(token) if isinstance(token, str) else None
        self._lock = threading.Lock()
        self._http = httpx.Client(
            follow_redirects=True,
            event_hooks={"response": [_check_kept]},
            headers={"User-Agent": f"tidewire/{__version__}"},
        )

    def send(self, events: Sequence[Event], key: str, *, timeout: float) -> list[str]:
        """Publishes events and returns their ids.

        Args:
            events: all or nothing.
            key: makes a repeat harmless.
            timeout: seconds.

        Raises:
            Unreachable: no answer came.
            Refused: what answers is not Tidewire, or leads elsewhere.
            TidewireError: what the server says.
        """
        body = encode_json({"events": [_wire(event) for event in events]})
        token = self._current(None)
        try:
            return self._post(body, key, token, timeout)
        except AuthenticationError as error:
            if error.status != 401 or self._get_token is None:
                raise
        # Once: a second refusal is meant.
        return self._post(body, key, self._current(token), timeout)

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def _post(self, body: bytes, key: str, token: Token | None, timeout: float) -> list[str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.token}"
        seconds = min(timeout, ANSWER_SECONDS)
        try:
            response = self._http.post(self._url, content=body, headers=headers, timeout=seconds)
        except httpx.HTTPError as error:
            told = str(error) or type(error).__name__
            raise Unreachable(told, in_doubt=not isinstance(error, _NOT_SENT)) from error
        if not response.is_success:
            failure = refusal(response, problem_of(response))
            if failure.problem or response.is_server_error or response.status_code in _PASSING:
                raise error_of(failure)
            raise _another(
                response,
                f"What answers at {_shown(response.url)} is another server than Tidewire. "
                "Look at the address, and at what the proxy passes on.",
            )
        try:
            answer = response.json()
            ids = [str(id_) for id_ in answer["ids"]]
            durable = answer["durable"]
        except (ValueError, KeyError, TypeError) as error:
            # Some proxies answer for others, with a page and a 200.
            raise Unreachable("The answer is none to a publish.", in_doubt=True) from error
        if not durable:
            _LOGGER.warning("accepted, and lost if that server ends before its log is back")
        return ids

    def _current(self, refused: Token | None) -> Token | None:
        """The token of this moment; another one than that which was refused."""
        if self._get_token is None:
            return self._token
        with self._lock:
            known = self._token
            due = None if known is None else known.refresh_after
            is_due = due is not None and due <= time.time() * 1000
            if known is None or known is refused or is_due:
                known = self._token = Token.of(self._get_token())
            return known


def _check_kept(response: httpx.Response) -> None:
    """Is asked before an answer is followed to where it leads."""
    if not response.has_redirect_location or response.status_code in _KEPT:
        return
    try:
        target = response.url.join(response.headers["location"])
    except httpx.InvalidURL:
        # Then it leads nowhere.
        return
    raise _another(
        response,
        f"{_shown(response.url)} leads to {_shown(target)}, and nothing is published on that way. "
        "Give the address of the server itself.",
    )


def _another(response: httpx.Response, detail: str) -> Refused:
    """The refusal by something that is not Tidewire."""
    status = response.status_code
    error = Refused({"code": f"HTTP {status}", "detail": detail}, status)
    error.answer = {}
    vars(error).update(code=f"HTTP_{status}", status=status, category="client")
    return error


def _shown(url: httpx.URL) -> str:
    # There may be a token in it, or a password.
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def _wire(event: Event) -> dict[str, Any]:
    """An event as publishers write it, as it was when it was made."""
    content: dict[str, Any] = json.loads(b"{" + event.body)
    del content["version"]
    metadata = {**content.get("metadata", {}), **event.target.to_metadata()}
    if event.session_id is not None:
        metadata["sessionId"] = event.session_id
    return {**content, "metadata": metadata} if metadata else content
