"""The live readers, found by whom an event names. It narrows; `Target.includes` decides."""

from collections.abc import Iterator

from tidewire.core.reader import Reader
from tidewire.core.target import Identity, Target

_Named = dict[str, dict[Reader, None]]


class Index:
    """Live readers by user, role and topic. Dicts as ordered sets: delivery order is stable."""

    __slots__ = ("_all", "_roles", "_topics", "_users")

    def __init__(self) -> None:
        self._all: dict[Reader, None] = {}
        self._users: _Named = {}
        self._roles: _Named = {}
        self._topics: _Named = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Reader]:
        return iter(self._all)

    def __contains__(self, reader: Reader) -> bool:
        return reader in self._all

    def add(self, reader: Reader) -> None:
        self._all[reader] = None
        for names, name in self._places(reader.identity):
            names.setdefault(name, {})[reader] = None

    def remove(self, reader: Reader) -> None:
        """Takes a reader out; its identity must be the one that it was added with."""
        del self._all[reader]
        for names, name in self._places(reader.identity):
            readers = names[name]
            del readers[reader]
            if not readers:
                del names[name]

    def named(self, target: Target) -> Iterator[Reader]:
        """The live readers that a target includes, each once."""
        if target.everyone:
            yield from self._all
            return
        found: dict[Reader, None] = {}
        for named, names in (
            (target.users, self._users),
            (target.roles, self._roles),
            (target.topics, self._topics),
        ):
            for name in named:
                found.update(names.get(name, {}))
        for reader in found:
            if target.includes(reader.identity):
                yield reader

    def _places(self, identity: Identity) -> Iterator[tuple[_Named, str]]:
        yield self._users, identity.user_id
        for role in identity.roles:
            yield self._roles, role
        for topic in identity.topics:
            yield self._topics, topic
