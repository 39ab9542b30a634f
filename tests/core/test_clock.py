"""The machine's own time, and the journal that keeps nothing."""

import time

from tidewire.core.clock import SystemClock
from tidewire.core.journal import NullJournal


def test_the_wall_clock_is_in_unix_milliseconds() -> None:
    before = time.time() * 1000
    assert before - 1 <= SystemClock().now() <= time.time() * 1000 + 1


def test_the_other_clock_never_goes_backwards() -> None:
    clock = SystemClock()
    first = clock.monotonic()
    assert clock.monotonic() >= first


def test_the_null_journal_takes_every_note() -> None:
    NullJournal().note("x", error=ValueError(), user="ann")
