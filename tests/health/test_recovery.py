"""What is done about a failure."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.health.failure import CATEGORIES, SEVERITIES
from tidewire.health.recovery import (
    BACKOFF_LAST_MS,
    PLANS,
    Failed,
    Recoveries,
    backoff,
    plan_for,
)


def test_there_is_a_plan_for_every_category_and_severity() -> None:
    assert PLANS.keys() == set(itertools.product(CATEGORIES, SEVERITIES))


def test_what_is_critical_is_for_an_operator() -> None:
    assert {PLANS[category, "critical"].strategy for category in CATEGORIES} == {"escalate"}


@pytest.mark.parametrize(
    ("failed", "strategy", "action", "delay"),
    [
        (Failed("LOG_AWAY", "connection", "high", retry_after=1_000), "retry", None, 1_000),
        (Failed("AUTH_EXPIRED_TOKEN", "authentication", "low"), "refresh_token", None, 1_000),
        (Failed("KEYS_UNREAD", "authentication", "high"), "escalate", "tell_operator", 1_000),
        (Failed("AUTH_FORBIDDEN", "authentication", "medium"), "none", "mend_request", None),
        (Failed("RATE_LIMIT_EXCEEDED", "rate_limit", "medium"), "fallback_polling", "poll", 1_000),
        (Failed("SERVER_ERROR", "server", "high", 3), "restart_connection", None, 4_000),
        (Failed("VALIDATION_CURSOR", "validation", "low"), "none", "mend_request", None),
        (Failed("CLIENT_NOT_FOUND", "client", "low"), "none", "mend_request", None),
        (Failed("CANARY_FAILED", "timeout", "high", retryable=False), "retry", None, None),
    ],
    ids=lambda value: value.code if isinstance(value, Failed) else None,
)
def test_where_the_server_can_do_nothing_it_says_what_is_done(
    failed: Failed, strategy: str, action: str | None, delay: int | None
) -> None:
    found = Recoveries().recover(failed)
    assert (found.strategy, found.success, found.next_delay) == (strategy, None, delay)
    assert action in (None, found.action)
    assert found.message.endswith(".")


def test_a_follow_loop_that_hangs_is_begun_anew() -> None:
    calls: list[str] = []
    recoveries = Recoveries()

    def again() -> bool:
        calls.append("again")
        return True

    recoveries.actions["restart_follow_loop"] = again
    found = recoveries.recover(Failed("FOLLOW_STALLED", "server", "critical"))
    assert (calls, found.action, found.success) == (["again"], "restart_follow_loop", None)


def test_one_that_its_owner_tries_again_is_left_to_its_owner() -> None:
    recoveries = Recoveries()
    recoveries.actions["restart_follow_loop"] = lambda: pytest.fail("it has an owner")
    found = recoveries.recover(Failed("FOLLOW_FAILED", "server", "critical", next_try=50))
    assert (found.action, found.success, found.next_delay) == ("restart_follow_loop", None, 50)


def test_an_action_that_could_not_be_done_has_failed() -> None:
    recoveries = Recoveries()
    recoveries.actions["restart_follow_loop"] = lambda: False
    assert recoveries.recover(Failed("FOLLOW_STALLED", "server", "critical")).success is False


def test_what_was_dealt_with_is_over() -> None:
    found = Recoveries().recover(Failed("CONNECTION_STALE", "timeout", "low", settled=True))
    assert (found.strategy, found.success, found.next_delay) == ("restart_connection", True, None)


@given(st.integers(1, 1_000_000))
def test_backoff_grows_to_a_bound(count: int) -> None:
    assert backoff(1) <= backoff(count) <= backoff(count + 1) <= BACKOFF_LAST_MS


@given(st.text(max_size=20), st.sampled_from(CATEGORIES), st.sampled_from(SEVERITIES))
def test_any_code_has_a_plan(code: str, category: str, severity: str) -> None:
    assert plan_for(code, category, severity).message  # type: ignore[arg-type]
