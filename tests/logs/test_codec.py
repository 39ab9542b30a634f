"""Entries as a Redis stream keeps them: read back as they were written, whatever names hold."""

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.errors import InvalidEvent
from tidewire.core.event import Event, check_type
from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.core.target import EVERYONE, Target
from tidewire.logs.codec import decode, encode, spooled

numbers = st.integers(0, 10**15)
epochs = st.from_regex(r"[a-z0-9]{4,8}", fullmatch=True)
positions = st.builds(Position, numbers, numbers, epochs)

# Often what divides and escapes, beside anything else that can be encoded.
texts = st.one_of(
    st.text(st.sampled_from("\\ef\x1e\x1f u-,"), max_size=12),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
names = texts.filter(len)
named = st.frozensets(names, max_size=3)
targets = st.builds(Target, named, named, named)


def is_type(text: str) -> bool:
    try:
        check_type(text)
        Event(text)
    except InvalidEvent:
        return False
    return True


types = st.one_of(
    st.sampled_from(["notification", "a b  c", "-", "\\e\\f", "1 2 3 4 5 6", "ü\N{SNOWMAN}"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
).filter(is_type)


def made(type_: str, target: Target, session: str | None) -> Event:
    metadata = {} if session is None else {"sessionId": session}
    return Event(type_, {"n": 1}, target=target, metadata=metadata)


def stored(event: Event, position: Position, producer: str, number: int, accepted: str) -> Entry:
    """The entry, as the script writes its header and a node reads it."""
    head = f"{position.epoch} {event.size} {number} {producer} {accepted} ".encode()
    return decode(f"{position.ms}-{position.offset}".encode(), head + encode(event), event.body)


@given(types, targets, st.none() | names, positions, numbers, st.none() | positions)
def test_an_entry_is_read_back_as_it_was_written(
    type_: str,
    target: Target,
    session: str | None,
    position: Position,
    number: int,
    accepted: Position | None,
) -> None:
    event = made(type_, target, session)
    back = stored(event, position, "sproduc0", number, "-" if accepted is None else str(accepted))
    assert back == Entry(position, type_, target, event.body, session, "sproduc0", number, accepted)
    assert back.event().target == target


@given(targets, targets)
def test_two_targets_are_never_written_alike(one: Target, other: Target) -> None:
    written = [encode(made("notification", target, None)) for target in (one, other)]
    assert (written[0] == written[1]) == (one == other)


def test_names_are_written_in_one_order_whatever_order_a_set_has() -> None:
    event = Event("x", target=Target.of(["b", "a", "c"], ["r"], ["t", "s"]))
    assert encode(event) == b"x\x1eua\x1fub\x1fuc\x1frr\x1fts\x1ftt\x1e"


def test_an_event_for_everyone_names_nobody() -> None:
    assert encode(Event("a b")) == b"a b\x1e\x1e"
    entry = stored(Event("a b"), Position(1, 2, "abcd"), "sproduc0", 3, "-")
    assert entry.target is EVERYONE
    assert entry.session_id is None


def test_a_name_with_separators_stays_one_name() -> None:
    """Else one could add a role to an event by the name of a user."""
    event = Event("x", target=Target.of(users=["eve\x1frADMIN\x1e\\\x1e"]))
    back = stored(event, Position(1, 2, "abcd"), "sproduc0", 3, "-")
    assert back.target == Target(users=frozenset({"eve\x1frADMIN\x1e\\\x1e"}))
    assert encode(event).count(b"\x1e") == 2
    assert encode(event).count(b"\x1f") == 0


@given(types, targets, st.none() | names)
def test_an_entry_of_a_spool_stands_beside_the_log_with_its_place_as_its_id(
    type_: str, target: Target, session: str | None
) -> None:
    event = made(type_, target, session)
    place = Position(7, 33, "sproduc0")
    entry = spooled(event, place)
    assert not entry.in_log
    assert (entry.id, entry.timestamp) == ("7-33-sproduc0", 7)
    assert (entry.producer, entry.number) == ("sproduc0", 33)
    assert (entry.type, entry.target, entry.session_id) == (type_, target, session)
    # At home it is the same event under the same id.
    home = stored(event, Position(9, 9, "abcd"), "sproduc0", 33, "7-33-sproduc0")
    assert home.in_log
    assert home.event() == entry.event()


def test_an_entry_of_a_spool_may_have_the_id_that_its_publisher_was_told() -> None:
    entry = spooled(Event("x"), Position(7, 33, "sproduc0"), accepted=Position(1, 2, "abcd"))
    assert entry.id == "1-2-abcd"
    assert not entry.in_log
