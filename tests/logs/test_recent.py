"""What a node remembers of what it heard: without holes, within bounds, or not at all."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tidewire.core.log import Entry, Page
from tidewire.core.position import Position
from tidewire.core.target import EVERYONE
from tidewire.logs import Retention
from tidewire.logs import recent as recent_module
from tidewire.logs.recent import Recent

EPOCH: Final = "k3f9ab"
OTHER: Final = "zzzz99"


def at(offset: int, *, epoch: str = EPOCH, ms: int | None = None) -> Position:
    return Position(1000 + offset if ms is None else ms, offset, epoch)


def entry(offset: int, *, epoch: str = EPOCH, size: int = 10, ms: int | None = None) -> Entry:
    place = at(offset, epoch=epoch, ms=ms)
    return Entry(place, "notification", EVERYONE, b"x" * size, None, "sproduc0", offset * 10)


def entries(first: int, last: int, size: int = 10) -> list[Entry]:
    return [entry(offset, size=size) for offset in range(first, last + 1)]


def recent(retention: Retention | None = None, clock: FakeClock | None = None) -> Recent:
    # At the time of the entries, so that none is too old.
    return Recent(at(5), retention or Retention(), clock or FakeClock(1000))


def offsets(page: Page | None) -> list[int] | None:
    return None if page is None else [entry.position.offset for entry in page.entries]


def after(remembered: Recent, offset: int) -> list[int] | None:
    return offsets(remembered.after(at(offset), 1000, 1 << 20))


def test_what_was_heard_is_read_after_each_position_of_it() -> None:
    remembered = recent()
    remembered.hear(entries(6, 8))
    remembered.hear(entries(9, 9))
    assert remembered.end == at(9)
    for offset in range(5, 10):
        page = remembered.after(at(offset), 1000, 1 << 20)
        assert page == Page(at(offset), tuple(entries(offset + 1, 9)), at(9))


def test_what_lies_before_or_beyond_what_was_heard_is_not_remembered() -> None:
    remembered = recent()
    remembered.hear(entries(6, 8))
    assert after(remembered, 4) is None
    assert after(remembered, 9) is None


@pytest.mark.parametrize(
    "strange",
    [at(7, ms=1), at(5, ms=1), at(8, ms=1), at(7, epoch=OTHER), at(5, epoch=OTHER)],
    ids=str,
)
def test_a_position_that_was_not_heard_as_it_is_written_is_not_remembered(
    strange: Position,
) -> None:
    remembered = recent()
    remembered.hear(entries(6, 8))
    assert remembered.after(strange, 1000, 1 << 20) is None


def test_before_anything_was_heard_only_the_start_is_known() -> None:
    remembered = recent()
    assert remembered.after(at(5), 1000, 1 << 20) == Page(at(5), (), at(5))
    assert after(remembered, 4) is None
    assert after(remembered, 6) is None


def test_a_page_is_bounded_by_entries_and_by_bytes_and_holds_at_least_one() -> None:
    remembered = recent()
    remembered.hear(entries(6, 12, size=100))
    assert offsets(remembered.after(at(5), 3, 1 << 20)) == [6, 7, 8]
    assert offsets(remembered.after(at(7), 100, 299)) == [8, 9]
    assert offsets(remembered.after(at(7), 100, 300)) == [8, 9, 10]
    assert offsets(remembered.after(at(7), 100, 1)) == [8]
    page = remembered.after(at(7), 0, 1)
    assert offsets(page) == []
    assert page is not None
    assert page.more


@pytest.mark.parametrize("strange", [entry(10), entry(8), entry(9, epoch=OTHER)])
def test_where_something_is_missing_it_begins_anew_with_what_comes(strange: Entry) -> None:
    """It must not be read from before a hole as if there were none."""
    remembered = recent()
    remembered.hear(entries(6, 8))
    remembered.hear([strange])
    assert remembered.end == strange.position
    for offset in range(5, 9):
        assert after(remembered, offset) is None or at(offset) == strange.position
    following = entry(strange.position.offset + 1, epoch=strange.position.epoch)
    remembered.hear([following])
    page = remembered.after(strange.position, 1000, 1 << 20)
    assert page == Page(strange.position, (following,), following.position)


def test_a_hole_within_what_comes_leaves_what_follows_it() -> None:
    remembered = recent()
    remembered.hear([entry(6), entry(7), entry(9), entry(10)])
    assert after(remembered, 7) is None
    assert after(remembered, 8) is None
    assert after(remembered, 9) == [10]


def test_so_many_events_are_remembered_as_the_log_keeps() -> None:
    remembered = recent(Retention(events=3))
    remembered.hear(entries(6, 8))
    assert after(remembered, 5) == [6, 7, 8]
    remembered.hear(entries(9, 9))
    assert after(remembered, 5) is None
    assert after(remembered, 6) == [7, 8, 9]


def test_so_many_bytes_are_remembered_as_the_log_keeps() -> None:
    remembered = recent(Retention(bytes=300))
    remembered.hear(entries(6, 8, size=100))
    assert after(remembered, 5) == [6, 7, 8]
    remembered.hear([entry(9, size=1)])
    assert after(remembered, 5) is None
    assert after(remembered, 6) == [7, 8, 9]
    remembered.hear([entry(10, size=301)])
    assert remembered.end == at(10)
    assert after(remembered, 10) == []
    assert after(remembered, 9) is None


def test_a_log_that_keeps_much_is_not_remembered_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 3)
    remembered = recent(Retention(events=1_000_000))
    remembered.hear(entries(6, 20))
    assert after(remembered, 16) is None
    assert after(remembered, 17) == [18, 19, 20]
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 200)
    remembered = recent(Retention(bytes=1 << 40))
    remembered.hear(entries(6, 7, size=100))
    assert after(remembered, 5) == [6, 7]
    remembered.hear([entry(8, size=1)])
    assert after(remembered, 5) is None


def test_what_grew_too_old_is_forgotten_although_nothing_comes() -> None:
    clock = FakeClock(1006)
    remembered = recent(Retention(seconds=60), clock)
    remembered.hear(entries(6, 8))
    clock.advance(60)
    assert after(remembered, 5) == [6, 7, 8]
    clock.advance(0.001)
    assert after(remembered, 5) is None
    assert after(remembered, 6) == [7, 8]
    clock.advance(3600)
    assert after(remembered, 7) is None
    assert after(remembered, 8) == []
    assert remembered.end == at(8)


def test_after_a_restart_nothing_from_before_is_known() -> None:
    remembered = recent()
    remembered.hear(entries(6, 8))
    remembered.restart(at(20, epoch=OTHER))
    assert remembered.end == at(20, epoch=OTHER)
    assert all(after(remembered, offset) is None for offset in range(5, 9))
    assert remembered.find("sproduc0", 70) is None


def test_forgotten_entries_are_let_go() -> None:
    remembered = recent(Retention(events=100))
    for offset in range(6, 2006):
        remembered.hear([entry(offset)])
    assert len(remembered._entries) <= 100 + 100 // 7 + 1
    assert after(remembered, 1905) == list(range(1906, 2006))


def test_an_event_is_found_by_its_producer_and_number_and_its_id_is_told() -> None:
    remembered = recent(Retention(events=3))
    accepted = at(33, epoch="sproduc0")
    home = Entry(at(9), "notification", EVERYONE, b"", None, "sproduc0", 33, accepted)
    remembered.hear([*entries(6, 8), home])
    assert remembered.find("sproduc0", 80) == at(8)
    assert remembered.find("sproduc0", 33) == accepted
    assert remembered.find("sanother", 80) is None
    assert remembered.find("sproduc0", 60) is None


heard = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.integers(1, 6)),
        st.tuples(st.just("skip"), st.integers(2, 4)),
        st.tuples(st.just("epoch"), st.just(1)),
        st.tuples(st.just("age"), st.integers(1, 40)),
    ),
    max_size=30,
)


@given(heard)
def test_what_is_remembered_after_a_position_is_all_that_was_heard_since(
    steps: list[tuple[str, int]],
) -> None:
    clock = FakeClock(1005)
    remembered = Recent(at(5), Retention(events=7, seconds=50, bytes=60), clock)
    everything: list[Entry] = []
    last, epoch = 5, 0
    places = [at(5, epoch=f"epoch{epoch}")]
    remembered.restart(places[0])
    for kind, count in steps:
        if kind == "age":
            clock.advance(count)
            continue
        last += count if kind == "skip" else 1
        epoch += kind == "epoch"
        batch = [
            entry(offset, epoch=f"epoch{epoch}", ms=clock.now())
            for offset in range(last, last + (count if kind == "next" else 1))
        ]
        last += len(batch) - 1
        remembered.hear(batch)
        everything += batch
        places += [one.position for one in batch]
        known = 0
        for index, place in enumerate(places):
            page = remembered.after(place, 1000, 1 << 20)
            if page is not None:
                since = everything[index:]
                assert page == Page(place, tuple(since), places[-1])
                expected = [*range(place.offset + 1, place.offset + 1 + len(since))]
                assert offsets(page) == expected
                assert len(since) <= 7
                assert sum(len(one.body) for one in since) <= 60
                assert all(one.position.ms >= clock.now() - 50_000 for one in since)
                known += 1
        # The end itself is always known.
        assert known >= 1
