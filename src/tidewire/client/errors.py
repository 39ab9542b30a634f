"""What a client and a publisher raise.

What the server refuses is raised as the error of `tidewire.core.errors` that it was there; so an
`InvalidEvent` is one whoever found it. Beside these:

    TidewireError
    ├── GapError            something was missed, and nobody listens for that
    ├── Refused             the server's refusal has no name that we know
    ├── SentAway            the server told the client not to come back
    └── ServiceError
        └── Unavailable
            └── Unreachable     no answer, or none of the server's
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from tidewire.client.failure import Failure
from tidewire.client.messages import Gap
from tidewire.core import errors
from tidewire.core.errors import Category, Recovery, TidewireError, Unavailable


class GapError(TidewireError):
    """Something was missed: fetch anew what depends on it. Iterating again goes on behind the hole.

    Attributes:
        gap: from where to where, and why.
    """

    code = "GAP"
    title = "Something was missed"
    category: ClassVar[Category] = "client"
    recovery: ClassVar[Recovery] = "none"

    def __init__(self, gap: Gap) -> None:
        super().__init__(f"What lies in ({gap.from_}, {gap.to}] was missed: {gap.reason}.")
        self.gap = gap


class Refused(TidewireError):
    """The server answered with a problem that trying again does not mend.

    Attributes:
        answer: the problem; empty if there was none.
    """

    title = "The server refused"
    recovery: ClassVar[Recovery] = "none"
    retryable = False

    def __init__(self, answer: Mapping[str, Any], status: int) -> None:
        code = answer.get("code", f"HTTP {status}")
        super().__init__(f"{code}: {answer.get('detail', 'no reason was given')}")
        self.answer = answer


class SentAway(TidewireError):
    """The server ended the stream, and told the client not to come back."""

    code = "SENT_AWAY"
    title = "Sent away"
    category: ClassVar[Category] = "connection"
    recovery: ClassVar[Recovery] = "none"
    retryable = False


class Unreachable(Unavailable):
    """No server answers at the address, or not in time.

    Attributes:
        in_doubt: whether what was asked for may have been done all the same.
    """

    code = "UNREACHABLE"
    title = "The server cannot be reached"

    def __init__(self, detail: str, *, in_doubt: bool = False) -> None:
        super().__init__(detail)
        self.in_doubt = in_doubt


def _named(kind: type[TidewireError]) -> dict[str, type[TidewireError]]:
    """Those of the core that have a code of their own, by it."""
    known: dict[str, type[TidewireError]] = {}
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            known |= ({each.code: each} if "code" in vars(each) else {}) | _named(each)
    return known


_MADE: Final[Mapping[str, Callable[[Failure], TidewireError]]] = {
    "SENT_AWAY": lambda failure: SentAway(failure.detail),
    "LOG_AWAY": lambda failure: errors.LogAway(failure.detail),
    "VALIDATION_IDEMPOTENCY": lambda failure: errors.IdempotencyConflict(),
}
"""Those that are not made of a detail alone."""

_MEMBERS: Final = frozenset(TidewireError("").problem())


def error_of(failure: Failure) -> TidewireError:
    """A failure as an error, to be raised: the one that the server meant, where that is known."""
    make = _MADE.get(failure.code)
    if make is not None:
        error = make(failure)
    else:
        kind = _named(TidewireError).get(failure.code) or _kind(failure)
        error = kind(failure.detail)
        error.extra |= {
            name: value for name, value in failure.problem.items() if name not in _MEMBERS
        }
    after = failure.retry_after
    error.retry_after = None if after is None else round(after)
    # What the server said counts, also where it is newer than this client.
    told = {"code": failure.code, "category": failure.category, "recovery": failure.recovery}
    vars(error).update(told if failure.status is None else {**told, "status": failure.status})
    error.__cause__ = failure.cause
    return error


def _kind(failure: Failure) -> type[TidewireError]:
    """Of a code that is not known here."""
    match failure.category:
        case "authentication":
            return errors.Forbidden if failure.recovery == "none" else errors.AuthenticationError
        case "rate_limit":
            return errors.LimitError
        case "client" | "validation":
            return errors.RequestError
        case "server":
            return errors.ServiceError
        case "connection" | "timeout":
            return Unreachable
