"""The oracle can fail: each promise, broken in a history that is made up."""

import pytest

from tests.faults.history import Accepted, History, Hole, Seen, To, Who
from tests.faults.oracle import Allowance, Verdict, judge

ALICE = Who("alice", ("staff",))
ACCEPTED = [
    Accepted("p", 1, id="1", began=1.0),
    Accepted("p", 2, To(user="alice"), id="2", began=2.0),
    Accepted("p", 3, To(user="bob"), id="3", began=3.0),
    Accepted("p", 4, To(role="staff"), id="4", began=4.0),
    Accepted("q", 1, id="5", began=2.5),
    Accepted("p", 5, id="6", began=5.0),
]
SENT = {event.key: event.to for event in ACCEPTED}
LOST_BEFORE_5 = Allowance(gaps=frozenset({"epoch"}), lost_before=5.0)


def seen(text: str) -> History:
    """A history: ``p-1:1`` is an event with its id, ``!epoch`` a gap."""
    ids = {event.key: event.id for event in ACCEPTED}
    history: list[Seen | Hole] = []
    for word in text.split():
        if word.startswith("!"):
            history.append(Hole(word[1:]))
        else:
            key, _, id_ = word.partition(":")
            history.append(Seen(key, id_ or ids.get(key, "?")))
    return history


def verdict(text: str, allowance: Allowance | None = None) -> Verdict:
    return judge(ALICE, seen(text), ACCEPTED, SENT, allowance or Allowance())


@pytest.mark.parametrize(
    "history", ["p-1 p-2 p-4 q-1 p-5", "q-1 p-1 p-2 p-4 p-5"], ids=["in turn", "another first"]
)
def test_everything_that_is_visible_once_and_in_order_is_right(history: str) -> None:
    assert verdict(history).complaints == []


def test_an_event_that_is_missing_is_told_and_may_still_come() -> None:
    assert verdict("p-1 p-2 p-4 q-1").wrong == []
    [complaint] = verdict("p-1 p-2 p-4 q-1").missing
    assert complaint == "missing: p-5 (6, 200, by ), and nothing allows it"


def test_a_client_that_heard_nothing_misses_all_that_was_for_it() -> None:
    assert len(verdict("").missing) == 5


@pytest.mark.parametrize(
    ("history", "complaint"),
    [
        ("p-1 p-2 p-4 q-1 p-5 p-5", "received 2 times: p-5"),
        ("p-1 p-2 p-4 q-1 p-5 p-5:77", "received 2 times: p-5 (6 by , 77 by )"),
        ("p-1 p-4 p-2 q-1 p-5", "out of order: p-2 (2 by ), 0.0 s after p-4 (4 by )"),
        ("p-1 p-2 p-3 p-4 q-1 p-5", "received what is not for alice: p-3"),
        ("p-1 p-2 p-4 q-1 p-5 x-9", "received what nobody sent: x-9"),
        ("p-1:8 p-2 p-4 q-1 p-5", "another id: p-1 was accepted as 1, came as 8"),
        ("p-1 p-2 !expired p-4 q-1 p-5", "a gap that is not allowed: expired"),
    ],
)
def test_what_nothing_can_make_right_is_told(history: str, complaint: str) -> None:
    found = verdict(history)
    assert any(text.startswith(complaint) for text in found.wrong), found
    assert found.missing == []


def test_what_was_sent_and_never_accepted_may_come_and_need_not() -> None:
    sent = {**SENT, "p-6": To()}
    for more in ("", " p-6:9"):
        history = seen("p-1 p-2 p-4 q-1 p-5" + more)
        assert judge(ALICE, history, ACCEPTED, sent).complaints == []


def test_an_allowed_gap_in_its_place_covers_what_is_missing() -> None:
    assert verdict("p-1 q-1 !epoch p-5", LOST_BEFORE_5).complaints == []


@pytest.mark.parametrize(
    "history", ["!epoch p-1 q-1 p-5", "p-1 q-1 p-5 !epoch"], ids=["before it", "after it"]
)
def test_a_gap_in_another_place_covers_nothing(history: str) -> None:
    found = verdict(history, LOST_BEFORE_5)
    assert [text.partition(" (")[0] for text in found.missing] == ["missing: p-2", "missing: p-4"]
    assert found.missing[0].endswith("no gap in its place")


def test_a_gap_for_another_reason_covers_nothing() -> None:
    found = verdict("p-1 q-1 !future p-5", LOST_BEFORE_5)
    assert len(found.missing) == 2
    assert found.wrong == ["a gap that is not allowed: future, (, ]"]


def test_no_gap_covers_what_was_begun_after_the_fault() -> None:
    found = verdict("p-1 p-2 p-4 q-1 !epoch", LOST_BEFORE_5)
    assert found.missing == ["missing: p-5 (6, 200, by ), and nothing allows it"]


def test_what_may_be_lost_silently_is_named_and_nothing_else_is() -> None:
    allowance = Allowance(lost={"p-4"})
    assert verdict("p-1 p-2 q-1 p-5", allowance).complaints == []
    assert len(verdict("p-1 q-1 p-5", allowance).missing) == 1


def test_only_what_is_named_may_have_another_id() -> None:
    history = "p-1:8 p-2 p-4:9 q-1 p-5"
    found = verdict(history, Allowance(renamed={"p-4"}))
    assert found.complaints == ["another id: p-1 was accepted as 1, came as 8"]


def test_many_complaints_are_cut_to_a_readable_few() -> None:
    accepted = [Accepted("p", number) for number in range(100)]
    found = judge(ALICE, [], accepted, {})
    assert len(found.missing) == 13
    assert found.missing[-1] == "… and 88 more"
