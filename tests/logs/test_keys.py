"""Idempotency keys of one process: known for ten minutes, and never too many."""

import pytest

from tidewire.core.errors import IdempotencyConflict
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Position
from tidewire.logs import keys as keys_module
from tidewire.logs.keys import IDEMPOTENCY_SECONDS, Keys

TEN_MINUTES = 600_000


def key(scope: str = "ann:1", digest: str = "d") -> IdempotencyKey:
    return IdempotencyKey(scope, digest)


def positions(first: int, count: int = 1) -> list[Position]:
    return [Position(7, offset, "abcd") for offset in range(first, first + count)]


def test_a_key_gives_all_positions_that_were_accepted_under_it() -> None:
    keys = Keys()
    keys.remember(key(), positions(4, 3), 0)
    assert keys.known(key(), 0) == positions(4, 3)
    assert keys.known(key("bob:1"), 0) is None


def test_what_has_no_key_is_always_new() -> None:
    keys = Keys()
    keys.remember(None, positions(1), 0)
    assert len(keys) == 0
    assert keys.known(None, 0) is None


def test_a_key_lasts_for_ten_minutes_and_not_a_millisecond_more() -> None:
    assert IDEMPOTENCY_SECONDS * 1000 == TEN_MINUTES
    keys = Keys()
    keys.remember(key(), positions(1), 5)
    assert keys.known(key(), 5 + TEN_MINUTES - 1) == positions(1)
    assert keys.known(key(), 5 + TEN_MINUTES) is None


def test_another_digest_is_a_conflict_only_while_the_key_lasts() -> None:
    keys = Keys()
    keys.remember(key(digest="one"), positions(1), 0)
    with pytest.raises(IdempotencyConflict):
        keys.known(key(digest="two"), TEN_MINUTES - 1)
    assert keys.known(key(digest="one"), TEN_MINUTES - 1) == positions(1)
    assert keys.known(key(digest="two"), TEN_MINUTES) is None


def test_asking_does_not_make_a_key_last_longer() -> None:
    keys = Keys()
    keys.remember(key(), positions(1), 0)
    for now in range(0, TEN_MINUTES, 1000):
        assert keys.known(key(), now) == positions(1)
    assert keys.known(key(), TEN_MINUTES) is None


def test_forgotten_keys_are_let_go_although_others_are_asked_for() -> None:
    keys = Keys()
    for n in range(100):
        keys.remember(key(f"ann:{n}"), positions(n + 1), n)
    assert keys.known(None, TEN_MINUTES + 49) is None
    assert len(keys) == 50


def test_of_too_many_keys_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MAX_KEYS", 3)
    keys = Keys()
    for n in range(5):
        keys.remember(key(f"ann:{n}"), positions(n + 1), n)
    assert [keys.known(key(f"ann:{n}"), 5) for n in range(5)] == [
        None,
        None,
        positions(3),
        positions(4),
        positions(5),
    ]


def test_a_key_that_is_used_anew_counts_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where keys that were used before it end earlier."""
    keys = Keys()
    keys.remember(key("a"), positions(1), 0)
    keys.remember(key("b"), positions(2), 10)
    keys.remember(key("a"), positions(3), 20)
    assert keys.known(key("b"), TEN_MINUTES + 10) is None
    assert keys.known(key("a"), TEN_MINUTES + 19) == positions(3)
    assert keys.known(key("a"), TEN_MINUTES + 20) is None
    assert len(keys) == 0
