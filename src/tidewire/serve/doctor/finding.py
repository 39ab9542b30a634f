"""What a check found."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

Status: TypeAlias = Literal["pass", "warn", "fail", "skip"]
Measured: TypeAlias = Mapping[str, Any]

HIDDEN: Final = "[hidden]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and how it went.

    Attributes:
        check: its name, of the catalogue.
        status: ``fail``: clients are hurt; ``warn``: they may be; ``skip``: nobody can say.
        reason: what was seen, with the figures.
        mend: what to do about it; None where there is nothing to do.
        measured: the figures by name, as JSON has them.
    """

    check: str
    status: Status
    reason: str
    mend: str | None = None
    measured: Measured = field(default_factory=dict)

    def without(self, secrets: frozenset[str]) -> "Finding":
        """The same, with none of the secrets in its words."""
        return replace(
            self,
            reason=_without(self.reason, secrets),
            mend=None if self.mend is None else _without(self.mend, secrets),
            measured=_without(dict(self.measured), secrets),
        )

    def as_json(self) -> dict[str, Any]:
        """The finding as it stands in the list of ``--json``."""
        return {
            "check": self.check,
            "status": self.status,
            "reason": self.reason,
            "mend": self.mend,
            "measured": dict(self.measured),
        }


def passed(check: str, reason: str, measured: Measured | None = None) -> Finding:
    """A check that found nothing wrong."""
    return Finding(check, "pass", reason, None, measured or {})


def warned(check: str, reason: str, mend: str, measured: Measured | None = None) -> Finding:
    """A check that found what may hurt."""
    return Finding(check, "warn", reason, mend, measured or {})


def failed(check: str, reason: str, mend: str, measured: Measured | None = None) -> Finding:
    """A check that found what hurts."""
    return Finding(check, "fail", reason, mend, measured or {})


def skipped(check: str, reason: str, mend: str | None = None) -> Finding:
    """A check that could not be made."""
    return Finding(check, "skip", reason, mend)


def _without(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {name: _without(item, secrets) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without(item, secrets) for item in value]
    return value
