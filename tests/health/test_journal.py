"""Every failure is kept for a while, equal ones as one, and none of it is secret."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock, FakeJournal
from tidewire.core import errors
from tidewire.core.errors import (
    CredentialConflict,
    InvalidCursor,
    LogAway,
    RateLimited,
    TidewireError,
)
from tidewire.core.journal import Journal
from tidewire.health.failure import CATEGORIES, KNOWN, SEVERITIES, kind_of
from tidewire.health.journal import (
    KEPT_MS,
    MAX_ERRORS,
    MAX_PART,
    ErrorJournal,
    LoggingJournal,
    merged,
)
from tidewire.http.redaction import REDACTED, redact_words


@pytest.fixture
def beneath() -> FakeJournal:
    return FakeJournal()


@pytest.fixture
def journal(beneath: FakeJournal, clock: FakeClock) -> ErrorJournal:
    return ErrorJournal(beneath, clock=clock, redact=redact_words)


def test_an_error_is_kept_with_all_that_is_known_of_it(
    journal: ErrorJournal, clock: FakeClock
) -> None:
    error = RateLimited("Too often.", retry_after=2_000)
    journal.note("refused", error=error, answered=True, user="ann", endpoint="/api/sse", client="c")
    [told] = journal.summary("n1", 50)["recent"]
    assert told.pop("id")
    assert told == {
        "timestamp": clock.now(),
        "lastAt": clock.now(),
        "code": "RATE_LIMIT_EXCEEDED",
        "category": "rate_limit",
        "severity": "medium",
        "message": "Too often.",
        "context": {"userId": "ann", "endpoint": "/api/sse", "clientId": "c", "node": "n1"},
        "retryable": True,
        "retryAfter": 2_000,
        "count": 1,
        "recovery": {
            "strategy": "fallback_polling",
            "action": "poll",
            "success": None,
            "message": "The client polls until there is room.",
            "nextDelay": 2_000,
        },
    }


def test_equal_errors_of_one_context_within_a_minute_are_one_with_a_count(
    journal: ErrorJournal, clock: FakeClock
) -> None:
    for _ in range(3):
        journal.note("refused", error=InvalidCursor("'x'"), endpoint="/a", user="ann")
        clock.advance(10)
    journal.note("refused", error=InvalidCursor("'x'"), endpoint="/b", user="ann")
    journal.note("refused", error=InvalidCursor("'x'"), endpoint="/a", user="bob")
    counts = sorted(entry.count for entry in journal.kept())
    assert counts == [1, 1, 3]
    clock.advance(60)
    journal.note("refused", error=InvalidCursor("'x'"), endpoint="/a", user="ann")
    assert sorted(entry.count for entry in journal.kept()) == [1, 1, 1, 3]


def test_two_unexpected_errors_of_different_classes_are_two(journal: ErrorJournal) -> None:
    for error in (ValueError("a"), KeyError("b")):
        journal.note("a request failed", error=error, endpoint="/a")
    assert len(journal) == 2


def test_an_empty_journal_is_not_taken_for_none(
    journal: ErrorJournal, beneath: FakeJournal
) -> None:
    assert len(journal) == 0
    assert (journal or beneath) is journal


def test_what_is_no_error_is_a_line_and_no_more(
    journal: ErrorJournal, beneath: FakeJournal
) -> None:
    journal.note("the log is back", brought=3)
    assert (len(journal), beneath.notes) == (0, ["the log is back"])


def test_what_somebody_was_told_is_kept_and_no_line_of_the_log(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    journal = ErrorJournal(LoggingJournal(), clock=clock)
    caplog.set_level(logging.INFO)
    for _ in range(100):
        journal.note("refused", error=InvalidCursor("'x'"), answered=True)
    assert caplog.messages == []
    journal.note("a sink failed", error=OSError("gone"), code="SINK_FAILED")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "a sink failed (OSError: gone)")
    ]
    caplog.set_level(logging.DEBUG)
    journal.note("refused", error=InvalidCursor("'x'"), answered=True)
    assert caplog.records[-1].levelname == "DEBUG"
    assert journal.summary("n", 9)["byCategory"]["validation"] == 101


def test_an_hour_later_it_is_forgotten(journal: ErrorJournal, clock: FakeClock) -> None:
    journal.note("x", error=OSError("a"))
    clock.advance(KEPT_MS / 1000)
    assert len(journal.kept()) == 1
    clock.advance(1)
    assert journal.kept() == []


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * MAX_ERRORS), st.floats(0, 2), st.sampled_from(("a", "b"))),
        max_size=60,
    )
)
def test_it_is_bounded_and_counts_add_up(steps: list[tuple[int, float, str]]) -> None:
    clock = FakeClock()
    journal = ErrorJournal(FakeJournal(), clock=clock)
    noted = 0
    for many, seconds, user in steps:
        for number in range(many % 40):
            journal.note("x", error=OSError("a"), user=f"{user}{number}")
            noted += 1
        clock.advance(seconds)
        assert len(journal) <= MAX_ERRORS
        assert len(journal._open) <= len(journal)
    summary = journal.summary("n", MAX_ERRORS)
    assert sum(entry["count"] for entry in summary["recent"]) == summary["total"]
    assert summary["total"] == sum(summary["bySeverity"].values())
    assert summary["total"] == noted == sum(journal.totals.values())
    order = [entry["lastAt"] for entry in summary["recent"]]
    assert order == sorted(order, reverse=True)


def test_more_than_it_holds_pushes_out_the_oldest(journal: ErrorJournal) -> None:
    for number in range(MAX_ERRORS + 5):
        journal.note("x", error=OSError("a"), user=str(number))
    users = {entry.context["userId"] for entry in journal.kept()}
    assert len(journal) == len(users) == MAX_ERRORS
    assert not users & {"0", "1", "2", "3", "4"}


def test_faults_of_clients_push_out_none_that_are_worse(journal: ErrorJournal) -> None:
    journal.note("x", error=OSError("a"), code="FOLLOW_FAILED", next_try=50)
    for number in range(MAX_ERRORS + 5):
        journal.note("refused", error=InvalidCursor("'x'"), answered=True, user=str(number))
    assert len(journal) == MAX_ERRORS
    assert "FOLLOW_FAILED" in {entry.kind.code for entry in journal.kept()}
    assert journal.of_categories()["server"] == 1
    for number in range(MAX_ERRORS + 5):
        journal.note("x", error=OSError("a"), user=str(number))
    assert len(journal) == len(journal._open) == MAX_ERRORS
    assert {entry.kind.severity for entry in journal.kept()} == {"high"}


def test_where_a_client_is_and_what_it_asks_for_makes_no_other_fault_of_its_own(
    journal: ErrorJournal,
) -> None:
    for number in range(3):
        where: dict[str, Any] = {"endpoint": f"/{number}", "address": f"10.0.0.{number}"}
        journal.note("refused", error=InvalidCursor("'x'"), answered=True, user="ann", **where)
        journal.note("failed", error=ValueError("a"), user="ann", **where)
    theirs = [entry for entry in journal.kept() if entry.kind.category == "validation"]
    assert [(entry.count, entry.context) for entry in theirs] == [
        (3, {"userId": "ann", "endpoint": "/2", "address": "10.0.0.2"})
    ]
    assert len(journal) == 4


def test_what_is_long_is_cut_and_hides_nothing_secret_where_it_is(journal: ErrorJournal) -> None:
    path = "/" + "a" * (MAX_PART - 12)
    journal.note("x", error=ValueError("a"), endpoint=f"{path}?token=hunter2{'a' * 60_000}")
    [entry] = journal.kept()
    assert len(entry.context["endpoint"]) <= MAX_PART
    assert "hunter" not in entry.context["endpoint"]
    assert max(len(str(part)) for key in journal._open for part in key) <= MAX_PART  # type: ignore[attr-defined]


def test_nobody_begins_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    forged = "\r\n2026-01-01 00:00:00,000 ERROR x\x1b[31m\u2028\ud800"
    LoggingJournal().note("a stream ended", error=OSError(f"b{forged}"), user=f"bob{forged}")
    [message] = caplog.messages
    assert message.isprintable()
    assert message.count("\\r\\n2026") == 2
    assert message.startswith("a stream ended (user=bob\\r")


def test_nothing_secret_is_kept(journal: ErrorJournal) -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    journal.note("x", error=InvalidCursor(f"{secret!r} is not a cursor."), endpoint=f"/a/{secret}")
    journal.note("y", error=OSError(f"GET /?token={secret}"))
    journal.note("z", error=LogAway(f"redis said: password={secret}"))
    told = str(journal.summary("n", 50))
    assert "c2lnbmF0dXJl" not in told
    assert told.count(REDACTED) >= 4


def test_a_failure_that_is_over_says_so_and_the_next_one_is_another(
    journal: ErrorJournal,
) -> None:
    journal.note("x", error=OSError("a"), code="FOLLOW_FAILED", next_try=50)
    [entry] = journal.kept()
    assert entry.recovery is not None
    assert (entry.recovery.success, entry.recovery.next_delay) == (None, 50)
    journal.note("it is heard again", recovered=["FOLLOW_FAILED"])
    assert (entry.recovery.success, entry.recovery.next_delay) == (True, None)
    journal.note("x", error=OSError("a"), code="FOLLOW_FAILED", next_try=50)
    successes = [each.recovery and each.recovery.success for each in journal.kept()]
    assert sorted(successes, key=str) == [None, True]


def test_clearing_forgets_the_errors_and_not_how_many_there_were(journal: ErrorJournal) -> None:
    journal.note("x", error=OSError("a"))
    journal.note("x", error=ValueError("a"))
    assert journal.clear() == 2
    assert journal.summary("n", 9)["total"] == 0
    assert sum(journal.totals.values()) == 2
    journal.note("x", error=OSError("a"))
    assert len(journal) == 1


def test_the_errors_of_several_nodes_are_one_list(clock: FakeClock) -> None:
    journals = [ErrorJournal(FakeJournal(), clock=clock) for _ in range(2)]
    for number in range(4):
        journals[number % 2].note("x", error=OSError("a"), user=str(number))
        clock.advance(1)
    told = merged([one.summary(f"n{n}", 3) for n, one in enumerate(journals)], 3)
    assert [entry["context"]["userId"] for entry in told["recent"]] == ["3", "2", "1"]
    assert (told["total"], told["byCategory"]["connection"]) == (4, 4)


def _all(kind: type[TidewireError]) -> list[type[TidewireError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _all(child))]


@pytest.mark.parametrize(
    "kind", [kind for kind in _all(TidewireError) if kind.__module__ == errors.__name__]
)
def test_every_error_keeps_its_category_and_has_a_severity(kind: type[TidewireError]) -> None:
    made = kind() if kind is errors.IdempotencyConflict else kind("x")
    told = kind_of(made)
    assert (told.code, told.category, told.retryable) == (kind.code, kind.category, kind.retryable)
    assert told.severity in SEVERITIES


@pytest.mark.parametrize("code", KNOWN)
def test_a_known_code_has_a_category_and_a_severity_that_there_are(code: str) -> None:
    category, severity = KNOWN[code]
    assert category in CATEGORIES
    assert severity in SEVERITIES


def test_credentials_that_contradict_each_other_are_no_worse_than_a_bad_one() -> None:
    assert kind_of(CredentialConflict("x")).severity == "medium"
    assert kind_of(errors.InvalidToken("x")).severity == "medium"


def test_what_python_raises_has_a_category() -> None:
    assert kind_of(TimeoutError()).category == "timeout"
    assert kind_of(ConnectionResetError()).category == "connection"
    assert kind_of(KeyError("x")).category == "server"


def test_a_journal_of_somebodys_own_needs_to_know_no_more_than_before(clock: FakeClock) -> None:
    class Own:
        def note(self, what: str, *, error: BaseException | None = None, **more: object) -> None:
            assert not more.keys() & {"code", "answered", "settled", "next_try", "recovered"}

    own: Journal = Own()
    ErrorJournal(own, clock=clock).note("x", error=OSError("a"), code="SINK_FAILED", next_try=5)
