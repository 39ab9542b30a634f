"""What hears of everything that is published."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar, overload

from tidewire.core.event import Event
from tidewire.core.log import Entry
from tidewire.core.position import Position


class Accepted(Protocol):
    """What became of a publish."""

    @property
    def ids(self) -> Sequence[str]: ...


Answer = TypeVar("Answer", bound=Accepted)


def recording(
    accept: Callable[..., Awaitable[Answer]], events: list[Event]
) -> Callable[..., Awaitable[Answer]]:
    """The same as `Tidewire.accept`, and adds what was accepted."""

    async def accepting(given: Sequence[Event], **rest: Any) -> Answer:
        given = list(given)
        accepted = await accept(given, **rest)
        known = {event.id for event in events}
        # A repeat gets the ids of the first time, and nobody gets it again.
        events.extend(
            delivered(event, id_)
            for event, id_ in zip(given, accepted.ids, strict=True)
            if id_ not in known
        )
        return accepted

    return accepting


def delivered(event: Event, id_: str) -> Event:
    """An event as readers get it, its payload read back from JSON."""
    place = Position.parse(id_)
    return Entry(place, event.type, event.target, event.body, event.session_id).event()


class RecordingPublisher:
    """Takes the place of a ``tidewire.client.Publisher`` in a test."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._keys: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def publish(self, event: Event, *, key: str | None = None) -> str: ...

    @overload
    def publish(self, event: Iterable[Event], *, key: str | None = None) -> list[str]: ...

    def publish(self, event: Event | Iterable[Event], *, key: str | None = None) -> str | list[str]:
        """Publishes one event, or several in order; returns the ids. A key that was used before
        gets the ids of then.

        Raises:
            ValueError: there are no events, or one has an id already.
        """
        given = [event] if isinstance(event, Event) else list(event)
        if not given or any(each.id is not None for each in given):
            raise ValueError("publish takes one or more events that are not yet in a log")
        ids = self._keys.get(key) if key is not None else None
        if ids is None:
            ids = [self._accept(each) for each in given]
            if key is not None:
                self._keys[key] = ids
        return ids[0] if isinstance(event, Event) else list(ids)

    def close(self) -> None:
        """Does nothing: there is nothing to close."""

    def _accept(self, event: Event) -> str:
        id_ = str(Position(time.time_ns() // 1_000_000, len(self._events) + 1, "tests"))
        self._events.append(delivered(event, id_))
        return id_
