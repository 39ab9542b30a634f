"""How a node is, by what the last five minutes were like. No I/O.

A rule needs some traffic before it says anything: one failure of two is no trend.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

Status: TypeAlias = Literal["healthy", "degraded", "unhealthy"]

_ORDER: Final[tuple[Status, ...]] = ("healthy", "degraded", "unhealthy")

FEW: Final = 20
"""How many there must have been before a share of them says something."""

FULL_SHARE: Final = 0.9
STALE_SHARE: Final = 0.2
REFUSED_SHARE: Final = 0.5
"""From which share on a node is nearly full, its connections are stale, its callers refused."""

CANARY_SECONDS: Final = 10.0
"""How old a canary may be."""

BEHIND_EVENTS: Final = 10_000
BEHIND_SHARE: Final = 0.1
BEHIND_FEW: Final = 10
"""How far a reader may be behind, which share of them may be further, and of how many readers
that says something: one whose socket takes nothing is a matter of its own network."""


class Judgement(NamedTuple):
    """How one part is. ``reason`` is for an operator; None where it is healthy."""

    status: Status
    reason: str | None = None


HEALTHY: Final = Judgement("healthy")


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The worst of several; the first of equal ones."""
    return max(judgements, key=lambda one: _ORDER.index(one.status), default=HEALTHY)


def connections(states: Mapping[str, int], capacity: int, refused: int) -> Judgement:
    """How connections are.

    Args:
        states: how many there are in each state.
        capacity: how many there may be; 0 = any number.
        refused: how many were refused within five minutes because there was no room.
    """
    total = sum(states.values())
    if capacity and total >= capacity:
        return Judgement("unhealthy", f"{total} connections, and no room for more.")
    if refused:
        return Judgement("degraded", f"{refused} connections were refused for want of room.")
    if capacity and total >= FULL_SHARE * capacity:
        return Judgement("degraded", f"{total} of {capacity} connections.")
    if total >= FEW and states.get("stale", 0) >= STALE_SHARE * total:
        return Judgement("degraded", f"{states['stale']} of {total} connections take nothing.")
    return HEALTHY


def authentication(attempts: int, failed: int, faults: int) -> Judgement:
    """How proving who one is goes.

    Args:
        attempts: how many tried within five minutes.
        failed: how many of these failed.
        faults: how often that was not for them to mend: keys that could not be read.
    """
    if faults:
        return Judgement("degraded", f"{faults} errors that callers cannot mend.")
    if attempts >= FEW and failed >= REFUSED_SHARE * attempts:
        return Judgement("degraded", f"{failed} of {attempts} authentications failed.")
    return HEALTHY


def events(
    *,
    ready: bool,
    degraded: bool,
    canary_age: float,
    behind: tuple[int, int],
    faults: int,
    far_behind: tuple[int, int] = (0, 0),
) -> Judgement:
    """How accepting and delivering goes.

    Args:
        ready: whether the node does both.
        degraded: whether a spool stands in for the log: then the canary is blind.
        canary_age: for how many seconds nothing has shown that the log is heard.
        behind: how many readers are behind, and how far the last of them.
        faults: errors of the server itself within five minutes.
        far_behind: how many readers are further behind than `BEHIND_EVENTS`, and of how many.
    """
    if not ready:
        return Judgement("unhealthy", "The node does not accept and deliver.")
    if not degraded and canary_age > CANARY_SECONDS:
        return Judgement("degraded", f"The canary is {canary_age:.0f} s old.")
    far, readers = far_behind
    if readers >= BEHIND_FEW and far > BEHIND_SHARE * readers:
        told = f"{far} of {readers} readers are far behind, the last of them {behind[1]} events."
        return Judgement("degraded", told)
    if faults:
        return Judgement("degraded", f"{faults} errors of the server itself in five minutes.")
    return HEALTHY


def storage(*, accepts: bool, degraded: bool, reason: str) -> Judgement:
    """How the log is.

    Args:
        accepts: whether it, or its spool, takes more.
        degraded: whether a spool stands in for it.
        reason: why, in its own words.
    """
    if not accepts:
        return Judgement("unhealthy", reason or "It takes no more events.")
    return Judgement("degraded", reason or "A spool stands in for it.") if degraded else HEALTHY
