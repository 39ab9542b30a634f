"""How long a publish takes until it is accepted, and until it is written."""

from tests.fakes import FakeClock
from tidewire.core.position import Position
from tidewire.core.stopwatch import Stopwatch


class Told:
    """What a meter is told, in the order of it."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, float]] = []

    def published(self, seconds: float, events: int) -> None:
        self.notes.append(("published", seconds))

    def delivered(self, seconds: float) -> None:
        self.notes.append(("delivered", seconds))


def at(offset: int, epoch: str = "abcd") -> Position:
    return Position(1, offset, epoch)


def test_a_publish_is_timed_until_the_log_is_written_as_far() -> None:
    told, clock = Told(), FakeClock()
    watch = Stopwatch(told, clock)
    began = watch.begin()
    clock.advance(1)
    watch.accepted(began, [at(4), at(5)], at(3))
    clock.advance(1)
    watch.written(at(4))
    clock.advance(1)
    watch.written(at(5))
    watch.written(at(6))
    assert told.notes == [("published", 1.0), ("delivered", 3.0)]


def test_what_stands_elsewhere_is_only_accepted() -> None:
    told, clock = Told(), FakeClock()
    watch = Stopwatch(told, clock)
    watch.accepted(watch.begin(), [at(5, "spool")], at(3))
    watch.accepted(watch.begin(), [at(5)], None)
    watch.written(at(9))
    assert [what for what, _ in told.notes] == ["published", "published"]
