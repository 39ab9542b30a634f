"""What a process has appended and not yet heard: pure, without a log."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.event import Event
from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.logs.codec import spooled
from tidewire.logs.unheard import Unheard
from tidewire.logs.writer import Batch

ME = "s0000000"


def batch(first: int, count: int = 1) -> Batch:
    return Batch([Event("tick", number) for number in range(first, first + count)], first, 1_000)


def ids(one: Batch) -> list[Position]:
    return one.ids_from(Position(5_000, 100 + one.first, "abcd"))


def heard(numbers: Iterable[int], producer: str = ME) -> list[Entry]:
    """As the log yields them."""
    return [spooled(Event("tick", number), Position(1_000, number, producer)) for number in numbers]


def followed() -> Unheard:
    unheard = Unheard()
    unheard.is_followed = True
    return unheard


def take(unheard: Unheard, one: Batch) -> None:
    unheard.take(ME, one, ids(one))


def let_float(unheard: Unheard, one: Batch) -> None:
    unheard.float(one, one.places(ME))


def numbers(unheard: Unheard, count: int = 0) -> list[int]:
    return [entry.number for entry in unheard.after(count)[0]]


def test_what_the_log_took_is_not_afloat_until_the_log_is_away() -> None:
    unheard = followed()
    take(unheard, batch(1, 2))
    assert unheard.after(0) == ([], 0)
    unheard.leave()
    let_float(unheard, batch(3))
    assert numbers(unheard) == [1, 2, 3]
    assert unheard.afloat == 3


def test_what_the_log_took_keeps_the_id_that_the_log_gave() -> None:
    unheard = followed()
    one = batch(1, 2)
    take(unheard, one)
    unheard.leave()
    assert [entry.id for entry in unheard.after(0)[0]] == [str(id_) for id_ in ids(one)]


def test_what_was_heard_before_the_answer_came_is_not_kept() -> None:
    unheard = followed()
    unheard.hear(heard([1, 2]))
    take(unheard, batch(1, 3))
    unheard.leave()
    assert numbers(unheard) == [3]
    assert unheard.afloat == 1


def test_what_is_heard_is_let_go() -> None:
    unheard = followed()
    take(unheard, batch(1, 3))
    unheard.hear(heard([1, 2]))
    unheard.leave()
    assert unheard.afloat == 1
    unheard.hear(heard([3]))
    assert unheard.afloat == 0


def test_where_nobody_follows_nothing_of_what_the_log_took_is_kept() -> None:
    unheard = Unheard()
    take(unheard, batch(1))
    unheard.leave()
    assert unheard.afloat == 0


def test_what_came_home_stays_until_it_is_heard_where_somebody_hears() -> None:
    for unheard, left in ((followed(), 2), (Unheard(), 0)):
        let_float(unheard, batch(1, 2))
        unheard.come_home()
        assert unheard.afloat == left
        assert unheard.after(0)[1] == 2, "all that ever were afloat"


def test_what_another_producer_says_lets_go_of_nothing_of_ours() -> None:
    unheard = followed()
    let_float(unheard, batch(1, 2))
    unheard.hear(heard([1, 2], "sother00"))
    assert numbers(unheard) == [1, 2]
    assert (unheard.heard(ME), unheard.heard("sother00")) == (0, 2)


STEPS = ["append", "leave", "return", "hear", "look"]


@given(st.data())
def test_a_follower_gets_each_number_once_and_in_order(data: st.DataObject) -> None:
    """By what is afloat or by what is heard, in whatever order both go on."""
    unheard, counted, next_number = followed(), 0, 1
    got: list[int] = []
    in_log: list[int] = []
    is_away = False
    for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=15, max_size=60)):
        if step == "append":
            if is_away:
                let_float(unheard, batch(next_number))
            else:
                take(unheard, batch(next_number))
                in_log.append(next_number)
            next_number += 1
        elif step == "leave" and not is_away:
            is_away = True
            unheard.leave()
        elif step == "return" and is_away:
            is_away = False
            in_log = list(range(1, next_number))
            unheard.come_home()
        elif step == "hear":
            # The log yields them all, and a reader leaves out what it has had.
            last = unheard.heard(ME)
            fresh = in_log[last : last + data.draw(st.integers(1, 3))]
            unheard.hear(heard(fresh))
            got += [number for number in fresh if not got or number > got[-1]]
        elif step == "look":
            found, counted = unheard.after(counted)
            got += [entry.number for entry in found]
    if not is_away:
        unheard.leave()
    got += numbers(unheard, counted)
    assert got == list(range(1, next_number))
