"""Windows that move with every hit, and what is remembered at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tidewire.auth.windows import MAX_KEY_LENGTH, MovingWindow

steps = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(0, 20)), st.sampled_from("abc")), max_size=80
)


@given(steps, st.integers(1, 6), st.integers(1, 30))
def test_a_window_decides_as_if_it_remembered_every_hit_there_ever_was(
    steps: list[tuple[float, str]], limit: int, seconds: int
) -> None:
    clock = FakeClock()
    window = MovingWindow(limit, seconds, clock)
    granted: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for step, key in steps:
        clock.advance(step)
        now = clock.monotonic()
        within = [at for at in granted[key] if at > now - seconds]
        seen = window.look(key)
        assert (seen is None) == (not within)
        assert seen is None or seen.granted == (len(within) < limit)
        allowance = window.hit(key)
        assert allowance.granted == (len(within) < limit)
        if allowance.granted:
            within.append(now)
            granted[key].append(now)
        assert allowance.remaining == limit - len(within)
        assert allowance.reset == pytest.approx((within[0] + seconds - now) * 1000, abs=1)


@given(st.lists(st.sampled_from("abcdefghij"), max_size=200), st.integers(1, 12))
def test_the_hits_that_are_remembered_are_counted_rightly(keys: list[str], limit: int) -> None:
    clock = FakeClock()
    window = MovingWindow(limit, 10, clock, max_keys=8, max_hits=20)
    for number, key in enumerate(keys):
        clock.advance(number % 3)
        window.hit(key)
        assert len(window) <= 8
        assert window.hits <= 20 + limit
        assert (window.hits == 0) == (len(window) == 0)


def test_memory_is_bounded_by_keys_and_by_hits() -> None:
    window = MovingWindow(5, 60, FakeClock(), max_keys=10, max_hits=25)
    for number in range(100):
        assert window.hit(f"user-{number}").granted
        assert len(window) <= 10
    for number in range(90, 100):
        for _ in range(4):
            window.hit(f"user-{number}")
            assert window.hits <= 25 + 5


def test_whoever_is_refused_over_and_over_is_not_forgotten_first() -> None:
    window = MovingWindow(1, 60, FakeClock(), max_keys=4)
    assert window.hit("mallory").granted
    for number in range(50):
        window.hit(f"user-{number}")
        assert not window.hit("mallory").granted


def test_whoever_is_only_looked_at_is_not_remembered() -> None:
    window = MovingWindow(1, 60, FakeClock())
    assert window.look("alice") is None
    assert len(window) == 0


def test_those_who_are_out_of_the_window_are_forgotten_within_another() -> None:
    clock = FakeClock()
    window = MovingWindow(3, 60, clock)
    for number in range(1000):
        window.hit(f"user-{number}")
    clock.advance(60)
    window.forget()
    clock.advance(60)
    window.hit("alice")
    assert len(window) == 1
    clock.advance(1000)
    window.forget()
    assert len(window) == 0
    assert window.hits == 0


def test_long_names_count_as_well_as_short_ones_and_cost_no_more() -> None:
    window = MovingWindow(1, 60, FakeClock())
    names = ["a" * MAX_KEY_LENGTH, "a" * (MAX_KEY_LENGTH + 1), "a" * 8000, "b" * 8000]
    assert all(window.hit(name).granted for name in names)
    assert not any(window.hit(name).granted for name in names)
    assert max(len(key) for key in window._younger) == MAX_KEY_LENGTH


@given(
    st.lists(st.lists(st.text(max_size=50), min_size=1, max_size=3), max_size=20, unique_by=tuple)
)
def test_no_two_names_share_a_counter(all_names: list[list[str]]) -> None:
    window = MovingWindow(1, 60, FakeClock())
    assert all(window.hit(*names).granted for names in all_names)
