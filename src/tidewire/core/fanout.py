"""Which bytes go to which live reader, for what one step of the hub brings. No I/O."""

from collections.abc import Iterable, Iterator, Sequence

from tidewire.core.frame import Encoding
from tidewire.core.frames import Frames
from tidewire.core.index import Index
from tidewire.core.log import Entry
from tidewire.core.reader import Kin, Reader


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
    entries: Sequence[Entry], cursors: Sequence[str], index: Index, frames: Frames
) -> Iterator[tuple[bytes, Kin | Sequence[Reader], int]]:
    """Yields all that live readers get of the entries, joined, with those who get exactly that,
    and how many entries it is; each reader once. ``cursors`` are those of the live readers, after
    each entry.

    A mask has one bit for each entry. Only readers that are named are looked at one by one;
    where nobody is, a whole kin gets the same. The index may change while this runs.
    """
    everyone = 0
    named: dict[Reader, int] = {}
    for bit, entry in enumerate(entries):
        if entry.target.everyone:
            everyone |= 1 << bit
        else:
            for reader in index.named(entry.target):
                named[reader] = named.get(reader, 0) | 1 << bit
    wanted: dict[frozenset[str], int] = {}
    joined: dict[tuple[int, Encoding], bytes] = {}

    def join(mask: int, encoding: Encoding) -> bytes:
        # Who wants other types may want the same of these entries, and gets the same object.
        key = mask, encoding
        if key not in joined:
            joined[key] = _join(entries, cursors, mask, encoding, frames)
        return joined[key]

    alike: dict[tuple[int, Encoding], list[Reader]] = {}
    for reader, mask in named.items():
        key = (everyone | mask) & _wanted(entries, reader.types, wanted), reader.sink.encoding
        alike.setdefault(key, []).append(reader)
    for (mask, encoding), readers in alike.items():
        if mask:
            yield join(mask, encoding), readers, mask.bit_count()
    if not everyone:
        return
    for kin in index.kins():
        mask = everyone & _wanted(entries, kin.types, wanted)
        if mask:
            data = join(mask, kin.encoding)
            those = [each for each in kin.readers if each not in named] if named else kin
            yield data, those, mask.bit_count()


def _wanted(
    entries: Sequence[Entry], types: frozenset[str], known: dict[frozenset[str], int]
) -> int:
    if not types:
        return -1
    mask = known.get(types)
    if mask is None:
        mask = sum(1 << bit for bit, entry in enumerate(entries) if entry.type in types)
        known[types] = mask
    return mask


def _join(
    entries: Sequence[Entry], cursors: Sequence[str], mask: int, encoding: Encoding, frames: Frames
) -> bytes:
    return b"".join(
        frames.frame(entry, cursors[bit], encoding)
        for bit, entry in enumerate(entries)
        if mask >> bit & 1
    )
