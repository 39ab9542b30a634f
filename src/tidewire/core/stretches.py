"""Stretches: what several readers read one after the other is put together once.

A crowd that was cut off together comes back with the same cursor, and goes over the same entries.
What one of them gets of these, all get who see the same of them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from tidewire.core.frame import Encoding
from tidewire.core.frames import Frames
from tidewire.core.log import Entry
from tidewire.core.position import Cursor
from tidewire.core.reader import HIGH_WATER, Reader

MAX_STRETCHES: Final = 32
"""How many are remembered, each with `HIGH_WATER` bytes of events at most."""

MAX_ALIKE: Final = 8
"""Ways to see one stretch whose bytes are remembered."""

_Key: TypeAlias = tuple[Cursor, frozenset[str], Encoding]


class Taken(NamedTuple):
    """What a reader gets of a stretch.

    Attributes:
        data: the frames, joined.
        cursor: where it stands then.
        events: how many events it is.
    """

    data: bytes
    cursor: Cursor
    events: int


class Stretch:
    """Entries after one cursor, for those who want the same types in the same encoding.

    A mask has one bit for each entry.

    Attributes:
        last: the last entry; with the cursor it tells which entries they are.
        cursors: where a reader stands after each.
        everyone: which of them everyone sees who has come to this cursor.
        named: those that only some see.
        taken: what is got by those who see just these of them.
    """

    __slots__ = ("cursors", "everyone", "last", "named", "taken")

    def __init__(self, entries: Sequence[Entry], cursor: Cursor, types: frozenset[str]) -> None:
        self.last = entries[-1]
        self.cursors: list[Cursor] = []
        self.everyone = 0
        self.named: list[tuple[int, Entry]] = []
        self.taken: dict[int, Taken] = {}
        for bit, entry in enumerate(entries):
            seen = entry.seen_by(cursor)
            cursor = entry.pass_by(cursor)
            self.cursors.append(cursor)
            if seen or (types and entry.type not in types):
                continue
            if entry.target.everyone:
                self.everyone |= 1 << bit
            else:
                self.named.append((1 << bit, entry))

    def seen_by(self, reader: Reader) -> int:
        """Which of the entries a reader gets."""
        mask = self.everyone
        for bit, entry in self.named:
            if entry.target.includes(reader.identity):
                mask |= bit
        return mask

    def take(
        self,
        mask: int,
        entries: Sequence[Entry],
        encoding: Encoding,
        max_bytes: int,
        frames: Frames,
    ) -> Taken:
        """What a reader gets who sees these of the entries."""
        known = self.taken.get(mask)
        if known is not None:
            return known
        taken: list[bytes] = []
        size = 0
        cursor = self.cursors[-1]
        for bit, entry in enumerate(entries):
            if size >= max_bytes:
                cursor = self.cursors[bit - 1]
                break
            if mask >> bit & 1:
                frame = frames.frame(entry, str(self.cursors[bit]), encoding)
                taken.append(frame)
                size += len(frame)
        made = Taken(b"".join(taken), cursor, len(taken))
        if len(self.taken) < MAX_ALIKE:
            self.taken[mask] = made
        return made


class Stretches:
    """Encodes for those who catch up, and remembers what several of them got."""

    __slots__ = ("_frames", "_known", "_max_bytes")

    def __init__(self, frames: Frames, max_bytes: int = HIGH_WATER) -> None:
        """``max_bytes``: what a reader is given at once, and at most one frame beyond."""
        self._frames = frames
        self._max_bytes = max_bytes
        self._known: OrderedDict[_Key, Stretch] = OrderedDict()

    def take(self, reader: Reader, entries: Sequence[Entry]) -> bytes:
        """Encodes what a reader sees of the entries after its cursor, as much as there is room
        for and at most one frame beyond, and moves the cursor over what was looked at. It is as
        good as written. The entries are in the log, or none of them is."""
        if not entries:
            return b""
        stretch = self._stretch(reader, entries)
        mask = stretch.seen_by(reader)
        taken = stretch.take(mask, entries, reader.sink.encoding, self._max_bytes, self._frames)
        reader.went(taken.cursor, taken.events)
        return taken.data

    def _stretch(self, reader: Reader, entries: Sequence[Entry]) -> Stretch:
        key = reader.cursor, reader.types, reader.sink.encoding
        last = entries[-1]
        stretch = self._known.get(key)
        if stretch is None or stretch.last is not last:
            stretch = Stretch(entries, reader.cursor, reader.types)
            # What is afloat may change within; what is in the log does not.
            if not last.in_log or sum(len(entry.body) for entry in entries) > self._max_bytes:
                return stretch
            self._known[key] = stretch
        self._known.move_to_end(key)
        if len(self._known) > MAX_STRETCHES:
            self._known.popitem(last=False)
        return stretch
