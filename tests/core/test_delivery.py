"""Every reader gets exactly what is its own, or a gap that covers the rest."""

from collections import Counter

import pytest

from tests.contracts.delivery import Tally, deliveries
from tidewire.core.clock import Clock
from tidewire.core.log import EventLog
from tidewire.logs import Retention, open_log


async def make_log(retention: Retention, clock: Clock) -> EventLog:
    return open_log("memory:", retention=retention, clock=clock)


def test_every_reader_gets_exactly_what_it_may_see_or_a_gap_that_covers_the_rest() -> None:
    deliveries(make_log).check()


def tally_of(*, gaps: int) -> Tally:
    tally = Tally()
    plenty = Counter(
        dict.fromkeys(
            (
                "event over SSE",
                "event by poll",
                "event by held poll",
                "caught up after falling behind",
                "resumed",
                "SSE after a poll",
                "poll after SSE",
                "another identity, live",
                "another identity, behind",
                "ping",
            ),
            10,
        )
    )
    for run in range(100):
        tally.add(plenty + Counter({"gap expired": 1, "gap epoch": 1} if run < gaps else {}))
    return tally


def test_twenty_runs_of_a_hundred_may_have_a_gap() -> None:
    tally_of(gaps=20).check()


def test_more_than_twenty_of_a_hundred_may_not() -> None:
    with pytest.raises(AssertionError, match="79 of 100"):
        tally_of(gaps=21).check()


def test_runs_that_never_show_a_gap_show_too_little() -> None:
    with pytest.raises(AssertionError, match="gap expired: 0 times"):
        tally_of(gaps=0).check()
