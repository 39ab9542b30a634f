"""The live readers, found by whom an event names. It narrows; `Target.includes` decides."""

from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

from tidewire.core.frame import Encoding
from tidewire.core.reader import Kin, Reader, Sink
from tidewire.core.target import Identity, Target

_Kind: TypeAlias = tuple[frozenset[str], Encoding, type[Sink]]

_Readers: TypeAlias = dict[Reader, None]


class Index:
    """Live readers by kin, user, role and topic. Dicts as ordered sets: delivery order is
    stable."""

    __slots__ = ("_kins", "_roles", "_topics", "_users")

    def __init__(self) -> None:
        self._kins: dict[_Kind, Kin] = {}
        self._users: dict[str, _Readers | Reader] = {}
        self._roles: dict[str, _Readers | Reader] = {}
        self._topics: dict[str, _Readers | Reader] = {}

    def __len__(self) -> int:
        return sum(len(kin.readers) for kin in self._kins.values())

    def __iter__(self) -> Iterator[Reader]:
        return chain.from_iterable(kin.readers for kin in self._kins.values())

    def __contains__(self, reader: Reader) -> bool:
        kin = self._kins.get(_kind(reader))
        return kin is not None and reader in kin.readers

    def add(self, reader: Reader) -> None:
        kin = self._kins.get(_kind(reader))
        if kin is None:
            kin = self._kins[_kind(reader)] = Kin(reader)
        kin.readers[reader] = reader.sink
        reader.join(kin)
        for named, name in self._places(reader.identity):
            found = named.get(name)
            if found is None:
                # Most users have one stream, and a dict for it would weigh more than the reader.
                named[name] = reader
            elif isinstance(found, dict):
                found[reader] = None
            else:
                named[name] = {found: None, reader: None}

    def remove(self, reader: Reader) -> None:
        """Takes a reader out; its identity must be the one that it was added with."""
        kin = self._kins[_kind(reader)]
        del kin.readers[reader]
        if not kin.readers:
            del self._kins[_kind(reader)]
        reader.part()
        for named, name in self._places(reader.identity):
            found = named[name]
            if isinstance(found, dict):
                del found[reader]
                if found:
                    continue
            del named[name]

    def kins(self) -> tuple[Kin, ...]:
        """All readers, by what they want and how they are written to."""
        return tuple(self._kins.values())

    def named(self, target: Target) -> Iterator[Reader]:
        """The live readers that a target includes, each once."""
        if target.everyone:
            yield from self
            return
        found: _Readers = {}
        for named, names in (
            (target.users, self._users),
            (target.roles, self._roles),
            (target.topics, self._topics),
        ):
            for name in named:
                readers = names.get(name)
                if isinstance(readers, dict):
                    found.update(readers)
                elif readers is not None:
                    found[readers] = None
        for reader in found:
            if target.includes(reader.identity):
                yield reader

    def _places(self, identity: Identity) -> Iterator[tuple[dict[str, _Readers | Reader], str]]:
        yield self._users, identity.user_id
        for role in identity.roles:
            yield self._roles, role
        for topic in identity.topics:
            yield self._topics, topic


def _kind(reader: Reader) -> _Kind:
    return reader.types, reader.sink.encoding, type(reader.sink)
