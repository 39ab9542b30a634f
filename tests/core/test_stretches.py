"""What several readers read one after the other is put together once."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import CountingEncoding, FakeSink
from tidewire.core.event import Event
from tidewire.core.frame import NAMED, UNNAMED, Encoding
from tidewire.core.frames import Frames
from tidewire.core.log import Entry
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.core.stretches import MAX_STRETCHES, Stretches
from tidewire.core.target import EVERYONE, Identity, Target

START = Cursor(Position(1, 0, "abcd"))
NO_FRAMES = 1


def entry(
    offset: int,
    target: Target = EVERYONE,
    type_: str = "notification",
    pad: int = 10,
    number: int = 0,
) -> Entry:
    event = Event(type_, {"n": offset, "pad": "x" * pad}, target=target)
    return Entry(
        Position(1, offset, "abcd"),
        type_,
        target,
        event.body,
        producer="p" if number else "",
        number=number,
    )


def reader(
    user: str = "ann",
    *,
    roles: frozenset[str] = frozenset(),
    types: frozenset[str] = frozenset(),
    cursor: Cursor = START,
    encoding: Encoding = NAMED,
) -> Reader:
    sink = FakeSink()
    sink.encoding = encoding
    return Reader(Identity(user, roles), sink, cursor, types=types)


def alone(reader: Reader, entries: Sequence[Entry], max_bytes: int) -> bytes:
    """What a reader gets by itself, entry by entry."""
    taken = b""
    events = 0
    cursor = reader.cursor
    for each in entries:
        if len(taken) >= max_bytes:
            break
        seen = each.seen_by(cursor)
        cursor = each.pass_by(cursor)
        if not seen and reader.sees(each):
            taken += reader.sink.encoding.entry(each, str(cursor))
            events += 1
    reader.went(cursor, events)
    return taken


TARGETS = st.sampled_from(
    [EVERYONE, EVERYONE, Target.of(["ann"]), Target.of(["bob"]), Target.of(roles=["A"])]
)
READERS = st.tuples(
    st.sampled_from(["ann", "bob", "cid"]),
    st.sampled_from([frozenset[str](), frozenset({"A"})]),
    st.sampled_from([frozenset[str](), frozenset({"own"}), frozenset({"own", "notification"})]),
    st.sampled_from([START, Cursor(START.position, (("p", 3),))]),
    st.sampled_from([NAMED, UNNAMED]),
)
WRITTEN = st.lists(
    st.tuples(TARGETS, st.sampled_from(["notification", "own"]), st.integers(0, 400)),
    min_size=1,
    max_size=12,
)


@given(
    written=WRITTEN,
    who=st.lists(READERS, min_size=1, max_size=30),
    max_bytes=st.integers(200, 3_000),
)
def test_whoever_reads_a_stretch_gets_what_they_would_have_got_alone(
    written: list[tuple[Target, str, int]],
    who: list[tuple[str, frozenset[str], frozenset[str], Cursor, Encoding]],
    max_bytes: int,
) -> None:
    entries = tuple(
        entry(n, target, type_, pad, number=n) for n, (target, type_, pad) in enumerate(written, 1)
    )
    stretches = Stretches(Frames(), max_bytes)
    for user, roles, types, cursor, encoding in who:
        shared, single = (
            reader(user, roles=roles, types=types, cursor=cursor, encoding=encoding)
            for _ in range(2)
        )
        told = stretches.take(shared, entries)
        assert told == alone(single, entries, max_bytes)
        assert (shared.cursor, shared.delivered) == (single.cursor, single.delivered)


def test_a_crowd_at_one_cursor_is_given_one_and_the_same_object() -> None:
    counting = CountingEncoding()
    entries = tuple(entry(n) for n in range(1, 51))
    stretches = Stretches(Frames(NO_FRAMES))
    given_ = [stretches.take(reader(encoding=counting), entries) for _ in range(100)]
    assert given_ == given_[:1] * 100
    assert len({id(data) for data in given_}) == 1
    assert counting.calls == 50


def test_what_was_written_since_is_not_passed_over() -> None:
    entries = tuple(entry(n) for n in range(1, 11))
    stretches = Stretches(Frames())
    for number in (5, 5, 5, 10, 10, 10, 5):
        it = reader()
        stretches.take(it, entries[:number])
        assert it.cursor == Cursor(entries[number - 1].position)


def test_what_is_remembered_is_bounded() -> None:
    counting = CountingEncoding()
    entries = tuple(entry(n) for n in range(1, 2 * MAX_STRETCHES + 2))
    stretches = Stretches(Frames(NO_FRAMES))

    def take(begin: int) -> None:
        cursor = Cursor(Position(1, begin, "abcd"))
        stretches.take(reader(cursor=cursor, encoding=counting), entries[begin:])

    for begin in range(len(entries)):
        take(begin)
    counting.calls = 0
    take(0)
    # That somebody was there was forgotten.
    assert counting.calls == len(entries)
    take(0)
    assert counting.calls == len(entries)


def test_where_frames_are_longer_than_bodies_all_stop_at_the_same_entry() -> None:
    entries = tuple(entry(n) for n in range(1, 11))
    size = sum(len(each.body) for each in entries)
    stretches = Stretches(Frames(), size)
    for _ in range(3):
        shared, single = reader(), reader()
        assert stretches.take(shared, entries) == alone(single, entries, size)
        assert shared.cursor == single.cursor
        assert shared.cursor.position.offset < 10


def test_what_is_too_large_is_not_kept() -> None:
    counting = CountingEncoding()
    entries = (entry(1, pad=500), entry(2, pad=500))
    stretches = Stretches(Frames(NO_FRAMES), 600)
    for _ in range(3):
        stretches.take(reader(encoding=counting), entries)
    # The first is as much as there is room for, and is encoded each time.
    assert counting.calls == 3


def test_what_is_afloat_is_looked_at_anew_each_time() -> None:
    def afloat(number: int) -> Entry:
        event = Event("notification", {"n": number})
        return Entry(
            Position(1, number, "spool"),
            event.type,
            EVERYONE,
            event.body,
            producer="spool",
            number=number,
        )

    first, second, third = (afloat(number) for number in (1, 2, 3))
    stretches = Stretches(Frames())
    for _ in range(3):
        stretches.take(reader(), (first, second, third))
    shared, single = reader(), reader()
    told = stretches.take(shared, (second, third))
    assert told == alone(single, (second, third), 10_000)
