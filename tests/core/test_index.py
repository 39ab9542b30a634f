"""The live readers, found by whom an event names."""

from tests.fakes import FakeSink
from tidewire.core.index import Index
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.core.target import EVERYONE, Identity, Target


def reader(user: str, roles: tuple[str, ...] = (), topics: tuple[str, ...] = ()) -> Reader:
    identity = Identity(user, frozenset(roles), topics=frozenset(topics))
    return Reader(identity, FakeSink(), Cursor(Position(1, 0, "abcd")), topics=frozenset(topics))


def filled() -> tuple[Index, dict[str, Reader]]:
    readers = {
        "ann": reader("ann", ("A",), ("x",)),
        "ann again": reader("ann"),
        "bob": reader("bob", ("A", "B")),
        "cid": reader("cid", (), ("x", "y")),
    }
    index = Index()
    for each in readers.values():
        index.add(each)
    return index, readers


def found(index: Index, readers: dict[str, Reader], target: Target) -> list[str]:
    names = {each: name for name, each in readers.items()}
    return [names[each] for each in index.named(target)]


def test_a_target_finds_its_readers_each_once() -> None:
    index, readers = filled()
    for target, expected in (
        (EVERYONE, ["ann", "ann again", "bob", "cid"]),
        (Target.of(["ann"]), ["ann", "ann again"]),
        (Target.of(roles=["A"]), ["ann", "bob"]),
        (Target.of(topics=["x"]), ["ann", "cid"]),
        (Target.of(["ann"], ["A"], ["x"]), ["ann", "ann again", "bob", "cid"]),
        (Target.of(["zoe"], ["Z"], ["z"]), []),
    ):
        assert sorted(found(index, readers, target)) == expected


def test_a_removed_reader_is_found_no_more_and_leaves_nothing() -> None:
    index, readers = filled()
    index.remove(readers["ann"])
    assert found(index, readers, Target.of(["ann"], ["A"], ["x"])) == ["ann again", "bob", "cid"]
    assert readers["ann"] not in index
    assert readers["bob"] in index
    for name in ("ann again", "bob", "cid"):
        index.remove(readers[name])
    assert (len(index), list(index)) == (0, [])
    assert (index._users, index._roles, index._topics) == ({}, {}, {})


def test_what_the_index_finds_is_still_asked_whether_it_may_see() -> None:
    index, readers = filled()
    # As if the identity had changed without the index knowing.
    readers["bob"].identity = Identity("bob")
    assert found(index, readers, Target.of(roles=["A"])) == ["ann"]
