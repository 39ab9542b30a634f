"""What becomes of a batch that was refused."""

import pytest

from tidewire import Event, TidewireError
from tidewire.core.errors import (
    EventTooLarge,
    Forbidden,
    IdempotencyConflict,
    InvalidEvent,
    LogAway,
    NotFound,
    RateLimited,
)
from tidewire.outbox.batch import Again, Batch, Done, SetAside, Split, Verdict, grouped, judged


def batch(size: int) -> Batch:
    return Batch("b", 0, tuple(range(size)), tuple(Event("number", n) for n in range(size)))


def answered(status: int) -> TidewireError:
    """What a proxy says."""
    error = TidewireError(f"The answer was {status}.")
    vars(error)["status"] = status
    return error


@pytest.mark.parametrize(
    ("error", "size", "verdict"),
    [
        (IdempotencyConflict(), 3, Done()),
        (InvalidEvent("Bad.", index=1), 3, SetAside(1, "Bad.")),
        (EventTooLarge("Big.", index=0), 3, SetAside(0, "Big.")),
        (InvalidEvent("Bad."), 1, SetAside(0, "Bad.")),
        (InvalidEvent("Bad."), 3, Split()),
        (InvalidEvent("Bad.", index=3), 3, Split()),
        (EventTooLarge("All of it is."), 3, Split()),
        (answered(413), 2, Split()),
        (answered(413), 1, Again()),
        (answered(502), 2, Again()),
        (NotFound("Nothing there."), 1, Again()),
        (Forbidden("Not you."), 1, Again()),
        (LogAway("Gone."), 1, Again(1000)),
        (RateLimited("Later.", retry_after=700), 1, Again(700)),
    ],
)
def test_what_to_do_about_a_refusal(error: TidewireError, size: int, verdict: Verdict) -> None:
    assert judged(error, batch(size)) == verdict


def test_the_key_is_that_of_the_content() -> None:
    def key(*events: Event) -> str:
        return Batch("b", 0, tuple(range(len(events))), events).key.digest

    one = Event("news", 1, metadata={"roles": ["A", "B"]})
    assert key(one) == key(Event("news", 1, metadata={"roles": ["B", "A"]}))
    others = [
        Event("news", 2, metadata={"roles": ["A", "B"]}),
        Event("news", 1, metadata={"roles": ["A"]}),
        Event("news", 1, metadata={"userIds": ["A", "B"]}),
        Event("news", 1, metadata={"roles": ["A", "B"], "sessionId": "s"}),
    ]
    assert len({key(one), key(one, one), *map(key, others)}) == 6


def test_sealed_rows_are_batches_in_the_order_of_their_first_rows() -> None:
    e = Event("news")
    found = grouped([(9, "a", 5, e), (3, "b", 6, e), (4, "a", 5, e), (7, "b", 6, e)])
    assert [(each.name, each.sealed_at, each.ids) for each in found] == [
        ("b", 6, (3, 7)),
        ("a", 5, (4, 9)),
    ]
