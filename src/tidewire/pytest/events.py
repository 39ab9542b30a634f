"""What was published: all of it, or a choice, with what one says of it in a test."""

import json
from collections.abc import Callable, Sequence
from typing import Final, overload

from tidewire.core.event import Event
from tidewire.core.target import Identity, Target

MAX_SHOWN: Final = 20
MAX_DATA_CHARACTERS: Final = 100


class Published(Sequence[Event]):
    """Events in the order in which they were published, with their ids. ``of``, ``to…`` and
    ``would_reach`` choose among them; a choice also has what is published later.

    Attributes:
        events: all of them, chosen or not.
    """

    def __init__(
        self,
        events: list[Event],
        wanted: Callable[[Event], bool] = lambda _: True,
        words: Sequence[str] = (),
    ) -> None:
        """A choice.

        Args:
            events: all that was published.
            wanted: whether one is chosen.
            words: how the choice is described.
        """
        self.events = events
        self._wanted = wanted
        self._words = words

    # As a sequence

    def __len__(self) -> int:
        return len(self._chosen())

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...

    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self._chosen()[index]

    def __eq__(self, other: object) -> bool:
        return self._chosen() == (other._chosen() if isinstance(other, Published) else other)

    def __repr__(self) -> str:
        return f"<{_counted(len(self))}{self._described()}>"

    @property
    def types(self) -> list[str]:
        """The types of the chosen events, in order."""
        return [event.type for event in self]

    # Choosing

    def of(self, type_: str) -> "Published":
        """Those of a type."""
        return self._choose(lambda event: event.type == type_, f"of type {type_!r}")

    def to(self, *users: str) -> "Published":
        """Those whose targets name all of these users."""
        return self._choose(lambda event: event.target.users >= {*users}, _named("user", users))

    def to_roles(self, *roles: str) -> "Published":
        """Those whose targets name all of these roles."""
        return self._choose(lambda event: event.target.roles >= {*roles}, _named("role", roles))

    def to_topics(self, *topics: str) -> "Published":
        """Those whose targets name all of these topics."""
        return self._choose(lambda event: event.target.topics >= {*topics}, _named("topic", topics))

    def to_everyone(self) -> "Published":
        """Those without any target."""
        return self._choose(lambda event: event.target.everyone, "to everyone")

    def would_reach(self, identity: Identity | str) -> "Published":
        """Those that somebody may see: by their id, roles and topics, as if they had subscribed to
        all of these."""
        who = Identity(identity) if isinstance(identity, str) else identity
        return self._choose(
            lambda event: event.target.includes(who), f"that would reach {_described(who)}"
        )

    # Asserting

    def one(self, type_: str | None = None, *, to: str | None = None) -> Event:
        """The only one that is chosen.

        Args:
            type_: as ``of(type_)``.
            to: a user, as ``to(user)``.

        Raises:
            AssertionError: there is none, or there are several; it says what was published.
        """
        __tracebackhide__ = True
        choice = self._narrowed(type_, to)
        found = choice._chosen()
        if len(found) != 1:
            choice._fail("one event", len(found))
        return found[0]

    def none(self, type_: str | None = None, *, to: str | None = None) -> None:
        """Says that none is chosen. The arguments are those of `one`.

        Raises:
            AssertionError: there are some; it says which.
        """
        __tracebackhide__ = True
        choice = self._narrowed(type_, to)
        found = choice._chosen()
        if found:
            choice._fail("no event", len(found))

    def clear(self) -> None:
        """Forgets all that was published until now, chosen or not."""
        self.events.clear()

    def _chosen(self) -> list[Event]:
        # Another thread may publish meanwhile.
        return [event for event in list(self.events) if self._wanted(event)]

    def _choose(self, wanted: Callable[[Event], bool], words: str) -> "Published":
        before = self._wanted
        return Published(
            self.events, lambda event: before(event) and wanted(event), [*self._words, words]
        )

    def _narrowed(self, type_: str | None, to: str | None) -> "Published":
        choice = self if type_ is None else self.of(type_)
        return choice if to is None else choice.to(to)

    def _described(self) -> str:
        return "".join(f" {words}" for words in self._words)

    def _fail(self, expected: str, found: int) -> None:
        __tracebackhide__ = True
        lines = [f"Expected {expected}{self._described()}; there are {found or 'none'}."]
        events = list(self.events)
        if not events:
            lines.append("Nothing was published.")
        else:
            lines.append(f"{_counted(len(events))} published, * = chosen:")
            lines += [
                f"  {'*' if self._wanted(event) else ' '} {_told(event)}"
                for event in events[-MAX_SHOWN:]
            ]
        raise AssertionError("\n".join(lines))


def _counted(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"


def _named(what: str, names: Sequence[str]) -> str:
    return f"to {what}{'' if len(names) == 1 else 's'} {', '.join(names)}"


def _described(identity: Identity) -> str:
    parts = [repr(identity.user_id)]
    for what, names in (("roles", identity.roles), ("topics", identity.topics)):
        if names:
            parts.append(f"{what} {', '.join(sorted(names))}")
    return " with ".join(parts[:2]) + "".join(f" and {part}" for part in parts[2:])


def _told(event: Event) -> str:
    data = json.dumps(event.data, ensure_ascii=False)
    if len(data) > MAX_DATA_CHARACTERS:
        data = f"{data[:MAX_DATA_CHARACTERS]}…"
    return f"{event.type} {_target(event.target)}: {data}"


def _target(target: Target) -> str:
    if target.everyone:
        return "to everyone"
    named = (("user", target.users), ("role", target.roles), ("topic", target.topics))
    return ", ".join(_named(what, sorted(names)) for what, names in named if names)
