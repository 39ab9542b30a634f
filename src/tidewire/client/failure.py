"""Why a connection failed: what the server said, or what we noticed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

from tidewire.core.errors import Category, Recovery, TidewireError

if TYPE_CHECKING:
    import httpx

READ_BYTES: Final = 64 * 1024
"""As much is read of the body of a refusal."""

_RECOVERIES: Final[dict[Any, Recovery]] = {name: name for name in get_args(Recovery)}
_CATEGORIES: Final[dict[Any, Category]] = {name: name for name in get_args(Category)}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as data.

    Attributes:
        code: of the server's problem, or one of ours.
        detail: a sentence or two.
        category: what kind it is.
        recovery: what to do about it.
        status: the HTTP status, if there was an answer.
        retry_after: milliseconds to wait before trying again, or None.
        problem: the whole problem of the server; empty if there was none.
        cause: what was raised, if something was.
    """

    code: str
    detail: str
    category: Category = "connection"
    recovery: Recovery = "retry"
    status: int | None = None
    retry_after: float | None = None
    problem: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    cause: BaseException | None = field(default=None, compare=False, repr=False)


def thrown(error: Exception, code: str) -> Failure:
    """What was raised, as a failure; one of Tidewire's own keeps what it says."""
    if isinstance(error, TidewireError):
        return Failure(
            error.code,
            error.detail,
            error.category,
            error.recovery,
            error.status,
            error.retry_after,
            error.problem(),
            error,
        )
    # Some errors have no words.
    return Failure(code, str(error) or type(error).__name__, cause=error)


def problem_of(response: "httpx.Response") -> Mapping[str, Any]:
    """The problem in an answer that was read; empty if it has none."""
    return _problem_in(response.headers, response.content)


async def answer_failure(response: "httpx.Response") -> Failure:
    """What an HTTP answer means that is no success; reads its body."""
    body = b""
    async for data in response.aiter_bytes():
        body += data
        if len(body) > READ_BYTES:
            break
    return refusal(response, _problem_in(response.headers, body))


def refusal(response: "httpx.Response", problem: Mapping[str, Any]) -> Failure:
    """What an HTTP answer means that is no success.

    A problem of the server says it itself. Anything else comes from something in between, a proxy
    or a page to log in at: a 401 and a 429 mean what they always mean, and no other status is a
    reason to give up.
    """
    told = problem_failure(problem)
    status = response.status_code
    after = _seconds(response.headers.get("retry-after"))
    if told is not None:
        return told
    category: Category = "connection"
    recovery: Recovery = "retry"
    if status == 401:
        category, recovery = "authentication", "refresh_token"
    elif status == 429:
        category, recovery = "rate_limit", "fallback_polling"
    elif status >= 500:
        category, recovery = "server", "restart_connection"
    return Failure(f"HTTP_{status}", f"The answer was {status}.", category, recovery, status, after)


def problem_failure(problem: Mapping[str, Any]) -> Failure | None:
    """A problem of the server as a failure; None if it is none."""
    code, recovery = problem.get("code"), problem.get("recovery")
    if not isinstance(code, str) or recovery not in _RECOVERIES:
        return None
    status, after = problem.get("status"), problem.get("retryAfter")
    return Failure(
        code,
        str(problem.get("detail", code)),
        _CATEGORIES.get(problem.get("category"), "connection"),
        _RECOVERIES[recovery],
        status if isinstance(status, int) else None,
        after if isinstance(after, int | float) else None,
        problem,
    )


def _problem_in(headers: "httpx.Headers", body: bytes) -> Mapping[str, Any]:
    if "json" not in headers.get("content-type", ""):
        return {}
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        # A date is as good as nothing: the clocks may differ.
        return None
    return seconds * 1000 if 0 < seconds < float("inf") else None
