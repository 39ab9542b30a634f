"""What is published together, and what is to be done when it was refused."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tidewire.core.errors import EventTooLarge, IdempotencyConflict, InvalidEvent, TidewireError
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey

MAX_EVENTS: Final = 500
MAX_CHARACTERS: Final = 250_000
"""At most a megabyte, so that a `Publisher` sends it in one go."""

KEY_MILLISECONDS: Final = 10 * 60 * 1000
"""For how long a log knows what was published under a key."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that were sealed: they are published together, under one name, as often as it takes.

    Attributes:
        name: 32 random hexadecimal digits.
        sealed_at: when, Unix milliseconds.
        ids: of the rows, in order.
        events: theirs.
    """

    name: str
    sealed_at: int
    ids: tuple[int, ...]
    events: tuple[Event, ...]

    @property
    def key(self) -> IdempotencyKey:
        """What makes publishing it again harmless."""
        digest = hashlib.sha256()
        for event in self.events:
            targets = repr(sorted(event.target.to_metadata().items()))
            digest.update(event.body + targets.encode() + repr(event.session_id).encode())
        return IdempotencyKey(f"outbox/{self.name}", digest.hexdigest())

    def outlived_key(self, now: int) -> bool:
        """Whether a repeat may be published a second time; ``now``: Unix milliseconds."""
        return now - self.sealed_at >= KEY_MILLISECONDS


@dataclass(frozen=True, slots=True)
class Done:
    """It is published."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event can never be published, and the others can.

    Attributes:
        index: which one.
        reason: why.
    """

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """Nothing was published, and less at a time may be."""


@dataclass(frozen=True, slots=True)
class Again:
    """The same, later.

    Attributes:
        after: milliseconds that the server asks for.
    """

    after: int = 0


Verdict: TypeAlias = Done | SetAside | Split | Again


def judged(error: TidewireError, batch: Batch) -> Verdict:
    """What to do about a refusal."""
    if isinstance(error, IdempotencyConflict):
        # Nobody else has this name: it was published, by a version that wrote it otherwise.
        return Done()
    index = error.extra.get("index")
    is_bad = isinstance(error, InvalidEvent | EventTooLarge)
    if is_bad and len(batch.ids) == 1:
        return SetAside(0, error.detail)
    if is_bad and isinstance(index, int) and 0 <= index < len(batch.ids):
        return SetAside(index, error.detail)
    # A proxy may take less at a time than the server behind it.
    if (is_bad or error.status == 413) and len(batch.ids) > 1:
        return Split()
    # Also what trying again does not mend, such as a token: somebody will, and nothing is lost.
    return Again(error.retry_after or 0)


def grouped(rows: Sequence[tuple[int, str, int, Event]]) -> list[Batch]:
    """Sealed rows (id, batch, sealed at, event) as batches, in the order of their first rows."""
    found: dict[str, list[tuple[int, str, int, Event]]] = {}
    for row in sorted(rows, key=lambda row: row[0]):
        found.setdefault(row[1], []).append(row)
    return [
        Batch(name, each[0][2], tuple(row[0] for row in each), tuple(row[3] for row in each))
        for name, each in found.items()
    ]
