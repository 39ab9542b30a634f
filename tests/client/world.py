"""A server and a network, as small as they can be: a log, and what links bring of it, in the order
in which somebody says. For what must hold whatever the order is."""

from dataclasses import replace
from typing import Literal, TypeAlias

from tests.client.story import SETTINGS, Story, answer, connected, event, failed, ping, said
from tidewire.client.buffer import placed
from tidewire.client.messages import Envelope, Gap
from tidewire.client.model import Command, Delivery, Link, Message, Signal, Timer, Told

Which: TypeAlias = Literal["link", "probe"]


def at(offset: int) -> str:
    return f"1-{offset}-epoch"


def offset_of(cursor: str) -> int:
    return int(cursor.split("-")[1])


class World:
    """Attributes:
    log: whether the event at an offset is one that may be seen. Offsets begin at 1.
    floor: up to here the log was trimmed.
    seen: what was delivered: offsets, and holes.
    """

    def __init__(self) -> None:
        self.story = Story(replace(SETTINGS, max_reconnect_attempts=2))
        self.log: list[bool] = []
        self.floor = 0
        self.seen: list[int | Gap] = []
        self.kept: list[tuple[str | None, int]] = []
        """The cursor before each thing that was delivered, and how much had been until then."""
        self._served: dict[int, int] = {}
        self._start: int | None = None

    def do(self, command: Command) -> None:
        self._note(command)

    def publish(self, visible: bool) -> None:
        self.log.append(visible)

    def trim(self) -> None:
        self.floor = max(self.floor, len(self.log) // 2)

    def ring(self, timer: Timer | None = None) -> None:
        """Lets a timer ring, or the one that is due first."""
        timers = self.story.state.timers
        wanted = sorted(timers, key=timers.__getitem__) if timer is None else [timer]
        if wanted and wanted[0] in timers:
            before = self.story.state.cursor
            self.story.ring(wanted[0])
            self._look(before)

    def fail(self, which: Which, recovery: str) -> None:
        link = self._link(which)
        if link is not None:
            self._tell(link, failed(recovery=recovery))

    def advance(self, which: Which, limit: int) -> None:
        """A link brings the next thing that it has to bring; a poll at most ``limit`` events."""
        link = self._link(which)
        if link is None:
            return
        if link.method == "sse":
            self._stream(link)
        else:
            self._poll(link, limit)

    def ping(self) -> None:
        """The current stream says how far it was served."""
        link = self.story.state.link
        if link is not None and link.run in self._served:
            self._tell(link, ping(at(self._served[link.run])))

    def expected(self, after: int | None = None) -> list[int]:
        """From the moment of its first connection everything was seen, or said to be missed."""
        start = len(self.log) if self._start is None else self._start
        begin = start if after is None else after
        return [n for n, visible in enumerate(self.log, 1) if visible and n > begin]

    def _link(self, which: Which) -> Link | None:
        return self.story.state.link if which == "link" else self.story.state.probe

    def _stream(self, link: Link) -> None:
        served = self._served.get(link.run)
        if served is None:
            asked = len(self.log) if link.cursor is None else offset_of(link.cursor)
            begin = max(asked, self.floor)
            self._served[link.run] = begin
            if begin == asked:
                self._tell(link, connected(at(begin)))
                return
            self._tell(link, connected(None))
            # A link that was let go of because of that does not bring the rest.
            current = self.story.state.link
            if current is not None and current.run == link.run:
                data = {"from": at(asked), "to": at(begin), "reason": "expired"}
                self._tell(link, said("gap", data, at(begin)))
        elif served == len(self.log):
            self._tell(link, ping(at(served)))
        else:
            # What was trimmed while the stream was open is left out of this world.
            self._served[link.run] = served + 1
            if self.log[served]:
                self._tell(link, Message(event(at(served + 1)), at(served + 1)))

    def _poll(self, link: Link, limit: int) -> None:
        asked = len(self.log) if link.cursor is None else offset_of(link.cursor)
        begin = max(asked, self.floor)
        end = min(len(self.log), begin + limit)
        ids = [at(n + 1) for n in range(begin, end) if self.log[n]]
        gap = None if begin == asked else Gap(at(asked), at(begin), "expired")
        self._tell(link, answer(ids, cursor=at(end), has_more=end < len(self.log), gap=gap))

    def _tell(self, link: Link, signal: Signal) -> None:
        self._note(Told(link.run, signal))

    def _note(self, action: Command | Told) -> None:
        before = self.story.state.cursor
        self.story.do(action)
        self._look(before)

    def _look(self, before: str | None) -> None:
        items = [each.item for each in self.story.effects if isinstance(each, Delivery)]
        for waiting in placed(items, before, self.story.state.cursor):
            match waiting.item:
                case Envelope() as found:
                    self.kept.append((waiting.before, len(self.seen)))
                    self.seen.append(offset_of(found.id))
                case Gap() as gap:
                    self.kept.append((waiting.before, len(self.seen)))
                    self.seen.append(gap)
        if self._start is None and self.story.state.cursor is not None:
            # Before its first answer it was nowhere, and missed nothing.
            first = next((item for item in self.seen if isinstance(item, int)), None)
            self._start = offset_of(self.story.state.cursor) if first is None else first - 1


def missed(seen: list[int | Gap]) -> set[int]:
    """The offsets that lie in holes which were told."""
    return {
        offset
        for item in seen
        if isinstance(item, Gap)
        for offset in range(offset_of(item.from_) + 1, offset_of(item.to) + 1)
    }
