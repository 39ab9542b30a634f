"""What is done about a failure: a table, and the few things in it that a server can do.

Most failures have an owner who tries again by itself: whoever follows the log, whoever brings a
spool home. Then that is what is said, and nothing is done beside it. The rest is for clients.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tidewire.core.errors import Category
from tidewire.health.failure import CATEGORIES, SEVERITIES, Severity

Strategy: TypeAlias = Literal[
    "retry",
    "refresh_token",
    "fallback_polling",
    "restart_connection",
    "restart",
    "escalate",
    "none",
]
Action: TypeAlias = Literal[
    "retry_with_backoff",
    "get_new_credential",
    "poll",
    "open_new_connection",
    "restart_follow_loop",
    "tell_operator",
    "mend_request",
]

BACKOFF_FIRST_MS: Final = 1_000
BACKOFF_LAST_MS: Final = 30_000


class Plan(NamedTuple):
    """How a kind of failure is met.

    Attributes:
        strategy: the way.
        action: the step.
        message: the same in a sentence.
    """

    strategy: Strategy
    action: Action
    message: str


RETRY: Final = Plan("retry", "retry_with_backoff", "Try again, each time after a longer wait.")
REFRESH: Final = Plan("refresh_token", "get_new_credential", "The client gets a new credential.")
POLL: Final = Plan("fallback_polling", "poll", "The client polls until there is room.")
REOPEN: Final = Plan(
    "restart_connection", "open_new_connection", "The client opens a new stream, with its cursor."
)
RESTART: Final = Plan("restart", "restart_follow_loop", "The log is followed anew.")
ESCALATE: Final = Plan("escalate", "tell_operator", "An operator has to look at it.")
MEND: Final = Plan("none", "mend_request", "The request has to be mended by whoever sends it.")

_USUAL: Final[Mapping[Category, Plan]] = {
    "connection": RETRY,
    "authentication": REFRESH,
    "rate_limit": POLL,
    "server": REOPEN,
    "client": MEND,
    "validation": MEND,
    "timeout": RETRY,
}

PLANS: Final[Mapping[tuple[Category, Severity], Plan]] = {
    **{
        (category, severity): _USUAL[category] for category in CATEGORIES for severity in SEVERITIES
    },
    # Peers that take nothing are closed, and come back.
    ("timeout", "low"): REOPEN,
    # Nothing that a client could do would mend it.
    ("authentication", "high"): ESCALATE,
    **{(category, "critical"): ESCALATE for category in CATEGORIES},
}
"""What is done, by category and severity."""

BY_CODE: Final[Mapping[str, Plan]] = {
    "AUTH_FORBIDDEN": MEND,
    "FOLLOW_FAILED": RESTART,
    "FOLLOW_STALLED": RESTART,
    "SINK_FAILED": REOPEN,
}
"""What is done, where that depends on more."""


class Recovery(NamedTuple):
    """What was done about a failure.

    Attributes:
        strategy: the way.
        action: the step.
        success: whether it is over; None while nobody knows.
        message: the same in a sentence.
        next_delay: milliseconds until the next try, or None.
    """

    strategy: Strategy
    action: Action
    success: bool | None
    message: str
    next_delay: int | None

    def to_json(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy,
            "action": self.action,
            "success": self.success,
            "message": self.message,
            "nextDelay": self.next_delay,
        }


class Failed(NamedTuple):
    """What has to be known of a failure to do something about it.

    Attributes:
        code: its name.
        category: which kind of failure.
        severity: how bad.
        times: how often it has happened within a minute.
        retryable: whether the same may work later.
        retry_after: milliseconds that were said to wait, or None.
        settled: whether whoever noted it has dealt with it.
        next_try: in how many milliseconds its owner tries again, or None.
    """

    code: str
    category: Category
    severity: Severity
    times: int = 1
    retryable: bool = True
    retry_after: int | None = None
    settled: bool = False
    next_try: int | None = None


def plan_for(code: str, category: Category, severity: Severity) -> Plan:
    """How a kind of failure is met."""
    return BY_CODE.get(code) or PLANS[category, severity]


def backoff(count: int) -> int:
    """How long a client waits after so many failures, milliseconds; it draws from half of that
    upwards."""
    return min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS << min(count - 1, 10))


class Recoveries:
    """Carries out what a server can.

    Attributes:
        actions: what it can do; each says whether it did.
    """

    def __init__(self) -> None:
        self.actions: dict[Action, Callable[[], bool]] = {}

    def recover(self, failed: Failed) -> Recovery:
        """Does something about a failure, or says who does."""
        plan = plan_for(failed.code, failed.category, failed.severity)
        strategy, action, message = plan
        if failed.settled:
            return Recovery(strategy, action, True, f"It is dealt with. {message}", None)
        if failed.next_try is not None:
            wait = failed.next_try
            return Recovery(
                strategy, action, None, f"The server tries again by itself. {message}", wait
            )
        act = self.actions.get(action)
        if act is not None:
            done = act()
            # Whether it helped is seen later.
            return Recovery(strategy, action, None if done else False, message, None)
        delay = None
        if failed.retryable and plan is not MEND:
            delay = failed.retry_after if failed.retry_after is not None else backoff(failed.times)
        return Recovery(strategy, action, None, message, delay)
