"""Positions and cursors: what they say, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.errors import InvalidCursor
from tidewire.core.position import (
    MAX_CURSOR_LENGTH,
    MAX_SEEN,
    Cursor,
    Edge,
    Position,
    new_epoch,
    parse_since,
)

numbers = st.integers(0, 10**15)
epochs = st.from_regex(r"[a-z0-9]{4,8}", fullmatch=True)
positions = st.builds(Position, numbers, numbers, epochs)
names = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
cursors = st.builds(
    Cursor,
    positions,
    st.dictionaries(names, numbers, max_size=3).map(lambda seen: tuple(sorted(seen.items()))),
)


@given(cursors)
def test_a_cursor_is_read_back_as_it_was_written(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == parse_since(str(cursor)) == cursor
    assert Position.parse(str(cursor.position)) == cursor.position


def test_a_position_is_written_as_the_contract_says() -> None:
    assert str(Position(1764000000000, 42, "k3f9")) == "1764000000000-42-k3f9"
    cursor = Cursor(Position(1764000000000, 42, "k3f9"), (("s8", 5), ("s9", 0)))
    assert str(cursor) == "1764000000000-42-k3f9~s8.5~s9.0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1-2",
        "1-2-abc",
        "1-2-abcdefghi",
        "1-2-ABCD",
        "1-2-ab_d",
        "01-2-abcd",
        "1-02-abcd",
        "-1-2-abcd",
        "+1-2-abcd",
        "1.5-2-abcd",
        " 1-2-abcd",
        "1-2-abcd ",
        "1-2-abcd\n",
        "1-2-abcd\x00",
        "1-2-abcd-3",
        "١-2-abcd",
        "12345678901234567-1-abcd",
        "1-2-abcd~",
        "1-2-abcd~s8",
        "1-2-abcd~s8.",
        "1-2-abcd~8.5",
        "1-2-abcd~s8.05",
        "1-2-abcd~S8.5",
        "1-2-abcd~~s8.5",
        "1-2-abcd~averylongspoolname.5",
        "~s8.5",
        "1-2-abcd~s8.5~s8.6",
        "Latest",
        "-5",
        "1e3",
        "0x10",
    ],
)
def test_what_no_log_could_have_written_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match="is not a cursor"):
        parse_since(text)


def test_a_cursor_of_more_than_256_characters_is_refused() -> None:
    seen = [f"~{letter}{digit}.5" for letter in "abcde" for digit in range(10)]
    cursor = "1-2-abcd" + "".join(seen[:49])
    assert len(cursor + "~s.") == 256
    assert len(Cursor.parse(cursor).seen) == 49
    with pytest.raises(InvalidCursor):
        Cursor.parse("1-2-abcd" + "".join(seen))


def test_a_long_wrong_cursor_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidCursor) as refused:
        parse_since("x" * 10_000)
    assert len(refused.value.detail) < 300


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("earliest", Edge.EARLIEST),
        ("latest", Edge.LATEST),
        ("0", 0),
        ("1764000000000", 1764000000000),
        ("1-0-abcd", Cursor(Position(1, 0, "abcd"))),
    ],
)
def test_a_start_is_a_cursor_a_time_or_an_edge_and_is_written_as_it_is_read(
    text: str, since: object
) -> None:
    assert parse_since(text) == since
    assert str(since) == text


def test_the_offset_alone_gives_the_order() -> None:
    early, late = Position(2000, 1, "abcd"), Position(1000, 2, "abcd")
    assert early < late
    assert late > early
    assert early <= early
    assert max(early, late) is late


def test_positions_of_two_epochs_have_no_order() -> None:
    with pytest.raises(ValueError, match="different epochs"):
        _ = Position(1, 1, "abcd") < Position(1, 2, "wxyz")


def test_a_position_has_no_order_with_anything_else() -> None:
    with pytest.raises(TypeError):
        _ = Position(1, 1, "abcd") < "1-2-abcd"


def test_epochs_are_drawn_as_positions_hold_them() -> None:
    drawn = {new_epoch() for _ in range(100)}
    assert len(drawn) == 100
    assert all(re.fullmatch(r"[a-z0-9]{4,8}", epoch) for epoch in drawn)


def test_a_cursor_remembers_the_last_that_was_seen_of_each_producer() -> None:
    start = Position(1, 1, "abcd")
    cursor = Cursor(start).saw("sb", 5).saw("sa", 2).saw("sb", 6)
    assert cursor == Cursor(start, (("sa", 2), ("sb", 6)))
    assert [cursor.last_seen(name) for name in ("sa", "sb", "sc")] == [2, 6, 0]


def test_what_was_seen_of_a_spool_never_goes_back() -> None:
    cursor = Cursor(Position(1, 1, "abcd"), (("sa", 5),))
    assert cursor.saw("sa", 5) is cursor
    assert cursor.saw("sa", 4) is cursor
    assert cursor.saw("sb", 0) is cursor


def test_a_producer_is_forgotten_when_all_that_was_seen_of_it_stands_behind_the_cursor() -> None:
    start, then = Position(1, 1, "abcd"), Position(2, 2, "abcd")
    cursor = Cursor(start, (("sa", 5), ("sb", 7)))
    assert cursor.passed(then, "sa", 4) == Cursor(then, cursor.seen)
    assert cursor.passed(then, "sa", 5) == Cursor(then, (("sb", 7),))
    # What was thought to come as the fifth never came; others of it came after.
    assert cursor.passed(then, "sa", 9) == Cursor(then, (("sb", 7),))
    assert cursor.passed(then, "sc", 9) == Cursor(then, cursor.seen)
    assert Cursor(start).passed(then, "sa", 9) == Cursor(then)


def test_a_cursor_that_is_moved_keeps_what_was_seen() -> None:
    cursor = Cursor(Position(1, 1, "abcd"), (("sa", 5),))
    assert cursor.moved(Position(9, 9, "wxyz")) == Cursor(Position(9, 9, "wxyz"), (("sa", 5),))


@given(positions, st.lists(st.tuples(names, numbers), max_size=30))
def test_whatever_a_cursor_has_seen_it_can_be_sent_and_read_back(
    position: Position, seen: list[tuple[str, int]]
) -> None:
    cursor = Cursor(position)
    for name, number in seen:
        cursor = cursor.saw(name, number)
    assert len(cursor.seen) <= MAX_SEEN
    assert Cursor.parse(str(cursor)) == cursor


def test_the_longest_cursor_that_there_can_be_is_short_enough_to_come_back() -> None:
    most = 9_999_999_999_999_999
    cursor = Cursor(Position(most, most, "abcdefgh"))
    for n in range(MAX_SEEN + 2):
        cursor = cursor.saw(f"sprodu{n:02}", most)
    assert len(cursor.seen) == MAX_SEEN
    assert len(str(cursor)) <= MAX_CURSOR_LENGTH
    assert Cursor.parse(str(cursor)) == cursor
