"""Whether there is room for more, by what all other answers said."""

from collections.abc import Sequence
from typing import Any, Final

from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.wire import Answer

RATES: Final = "limits.rates"
COUNTED: Final = ("/api/sse", "/api/realtime/polling", "/api/realtime/test")
"""Whose answers say what is left, of those that are asked here."""
LITTLE: Final = 0.2
"""What is left of a rate when it is time to say so."""

RAISE: Final = (
    "Wait, or raise what is too low on the server: TIDEWIRE_RATE_LIMITS=connect=120/minute, and "
    "TIDEWIRE_MAX_CONNECTIONS_PER_USER for streams at a time. Failed authentications are counted "
    "by address: behind a proxy set TIDEWIRE_TRUSTED_PROXIES to that of the proxy. A client that "
    "connects again and again shows as such in the access log."
)

PROXYS: Final = (
    "It is a proxy that refuses; the server has limits of its own.\n"
    "nginx: raise `limit_req` and `limit_conn` on /api/, or leave them out there.\n"
    "HAProxy: look at `http-request deny` by a stick-table."
)


def judge(answers: Sequence[Answer]) -> Finding:
    """The rates, as the answers of all other checks have them."""
    refused = [answer for answer in answers if answer.status == 429]
    told = [rate for rate in map(_rate, answers) if rate is not None]
    measured: dict[str, Any] = {
        "refused": sorted({answer.path for answer in refused}),
        "rates": {path: [left, limit] for path, left, limit in told},
    }
    if refused:
        return _refused(refused[0], measured)
    if not any(answer.path.endswith(COUNTED) for answer in answers):
        return skipped(RATES, "Nothing was asked that is counted.")
    if not told:
        return passed(
            RATES, "No answer names a rate: they are off, or a proxy leaves them out.", measured
        )
    path, left, limit = min(told, key=lambda rate: rate[1] / max(1, rate[2]))
    reason = f"{left} of {limit} are left at {path}"
    if left < limit * LITTLE:
        return warned(RATES, f"Little is left: {reason}.", RAISE, measured)
    return passed(RATES, f"Nothing was refused. At least {reason}.", measured)


def _refused(answer: Answer, measured: dict[str, Any]) -> Finding:
    wait = answer.headers.get("retry-after")
    if answer.code is None:
        return failed(RATES, f"{answer.path} is refused with 429.", PROXYS, measured)
    named = "" if wait else " It does not say for how long (Retry-After): a proxy takes that away."
    return failed(
        RATES,
        f"{answer.path} is refused: {answer.told}{named}",
        RAISE,
        {**measured, "retryAfter": wait},
    )


def _rate(answer: Answer) -> tuple[str, int, int] | None:
    left = answer.headers.get("ratelimit-remaining", "")
    limit = answer.headers.get("ratelimit-limit", "")
    return (answer.path, int(left), int(limit)) if left.isdigit() and limit.isdigit() else None
