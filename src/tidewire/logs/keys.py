"""Idempotency keys that one process remembers."""

from collections import OrderedDict
from typing import Final, NamedTuple

from tidewire.core.errors import IdempotencyConflict
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Position

IDEMPOTENCY_SECONDS: Final = 600
MAX_KEYS: Final = 100_000


class _Accepted(NamedTuple):
    # What was appended together has one time, and offsets without holes.
    digest: str
    first: Position
    number: int
    until: int


class Keys:
    """What was accepted under which key within the last ten minutes; the newest 100,000."""

    __slots__ = ("_accepted",)

    def __init__(self) -> None:
        self._accepted: OrderedDict[str, _Accepted] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accepted)

    def known(self, key: IdempotencyKey | None, now: int) -> list[Position] | None:
        """The positions that were given under a key; None if it is new. ``now`` in ms.

        Raises:
            IdempotencyConflict: it was used for another digest.
        """
        while self._accepted and next(iter(self._accepted.values())).until <= now:
            self._accepted.popitem(last=False)
        known = None if key is None else self._accepted.get(key.scope)
        if key is None or known is None:
            return None
        if known.digest != key.digest:
            raise IdempotencyConflict()
        first = known.first
        return [
            Position(first.ms, offset, first.epoch)
            for offset in range(first.offset, first.offset + known.number)
        ]

    def remember(self, key: IdempotencyKey | None, positions: list[Position], now: int) -> None:
        """Remembers what was accepted under a key; ``now`` in ms."""
        if key is None:
            return
        until = now + IDEMPOTENCY_SECONDS * 1000
        self._accepted[key.scope] = _Accepted(key.digest, positions[0], len(positions), until)
        self._accepted.move_to_end(key.scope)
        if len(self._accepted) > MAX_KEYS:
            self._accepted.popitem(last=False)
