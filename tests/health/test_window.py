"""What is counted of the last five minutes, and how long it took."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tidewire.health.metrics import cumulated
from tidewire.health.window import (
    OCTAVES,
    PER_OCTAVE,
    SMALLEST_MS,
    WINDOW_SECONDS,
    Tally,
    Window,
    bound_of,
    bucket_of,
)

LARGEST_MS = SMALLEST_MS * 2**OCTAVES
ONE_BUCKET = 2 ** (1 / PER_OCTAVE)

times = st.floats(SMALLEST_MS, LARGEST_MS)
some_times = st.lists(times, min_size=1, max_size=200)
shares = st.floats(0.01, 1)


def tally(*each: float) -> Tally:
    window = Window(FakeClock())
    for ms in each:
        window.add(ms)
    return window.total


@given(times)
def test_a_bucket_holds_what_is_within_its_bounds(ms: float) -> None:
    bucket = bucket_of(ms)
    assert ms <= bound_of(bucket) * (1 + 1e-6)
    assert bucket == 0 or ms >= bound_of(bucket - 1) * (1 - 1e-6)


@given(st.floats(0, 1e12))
def test_every_time_has_a_bucket(ms: float) -> None:
    assert 0 <= bucket_of(ms) <= PER_OCTAVE * OCTAVES


@given(some_times, shares)
def test_a_percentile_is_right_to_within_one_bucket(each: list[float], share: float) -> None:
    exact = sorted(each)[math.ceil(share * len(each)) - 1]
    told = tally(*each).percentile(share)
    assert told is not None
    assert exact / 1.001 - 0.001 <= told <= exact * ONE_BUCKET * 1.001 + 0.001


@given(some_times)
def test_percentiles_grow_with_their_share(each: list[float]) -> None:
    told = tally(*each).percentiles()
    assert told["p50"] <= told["p95"] <= told["p99"]  # type: ignore[operator]


@given(some_times, some_times)
def test_two_tallies_together_are_the_tally_of_all(one: list[float], other: list[float]) -> None:
    together = tally(*one)
    together.take_in(tally(*other))
    whole = tally(*one, *other)
    assert together.buckets == whole.buckets
    assert (together.count, together.timed) == (whole.count, whole.timed)


@given(some_times)
def test_a_histogram_for_prometheus_only_grows_and_ends_with_all(each: list[float]) -> None:
    shown = cumulated(tally(*each).buckets)
    bounds, counts = [float(bound) for bound, _ in shown], [count for _, count in shown]
    assert bounds == sorted(bounds)
    assert counts == sorted(counts)
    assert (bounds[-1], counts[-1]) == (math.inf, len(each))
    for bound, count in shown[:-1]:
        limit = float(bound) * 1000
        # Its bounds are those of buckets, so nothing is counted by guess.
        assert sum(ms <= limit * 0.9999 for ms in each) <= count
        assert count <= sum(ms <= limit * 1.0001 for ms in each)


def test_where_nothing_was_there_is_neither_a_rate_nor_a_percentile() -> None:
    assert Tally().error_rate == 0
    assert Tally().percentiles() == {"p50": None, "p95": None, "p99": None}


def test_what_is_counted_and_not_timed_moves_no_percentile() -> None:
    window = Window(FakeClock())
    window.add(10)
    window.add(None, failed=True)
    recent = window.recent()
    assert (recent.count, recent.timed, recent.error_rate) == (2, 1, 50.0)


def test_after_five_minutes_it_is_forgotten_and_stays_in_the_total() -> None:
    clock = FakeClock()
    window = Window(clock)
    window.add(5, failed=True, amount=3)
    clock.advance(WINDOW_SECONDS - 20)
    window.add(7)
    assert window.recent().count == 2
    clock.advance(40)
    assert (window.recent().count, window.recent().failed) == (1, 0)
    clock.advance(WINDOW_SECONDS)
    assert window.recent().count == 0
    assert (window.total.count, window.total.failed, window.total.amount) == (2, 1, 4)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=100))
def test_a_window_never_holds_more_than_its_slices(steps: list[tuple[float, bool]]) -> None:
    clock = FakeClock()
    window = Window(clock)
    added: list[tuple[float, bool]] = []
    for seconds, failed in steps:
        clock.advance(seconds)
        window.add(1, failed=failed)
        added.append((clock.monotonic(), failed))
        assert len(window._slices) <= WINDOW_SECONDS // 10
    now = clock.monotonic()
    surely = [failed for at, failed in added if now - at < WINDOW_SECONDS - 10]
    perhaps = [failed for at, failed in added if now - at <= WINDOW_SECONDS]
    assert len(surely) <= window.recent().count <= len(perhaps)
    assert sum(surely) <= window.recent().failed <= sum(perhaps)
