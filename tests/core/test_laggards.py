"""Who was live and has fallen behind, and how far."""

from tests.fakes import FakeSink
from tidewire.core.cohorts import Cohorts
from tidewire.core.laggards import Laggards
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.core.target import Identity


def at(offset: int) -> Cursor:
    return Cursor(Position(1, offset, "abcd"))


def reader(offset: int) -> Reader:
    return Reader(Identity("ann"), FakeSink(), at(offset))


def test_they_are_counted_from_where_the_node_stands() -> None:
    cohorts = Cohorts()
    laggards = Laggards(cohorts)
    assert laggards.behind() == (0, 0)
    cohorts.begin(at(10))
    ahead, near, far = reader(12), reader(9), reader(3)
    laggards.add(ahead)
    assert laggards.behind() == (1, 0)
    laggards.add(near)
    laggards.add(far)
    assert laggards.behind() == (3, 7)
    assert laggards.farther_than(1) == 1
    assert laggards.discard(far)
    assert not laggards.discard(far)
    assert laggards.behind() == (2, 1)
    laggards.clear()
    assert len(laggards) == 0
