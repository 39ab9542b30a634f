"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeSink
from tidewire.core.connections import Connection
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.core.rounds import Rounds
from tidewire.core.target import Identity

PERIOD = 30.0
TICK = 0.25


def connection() -> Connection:
    reader = Reader(Identity("ann"), FakeSink(), Cursor(Position(1, 0, "abcd")))
    return Connection(reader, "sse", connected_at=0, opened=0.0)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.integers(1, 800))
def test_each_has_its_turn_a_period_after_it_came_and_once_in_every_period_from_then_on(
    arrivals: list[int], ticks: int
) -> None:
    rounds = Rounds(PERIOD)
    members = [(tick, connection()) for tick in sorted(arrivals)]
    turns: dict[Connection, list[float]] = {member: [] for _, member in members}
    for tick in range(ticks):
        for arrival, member in members:
            if arrival == tick:
                rounds.add(member, tick * TICK)
        for member in rounds.due(tick * TICK):
            turns[member].append(tick * TICK)
    for arrival, member in members:
        first = arrival * TICK + PERIOD
        due = (ticks - 1) * TICK - first
        expected = [] if due < 0 else [first + PERIOD * n for n in range(int(due // PERIOD) + 1)]
        assert turns[member] == expected


def test_only_those_whose_turn_it_is_are_returned() -> None:
    rounds = Rounds(PERIOD)
    early, late = connection(), connection()
    rounds.add(early, 0.0)
    rounds.add(late, 10.0)
    assert list(rounds.due(29.9)) == []
    assert list(rounds.due(31.0)) == [early]
    assert list(rounds.due(31.0)) == []
    assert list(rounds.due(40.0)) == [late]


def test_who_has_left_has_no_more_turns_also_while_the_turns_are_taken() -> None:
    rounds = Rounds(PERIOD)
    gone, first, second = connection(), connection(), connection()
    for each in (gone, first, second):
        rounds.add(each, 0.0)
    rounds.remove(gone)
    rounds.remove(gone)
    taken = []
    for each in rounds.due(PERIOD):
        taken.append(each)
        rounds.remove(second)
    assert taken == [first]


def test_a_long_pause_gives_each_one_turn_and_not_those_that_were_missed() -> None:
    rounds = Rounds(PERIOD)
    it = connection()
    rounds.add(it, 0.0)
    assert list(rounds.due(1_000.0)) == [it]
    assert list(rounds.due(1_029.0)) == []
    assert list(rounds.due(1_030.0)) == [it]
