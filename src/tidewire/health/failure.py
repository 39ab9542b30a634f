"""A failure as it is kept: what kind it is, how bad, and whom it concerned."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from tidewire.core.errors import Category, LogAway, TidewireError

Severity: TypeAlias = Literal["low", "medium", "high", "critical"]

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

SEVERITY: Final[Mapping[Category, Severity]] = {
    "connection": "high",
    "authentication": "medium",
    "rate_limit": "medium",
    "server": "high",
    "client": "low",
    "validation": "low",
    "timeout": "medium",
}
"""How bad a failure of a category is, where its code does not say otherwise."""

KNOWN: Final[Mapping[str, tuple[Category, Severity]]] = {
    # Answers.
    "AUTH_REQUIRED": ("authentication", "low"),
    "AUTH_EXPIRED_TOKEN": ("authentication", "low"),
    "AUTH_STALE_SESSION": ("authentication", "low"),
    # Two good credentials of two users: whoever has both can send them at will, so it is no alarm.
    "AUTH_CONFLICT": ("authentication", "medium"),
    "DRAINING": ("connection", "low"),
    "SPOOL_FULL": ("connection", "critical"),
    "SERVER_NOT_CONFIGURED": ("server", "medium"),
    # What happens behind them.
    "FOLLOW_FAILED": ("server", "critical"),
    "FOLLOW_STALLED": ("server", "critical"),
    "NOT_READY": ("server", "critical"),
    "SPOOL_FAILED": ("server", "critical"),
    "CANARY_FAILED": ("timeout", "high"),
    "CONNECTION_STALE": ("timeout", "low"),
    "SINK_FAILED": ("connection", "low"),
    "NODE_LOST": ("connection", "high"),
    "DRAIN_CUT_OFF": ("timeout", "low"),
    "HOOK_FAILED": ("server", "medium"),
    "READ_FAILED": ("server", "high"),
    "TICK_FAILED": ("server", "high"),
    "LIMITS_AWAY": ("connection", "medium"),
    "KEYS_UNREAD": ("authentication", "high"),
}
"""Category and severity by code."""


class Kind(NamedTuple):
    """What kind of failure something is.

    Attributes:
        code: its name.
        category: which kind of failure.
        severity: how bad.
        retryable: whether the same may work later.
        retry_after: milliseconds to wait before that, or None.
    """

    code: str
    category: Category
    severity: Severity
    retryable: bool
    retry_after: int | None


def kind_of(error: BaseException, code: str | None = None) -> Kind:
    """What kind of failure an error is; ``code`` where whoever noted it knows better."""
    if isinstance(error, TidewireError):
        category, name = error.category, code or error.code
        retryable, after = error.retryable, error.retry_after
    else:
        retryable, after = True, None
        if isinstance(error, TimeoutError):
            category, name = "timeout", "TIMEOUT"
        elif isinstance(error, OSError):
            category, name = "connection", "CONNECTION_FAILED"
        else:
            category, name = "server", "SERVER_ERROR"
        name = code or name
    known = KNOWN.get(name)
    if known is not None:
        return Kind(name, *known, retryable, after)
    return Kind(name, category, SEVERITY[category], retryable, after)


def words_of(error: BaseException, what: str) -> str:
    """What a failure is about, for an administrator. Not yet free of secrets."""
    if isinstance(error, LogAway):
        return f"{what}: {error.reason}"
    if isinstance(error, TidewireError):
        return error.detail
    return f"{what}: {type(error).__name__}: {error}"


NAMES: Final = {"user": "userId", "client": "clientId", "endpoint": "endpoint", "node": "node"}
"""What a context is called on the wire, where it has another name there."""


def context_of(context: Mapping[str, object]) -> dict[str, Any]:
    """The context of a note, as it is kept."""
    return {
        NAMES.get(name, name): value if isinstance(value, int | float) else str(value)
        for name, value in context.items()
        if value is not None
    }
