"""The frames of what came last: an entry is encoded once, also for those who read it later."""

from collections import OrderedDict
from typing import Final

from tidewire.core.frame import Encoding
from tidewire.core.log import Entry

MAX_BYTES: Final = 8 * 1024 * 1024

_OVERHEAD: Final = 700
"""What it costs to remember a frame, beside the bytes of it and of the body of its entry: 300 for
the frame, and 300 to 600 for the entry."""


class Frames:
    """Encodes entries, and remembers the last frames that it made, up to so many bytes."""

    __slots__ = ("_bytes", "_frames", "_max_bytes")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        # One that finds its oldest at once, however many have gone before.
        self._frames: OrderedDict[tuple[int, Encoding], tuple[Entry, str, bytes]] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    def frame(self, entry: Entry, cursor: str, encoding: Encoding) -> bytes:
        """The bytes of an entry for a reader who stands at ``cursor`` after it."""
        key = (entry.position.offset, encoding)
        known = self._frames.get(key)
        # The same object: another epoch has other entries at the same offsets.
        if known is not None and known[0] is entry and known[1] == cursor:
            return known[2]
        frame = encoding.entry(entry, cursor)
        self._remember(key, (entry, cursor, frame))
        return frame

    def _remember(self, key: tuple[int, Encoding], made: tuple[Entry, str, bytes]) -> None:
        before = self._frames.pop(key, None)
        if before is not None:
            self._bytes -= _size(before)
        self._frames[key] = made
        self._bytes += _size(made)
        while self._bytes > self._max_bytes:
            _, oldest = self._frames.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(made: tuple[Entry, str, bytes]) -> int:
    # The entry is kept with its frame, perhaps longer than its log keeps it.
    return len(made[2]) + len(made[0].body) + _OVERHEAD
