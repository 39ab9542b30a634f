"""JSON that people write, as it is read: values, and lines of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidewire.core.errors import EventTooLarge, InvalidBody
from tidewire.core.event import MAX_EVENT_BYTES
from tidewire.serve.jsonlines import MAX_LINE_BYTES, READ_BYTES, lines, parse_json


@contextmanager
def given(folder: Path, content: bytes, size: int | None = None) -> Iterator[int]:
    """A file to read; ``size``: it is filled up with zeros to so many bytes."""
    path = folder / "lines"
    path.write_bytes(content)
    if size is not None:
        os.truncate(path, size)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_value_is_what_it_says_with_or_without_the_mark_of_utf_8() -> None:
    for text in ('{"é":[1,2.5,"漢字"]}', '\ufeff{"é":[1,2.5,"漢字"]}'):
        assert parse_json(text, "DATA") == {"é": [1, 2.5, "漢字"]}
        assert parse_json(text.encode(), "Line 1") == {"é": [1, 2.5, "漢字"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'"\xff"', "Line 7 is not UTF-8: "),
        # A letter of another encoding; and one that does not begin as UTF-16 and UTF-32 do.
        ('"é"'.encode("latin-1"), "Line 7 is not UTF-8: "),
        ('"a"'.encode("utf-16"), "Line 7 is not UTF-8: "),
        ('"a"'.encode("utf-16-le"), "Line 7 is not JSON: "),
        ('"a"'.encode("utf-32-be"), "Line 7 is not JSON: "),
        # As the interpreter hands over bytes of the command line that are no text.
        ('"\udcff"', "Line 7 is not UTF-8: "),
        ("oops", "Line 7 is not JSON: "),
        ("", "Line 7 is not JSON: "),
        ("1" * 5000, "Line 7 is not JSON: "),
    ],
)
def test_what_is_none_is_told_with_its_place(text: str | bytes, told: str) -> None:
    with pytest.raises(InvalidBody) as raised:
        parse_json(text, "Line 7")
    assert raised.value.detail.startswith(told)


@pytest.mark.parametrize("depth", [300, 970, 977, 984, 990, 200_000])
def test_what_is_nested_deeper_than_a_server_reads_is_no_json(depth: int) -> None:
    with pytest.raises(InvalidBody, match="Line 7 is not JSON: recursion limit"):
        parse_json(b"[" * depth + b"]" * depth, "Line 7")


def test_lines_have_their_numbers_over_all_reads(tmp_path: Path) -> None:
    # Such that lines begin in one read and end in the next, or in that after it.
    sizes = [10, 0, READ_BYTES - 5, READ_BYTES * 2 + 7, 0, 0, 1, READ_BYTES - 1, READ_BYTES]
    written = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    for end in (b"", b"\n"):
        with given(tmp_path, b"\n".join(written) + end) as descriptor:
            found = [each for group in lines(descriptor) for each in group]
        assert found == [(number, line) for number, line in enumerate(written, 1) if line]


def test_what_came_is_handed_over_without_waiting_for_more() -> None:
    reads, writes = os.pipe()
    try:
        coming = lines(reads)
        os.write(writes, b"1\n2\n3")
        assert next(coming) == [(1, b"1"), (2, b"2")]
        os.write(writes, b"4\n")
        assert next(coming) == [(3, b"34")]
    finally:
        os.close(writes)
        os.close(reads)


def test_a_line_that_does_not_end_is_given_up_and_not_read_on(tmp_path: Path) -> None:
    with given(tmp_path, b"1\n\n2\n", size=8 * MAX_LINE_BYTES) as descriptor:
        coming = lines(descriptor)
        assert next(coming) == [(1, b"1"), (3, b"2")]
        with pytest.raises(EventTooLarge, match=r"Line 4 has more than"):
            next(coming)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) <= MAX_LINE_BYTES + 2 * READ_BYTES


def test_a_line_may_be_as_long_as_an_event_can_be_written(tmp_path: Path) -> None:
    longest = b'"' + b"\\u0061" * (MAX_EVENT_BYTES - 100) + b'"'
    with given(tmp_path, longest) as descriptor:
        [(number, line)] = [each for group in lines(descriptor) for each in group]
    assert (number, len(parse_json(line, "Line 1"))) == (1, MAX_EVENT_BYTES - 100)
