"""Which bytes go to which live reader, for what one step of the hub brings. No I/O."""

from collections.abc import Iterable, Iterator, Sequence

from tidewire.core.frame import Encoding
from tidewire.core.index import Index
from tidewire.core.log import Entry
from tidewire.core.reader import Reader


def groups(entries: Iterable[Entry], max_bytes: int) -> Iterator[list[Entry]]:
    """Cuts entries into runs whose bodies have at most ``max_bytes`` together, or one entry."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and size + len(entry.body) > max_bytes:
            yield group
            group, size = [], 0
        group.append(entry)
        size += len(entry.body)
    if group:
        yield group


def fan_out(
    entries: Sequence[Entry], cursors: Sequence[str], index: Index
) -> Iterator[tuple[Reader, bytes]]:
    """Yields each live reader that gets any of the entries, with all that it gets, joined.
    ``cursors`` are those of the live readers, after each entry.

    Readers that get the same entries in the same encoding get the same bytes object. A mask
    has one bit for each entry. Only readers that are named are touched, unless an entry is
    for everyone. The index may change while this runs.
    """
    everyone = 0
    named: dict[Reader, int] = {}
    for bit, entry in enumerate(entries):
        if entry.target.everyone:
            everyone |= 1 << bit
        else:
            for reader in index.named(entry.target):
                named[reader] = named.get(reader, 0) | 1 << bit
    frames: dict[tuple[int, Encoding], bytes] = {}
    joined: dict[tuple[int, Encoding], bytes] = {}
    wanted: dict[frozenset[str], int] = {}
    for reader in tuple(index) if everyone else tuple(named):
        mask = everyone | named.get(reader, 0)
        if reader.types:
            if reader.types not in wanted:
                wanted[reader.types] = _mask(entries, reader.types)
            mask &= wanted[reader.types]
        if mask:
            key = (mask, reader.sink.encoding)
            if key not in joined:
                joined[key] = _join(entries, cursors, mask, reader.sink.encoding, frames)
            yield reader, joined[key]


def _mask(entries: Sequence[Entry], types: frozenset[str]) -> int:
    return sum(1 << bit for bit, entry in enumerate(entries) if entry.type in types)


def _join(
    entries: Sequence[Entry],
    cursors: Sequence[str],
    mask: int,
    encoding: Encoding,
    frames: dict[tuple[int, Encoding], bytes],
) -> bytes:
    parts = []
    for bit, entry in enumerate(entries):
        if mask >> bit & 1:
            key = (bit, encoding)
            if key not in frames:
                frames[key] = encoding.entry(entry, cursors[bit])
            parts.append(frames[key])
    return b"".join(parts)
