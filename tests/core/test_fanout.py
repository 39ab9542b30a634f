"""Which bytes go to which live reader."""

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeSink
from tidewire.core.event import Event
from tidewire.core.fanout import fan_out, groups
from tidewire.core.frame import NAMED, NAMED_CHUNKS, UNNAMED, Encoding
from tidewire.core.frames import Frames
from tidewire.core.index import Index
from tidewire.core.log import Entry
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Kin, Reader
from tidewire.core.stretches import Stretches
from tidewire.core.target import EVERYONE, Identity, Target


def entries(*targets: Target, type_: str = "notification", pad: int = 0) -> list[Entry]:
    made = []
    for offset, target in enumerate(targets, 1):
        event = Event(type_, {"n": offset, "pad": "x" * pad}, target=target)
        made.append(Entry(Position(1, offset, "abcd"), type_, target, event.body))
    return made


def reader(
    user: str, roles: tuple[str, ...] = (), types: tuple[str, ...] = (), encoding: Encoding = NAMED
) -> Reader:
    identity = Identity(user, frozenset(roles))
    start = Cursor(Position(1, 0, "abcd"))
    return Reader(identity, FakeSink(encoding), start, types=frozenset(types))


def _readers(alike: Kin | Sequence[Reader]) -> Iterable[Reader]:
    return alike.readers if isinstance(alike, Kin) else alike


def delivered(made: list[Entry], *readers: Reader) -> list[bytes | None]:
    index = Index()
    for each in readers:
        index.add(each)
    found = {}
    for data, alike, _ in fan_out(made, [entry.id for entry in made], index, Frames()):
        for each in _readers(alike):
            assert each not in found
            found[each] = data
    return [found.get(each) for each in readers]


def test_each_reader_gets_all_that_is_for_it_joined_in_order() -> None:
    made = entries(EVERYONE, Target.of(["ann"]), Target.of(roles=["R"]), EVERYONE)
    frames = [NAMED.entry(entry, entry.id) for entry in made]
    ann, bob, cid = delivered(made, reader("ann"), reader("bob", ("R",)), reader("cid"))
    assert ann == frames[0] + frames[1] + frames[3]
    assert bob == frames[0] + frames[2] + frames[3]
    assert cid == frames[0] + frames[3]


def test_readers_of_the_same_get_the_same_bytes_object() -> None:
    made = entries(EVERYONE, EVERYONE)
    one, two, unnamed = delivered(
        made, reader("ann"), reader("bob"), reader("cid", encoding=UNNAMED)
    )
    assert one is two
    assert unnamed == b"".join(UNNAMED.entry(entry, entry.id) for entry in made)


def test_who_wants_other_types_and_gets_the_same_gets_the_same_bytes_object() -> None:
    made = entries(EVERYONE, EVERYONE)
    got = delivered(
        made,
        *(reader("ann", types=("notification", f"mine {n}")) for n in range(5)),
        reader("bob"),
    )
    assert len({id(data) for data in got}) <= 2
    assert got[0] is got[4]


def test_an_entry_is_encoded_once_for_everybody() -> None:
    class Counting:
        calls = 0

        def entry(self, entry: Entry, cursor: str) -> bytes:
            self.calls += 1
            return b"%d" % entry.position.offset

        def control(self, control: object) -> bytes:
            raise AssertionError

    counting = Counting()
    made = entries(EVERYONE, Target.of(["ann"]), Target.of(["bob"]))
    got = delivered(made, *(reader(user, encoding=counting) for user in ("ann", "bob", "cid")))
    assert got == [b"12", b"13", b"1"]
    assert counting.calls == 3


def test_who_gets_nothing_is_not_touched() -> None:
    made = entries(Target.of(["ann"]), Target.of(roles=["R"]))
    assert delivered(made, reader("bob"), reader("ann", types=("own",))) == [None, None]


def test_types_narrow_what_is_delivered() -> None:
    made = entries(EVERYONE, type_="own") + entries(EVERYONE, type_="notification")
    own, both, other = delivered(
        made,
        reader("ann", types=("own",)),
        reader("ann", types=("own", "notification")),
        reader("ann", types=("other",)),
    )
    assert own == NAMED.entry(made[0], made[0].id)
    assert both == NAMED.entry(made[0], made[0].id) + NAMED.entry(made[1], made[1].id)
    assert other is None


def test_the_index_may_change_while_it_is_gone_through() -> None:
    index = Index()
    readers = [reader("ann"), reader("bob")]
    for each in readers:
        index.add(each)
    got = []
    for _, alike, _ in fan_out(entries(EVERYONE), ["a cursor"], index, Frames()):
        for each in tuple(_readers(alike)):
            index.remove(each)
            got.append(each)
    assert got == readers


def test_entries_are_cut_into_groups_of_so_many_bytes_in_order() -> None:
    made = entries(*[EVERYONE] * 7, pad=100)
    size = len(made[0].body)
    cut = list(groups(made, size * 3))
    assert [len(group) for group in cut] == [3, 3, 1]
    assert [entry for group in cut for entry in group] == made


def test_a_large_entry_is_a_group_of_its_own() -> None:
    small, large = entries(EVERYONE, EVERYONE), entries(EVERYONE, pad=1000)
    cut = list(groups([small[0], large[0], small[1]], 300))
    assert [len(group) for group in cut] == [1, 1, 1]


def test_nothing_makes_no_group() -> None:
    assert list(groups([], 100)) == []


names = st.sampled_from(["ann", "bob", "cid"])
roles = st.sampled_from(["A", "B"])
targets = st.one_of(
    st.just(EVERYONE),
    st.builds(
        lambda users, named: Target.of(users or None, named or (None if users else ["A"])),
        st.lists(names, max_size=2),
        st.lists(roles, max_size=2),
    ),
)
kinds = st.sampled_from(["own", "notification"])
everybody = st.lists(
    st.tuples(
        names,
        st.lists(roles, max_size=2),
        st.lists(kinds, max_size=2),
        st.sampled_from([NAMED, UNNAMED, NAMED_CHUNKS]),
    ),
    max_size=8,
)


@given(st.lists(st.tuples(targets, kinds), min_size=1, max_size=6), everybody)
def test_each_gets_what_it_would_read_from_the_log_by_itself(
    made: list[tuple[Target, str]],
    present: list[tuple[str, list[str], list[str], Encoding]],
) -> None:
    entries_ = []
    for offset, (target, type_) in enumerate(made, 1):
        event = Event(type_, {"n": offset}, target=target)
        entries_.append(Entry(Position(1, offset, "abcd"), type_, target, event.body))
    readers = [
        reader(user, tuple(held), tuple(types), encoding) for user, held, types, encoding in present
    ]
    got = delivered(entries_, *readers)
    for each, data in zip(readers, got, strict=True):
        assert (data or b"") == Stretches(Frames(), 1 << 20).take(each, entries_)
