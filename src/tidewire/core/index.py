"""The live readers, found by whom an event names. It narrows; `Target.includes` decides."""

from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

from tidewire.core.frame import Encoding
from tidewire.core.reader import Reader
from tidewire.core.target import Identity, Target

Kind: TypeAlias = tuple[frozenset[str], Encoding]
"""The types that are wanted, and how they are written: readers of one kind get the same bytes of
what is for everyone."""

_Readers: TypeAlias = dict[Reader, None]


class Index:
    """Live readers by kind, user, role and topic. Dicts as ordered sets: delivery order is
    stable."""

    __slots__ = ("_kinds", "_roles", "_topics", "_users")

    def __init__(self) -> None:
        self._kinds: dict[Kind, _Readers] = {}
        self._users: dict[str, _Readers | Reader] = {}
        self._roles: dict[str, _Readers | Reader] = {}
        self._topics: dict[str, _Readers | Reader] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def __iter__(self) -> Iterator[Reader]:
        return chain.from_iterable(self._kinds.values())

    def __contains__(self, reader: Reader) -> bool:
        return reader in self._kinds.get(reader.kind, ())

    def add(self, reader: Reader) -> None:
        self._kinds.setdefault(reader.kind, {})[reader] = None
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
        readers = self._kinds[reader.kind]
        del readers[reader]
        if not readers:
            del self._kinds[reader.kind]
        for named, name in self._places(reader.identity):
            found = named[name]
            if isinstance(found, dict):
                del found[reader]
                if found:
                    continue
            del named[name]

    def kinds(self) -> Iterator[tuple[Kind, tuple[Reader, ...]]]:
        """All readers, by what they want and how they are written to. The index may change
        while this runs."""
        for kind in tuple(self._kinds):
            yield kind, tuple(self._kinds.get(kind, ()))

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
