"""The journal of errors: every failure of a node passes here, and the newest stay for a while."""

import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable, Collection
from itertools import chain
from typing import Any, Final

from tidewire.core.clock import Clock
from tidewire.core.errors import TidewireError
from tidewire.core.journal import Journal
from tidewire.health.failure import CATEGORIES, SEVERITIES, Kind, context_of, kind_of, words_of
from tidewire.health.recovery import Failed, Recoveries, Recovery

MAX_ERRORS: Final = 1_000
KEPT_MS: Final = 3_600_000
TOGETHER_MS: Final = 60_000
"""How many errors are kept, for how long, and within what time equal ones are one."""

MAX_WORDS: Final = 500
MAX_PART: Final = 200
MAX_LOOKED_AT: Final = 4_096
"""Characters of a message and of a part of a context that are kept, and of either that are
looked at for what may be secret."""

AT_WILL: Final = frozenset({"endpoint", "address"})
"""What clients can vary at will, so that it makes no other error of one that is theirs."""

RECENT_MS: Final = 300_000


class LoggingJournal:
    """Notes on the logger ``tidewire``; what was raised goes in as its class and message."""

    __slots__ = ("_logger",)

    def __init__(self) -> None:
        self._logger = logging.getLogger("tidewire")

    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        self._logger.warning("%s", _line(what, error, context))


def _line(what: str, error: BaseException | None, context: dict[str, object]) -> str:
    details = [f"{key}={value}" for key, value in sorted(context.items())]
    if error is not None:
        details.append(f"{type(error).__name__}: {error}")
    return _printable(what + (" (" + ", ".join(details) + ")" if details else ""))


def _printable(text: str) -> str:
    """A text as one line: whoever chooses a part of it must not be able to begin another."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class ErrorEntry:
    """One error, or several equal ones of one minute.

    Attributes:
        kind: what kind it is.
        id: its name.
        timestamp: when it happened first, Unix milliseconds.
        last_at: when it happened last.
        message: what it is about.
        context: whom it concerned, the last time.
        recovery: what was done about it.
        count: how often it happened.
    """

    __slots__ = (
        "context",
        "count",
        "id",
        "key",
        "kind",
        "last_at",
        "message",
        "recovery",
        "timestamp",
    )

    def __init__(
        self, key: object, id_: str, kind: Kind, now: int, message: str, context: dict[str, Any]
    ) -> None:
        self.key = key
        self.id = id_
        self.kind = kind
        self.timestamp = self.last_at = now
        self.message = message
        self.context = context
        self.recovery: Recovery | None = None
        self.count = 0

    def to_json(self, node: str) -> dict[str, Any]:
        """The error as administrators see it."""
        return {
            "id": self.id,
            "timestamp": self.timestamp,
            "code": self.kind.code,
            "category": self.kind.category,
            "severity": self.kind.severity,
            "message": self.message,
            "context": {**self.context, "node": node},
            "retryable": self.kind.retryable,
            "retryAfter": self.kind.retry_after,
            "recovery": None if self.recovery is None else self.recovery.to_json(),
            "count": self.count,
            "lastAt": self.last_at,
        }


class ErrorJournal:
    """Keeps errors, and passes on what is for a log. Of too many those go first that are of low
    severity, so that nobody pushes out what is worse by faults of their own.

    Attributes:
        recoveries: what is done about them.
        totals: (category, code) → how many there were since the start.
    """

    def __init__(
        self, beneath: Journal, *, clock: Clock, redact: Callable[[str], str] = str
    ) -> None:
        """Makes an empty one.

        Args:
            beneath: where notes go that are worth a line: all but answers.
            clock: where the time comes from.
            redact: takes what may be secret out of a text.
        """
        self.recoveries = Recoveries()
        self.totals: Counter[tuple[str, str]] = Counter()
        self._beneath = beneath
        self._clock = clock
        self._redact = redact
        self._logger = logging.getLogger("tidewire.errors")
        self._low: deque[ErrorEntry] = deque()
        self._worse: deque[ErrorEntry] = deque()
        self._open: dict[object, ErrorEntry] = {}
        self._name = secrets.token_hex(4)
        self._made = 0

    def note(
        self,
        what: str,
        *,
        error: BaseException | None = None,
        code: str | None = None,
        answered: bool = False,
        settled: bool = False,
        next_try: int | None = None,
        recovered: Collection[str] = (),
        **context: object,
    ) -> None:
        """As `tidewire.core.journal.Journal.note`."""
        if recovered:
            self._recovered(recovered)
        if error is not None:
            self._keep(what, error, code, context, answered, settled, next_try)
        if not answered:
            rest: dict[str, Any] = context
            self._beneath.note(what, error=error, **rest)
        elif self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug("%s", _line(what, error, context))

    def _keep(
        self,
        what: str,
        error: BaseException,
        code: str | None,
        context: dict[str, object],
        answered: bool,
        settled: bool,
        next_try: int | None,
    ) -> None:
        now = self._clock.now()
        kind = kind_of(error, code)
        self.totals[kind.category, kind.code] += 1
        theirs = answered and isinstance(error, TidewireError) and error.status < 500
        # What is noted at one place is noted with the same names, in the same order.
        parts = (
            str(value)[:MAX_PART]
            for name, value in context.items()
            if not (theirs and name in AT_WILL)
        )
        key = (kind.code, type(error).__name__, what, *parts)
        entry = self._open.get(key)
        if entry is None or not 0 <= now - entry.timestamp < TOGETHER_MS:
            entry = self._add(key, kind, now, what, error, context)
        elif theirs:
            entry.context = self._told(context)
        entry.count += 1
        entry.last_at = now
        if entry.count > 1 and kind.severity in ("low", "medium") and next_try is None:
            # Nothing is done about it that was not done about the first.
            return
        entry.recovery = self.recoveries.recover(
            Failed(
                kind.code,
                kind.category,
                kind.severity,
                entry.count,
                kind.retryable,
                kind.retry_after,
                settled,
                next_try,
            )
        )

    def _add(
        self,
        key: object,
        kind: Kind,
        now: int,
        what: str,
        error: BaseException,
        context: dict[str, object],
    ) -> ErrorEntry:
        self._made += 1
        words = self._safe(words_of(error, what), MAX_WORDS)
        entry = ErrorEntry(key, f"{self._name}-{self._made}", kind, now, words, self._told(context))
        (self._low if kind.severity == "low" else self._worse).append(entry)
        self._open[key] = entry
        self._forget(now)
        return entry

    def _told(self, context: dict[str, object]) -> dict[str, Any]:
        """A context as it is kept."""
        return {
            name: self._safe(value, MAX_PART) if isinstance(value, str) else value
            for name, value in context_of(context).items()
        }

    def _safe(self, text: str, length: int) -> str:
        # Cut twice: to look for secrets costs time, and what is cut off must not hide one.
        return self._redact(text[:MAX_LOOKED_AT])[:length]

    def _forget(self, now: int) -> None:
        for entries in (self._low, self._worse):
            while entries and (len(self) > MAX_ERRORS or now - entries[0].last_at > KEPT_MS):
                gone = entries.popleft()
                if self._open.get(gone.key) is gone:
                    del self._open[gone.key]

    def _recovered(self, codes: Collection[str]) -> None:
        for entry in chain(self._low, self._worse):
            if entry.kind.code in codes and entry.recovery is not None:
                if entry.recovery.success is None:
                    entry.recovery = entry.recovery._replace(success=True, next_delay=None)
                # What comes after this is another failure.
                if self._open.get(entry.key) is entry:
                    del self._open[entry.key]

    def __bool__(self) -> bool:
        # An empty one is a journal too, where another stands in for none.
        return True

    def __len__(self) -> int:
        return len(self._low) + len(self._worse)

    def kept(self, within_ms: int = KEPT_MS) -> list[ErrorEntry]:
        """The errors that happened within so many milliseconds, newest first."""
        now = self._clock.now()
        self._forget(now)
        every = chain(self._low, self._worse)
        recent = (entry for entry in every if now - entry.last_at <= within_ms)
        return sorted(recent, key=lambda entry: entry.last_at, reverse=True)

    def of_categories(self, within_ms: int = RECENT_MS) -> Counter[str]:
        """How many errors of each category there were within so many milliseconds, as far as
        these are kept."""
        counted: Counter[str] = Counter()
        for entry in self.kept(within_ms):
            counted[entry.kind.category] += entry.count
        return counted

    def summary(self, node: str, limit: int) -> dict[str, Any]:
        """What is kept: the newest, and how many of each category and severity."""
        kept = self.kept()
        categories = dict.fromkeys(CATEGORIES, 0)
        severities = dict.fromkeys(SEVERITIES, 0)
        for entry in kept:
            categories[entry.kind.category] += entry.count
            severities[entry.kind.severity] += entry.count
        return {
            "recent": [entry.to_json(node) for entry in kept[:limit]],
            "byCategory": categories,
            "bySeverity": severities,
            "total": sum(categories.values()),
        }

    def clear(self) -> int:
        """Forgets all errors; returns how many entries that were."""
        cleared = len(self)
        self._low.clear()
        self._worse.clear()
        self._open.clear()
        return cleared


def merged(summaries: Collection[dict[str, Any]], limit: int) -> dict[str, Any]:
    """The summaries of several nodes as one."""
    recent = [entry for one in summaries for entry in one["recent"]]
    recent.sort(key=lambda entry: entry["lastAt"], reverse=True)
    told: dict[str, Any] = {"recent": recent[:limit]}
    for name, keys in (("byCategory", CATEGORIES), ("bySeverity", SEVERITIES)):
        told[name] = {key: sum(one[name].get(key, 0) for one in summaries) for key in keys}
    return {**told, "total": sum(one["total"] for one in summaries)}
