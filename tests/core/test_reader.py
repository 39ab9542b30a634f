"""A reader: what it wants, and what it may see."""

import pytest

from tests.fakes import FakeSink
from tidewire.core.errors import Forbidden
from tidewire.core.event import Event
from tidewire.core.log import Entry
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.core.target import EVERYONE, Identity, Target

START = Cursor(Position(1, 0, "abcd"))


def entry(offset: int, target: Target = EVERYONE, type_: str = "notification") -> Entry:
    event = Event(type_, {"n": offset, "pad": "x" * 100}, target=target)
    return Entry(Position(1, offset, "abcd"), type_, target, event.body)


def reader(types: tuple[str, ...] = (), topics: tuple[str, ...] = ("x",)) -> Reader:
    identity = Identity("ann", frozenset({"A"}), topics=frozenset({"x", "y"}))
    return Reader(identity, FakeSink(), START, types=frozenset(types), topics=frozenset(topics))


def test_it_sees_what_it_wants_and_may_see() -> None:
    assert reader().sees(entry(1))
    assert reader().sees(entry(1, Target.of(roles=["A"])))
    assert not reader().sees(entry(1, Target.of(roles=["B"])))
    assert reader(types=("own",)).sees(entry(1, type_="own"))
    assert not reader(types=("own",)).sees(entry(1))


def test_a_topic_is_seen_only_if_it_is_subscribed() -> None:
    assert reader().sees(entry(1, Target.of(topics=["x"])))
    assert not reader().sees(entry(1, Target.of(topics=["y"])))
    assert not reader(topics=()).sees(entry(1, Target.of(topics=["x"])))


def test_a_topic_that_is_not_granted_is_refused_at_birth() -> None:
    with pytest.raises(Forbidden):
        reader(topics=("z",))


def test_a_new_identity_narrows_and_widens_at_once_but_subscribes_to_nothing_new() -> None:
    it = reader()
    it.become(Identity("ann", frozenset({"B"}), topics=frozenset({"y"})))
    assert it.sees(entry(1, Target.of(roles=["B"])))
    assert not it.sees(entry(1, Target.of(roles=["A"])))
    assert not it.sees(entry(1, Target.of(topics=["x"])))
    assert not it.sees(entry(1, Target.of(topics=["y"])))
    it.become(Identity("ann", topics=frozenset({"x", "y"})))
    assert it.sees(entry(1, Target.of(topics=["x"])))
    assert not it.sees(entry(1, Target.of(topics=["y"])))
