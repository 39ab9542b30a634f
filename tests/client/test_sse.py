"""Bytes are read as the standard says, however the network cuts them."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.client.sse import MAX_BYTES, Block, NotAStream, Parser
from tidewire.core.event import Event
from tidewire.core.frame import NAMED, UNNAMED
from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.core.target import EVERYONE


def read(*pieces: bytes) -> list[Block]:
    parser = Parser()
    return [block for piece in pieces for block in parser.feed(piece)]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        (b"data: a\n\n", [Block("a")]),
        (b"data:a\ndata:  b\n\n", [Block("a\n b")]),
        (b"data\n\n", [Block("")]),
        (b"event: e\ndata: a\nid: 7\n\n", [Block("a", "7", "e")]),
        (b"id: 7\n\ndata: a\n\n", [Block("a")]),
        (b"data: a\nid: 7\n\ndata: b\n\n", [Block("a", "7"), Block("b")]),
        (b"data: a\nid: 7\0\n\n", [Block("a")]),
        (b"data: a\nretry: 250\n\n", [Block("a", retry=250)]),
        (b"retry: 250\n\n", [Block(None, retry=250)]),
        (b"data: a\nretry: -1\nretry: 1x\nretry:\n\n", [Block("a")]),
        (b"data: a\nretry: " + b"9" * 5000 + b"\n\n", [Block("a")]),
        (b": a comment\ndata: a\nother: b\n\n", [Block("a")]),
        (b":\n\n", []),
        (b"event: e\n\n", []),
        (b"data: a\r\n\r\n", [Block("a")]),
        (b"data: a\r\ndata: b\r\n\r\n", [Block("a\nb")]),
        (b"data: a\r\rdata: b\r\n\n", [Block("a"), Block("b")]),
        (b"data: a\n\r\n", [Block("a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Block("a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Block("a")]),
        (b"data: a\n", []),
        (b"data: a\n\ndata: b\n", [Block("a")]),
        ("data: a\u2028b\u0085c\u2029d\x0be\x0cf\x1cg\n\n".encode(), None),
        (b"data: \xff\n\n", [Block("\ufffd")]),
    ],
)
def test_a_stream_is_read_as_the_standard_says(text: bytes, blocks: list[Block] | None) -> None:
    expected = [Block("a\u2028b\u0085c\u2029d\x0be\x0cf\x1cg")] if blocks is None else blocks
    assert read(text) == expected
    # Byte by byte it is the same.
    assert read(*(text[n : n + 1] for n in range(len(text)))) == expected


def reference(text: bytes) -> list[Block]:
    """The same, all at once, in the words of the standard."""
    lines = re.split(rb"\r\n|\n|\r", text.removeprefix(b"\xef\xbb\xbf"))[:-1]
    found: list[Block] = []
    data: list[bytes] = []
    id_: bytes | None = None
    event, retry = b"", None
    for line in lines:
        if not line:
            if data or retry is not None:
                content = b"\n".join(data).decode(errors="replace") if data else None
                name = event.decode(errors="replace") or "message"
                told = None if id_ is None else id_.decode(errors="replace")
                found.append(Block(content, told, name, retry))
            data, id_, event, retry = [], None, b"", None
            continue
        name_, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name_:
            case b"data":
                data.append(value)
            case b"id" if b"\0" not in value:
                id_ = value
            case b"event":
                event = value
            case b"retry" if re.fullmatch(rb"[0-9]{1,15}", value):
                retry = int(value)
    return found


PARTS = [
    b"data: ",
    b"data",
    b"id: 1",
    b"event: e",
    b"retry: 5",
    b":",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    "🌊\u2028".encode(),
    b"\xff",
]
streams = st.lists(st.sampled_from(PARTS) | st.binary(max_size=4), max_size=40).map(b"".join)
places = st.lists(st.integers(0, 200), max_size=10)


def cut(text: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({place % (len(text) + 1) for place in at} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(ends)]


@given(streams, places)
def test_any_bytes_in_any_pieces_are_read_as_when_they_come_at_once(
    text: bytes, at: list[int]
) -> None:
    assert read(*cut(text, at)) == reference(text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5), places)
def test_what_the_server_writes_is_read_back(texts: list[str], at: list[int]) -> None:
    stream = b""
    for number, text in enumerate(texts, 1):
        entry = Entry(Position(1, number, "epoch"), "t", EVERYONE, Event("t", text).body)
        encoding = NAMED if number % 2 else UNNAMED
        stream += encoding.entry(entry, str(entry.position))
    blocks = read(*cut(stream, at))
    assert [json.loads(block.data or "")["data"] for block in blocks] == texts
    assert [block.id for block in blocks] == [f"1-{n}-epoch" for n in range(1, len(texts) + 1)]


@pytest.mark.parametrize("line", [b"data: " + b"x" * 4096 + b"\n", b"x" * 4096])
def test_what_never_ends_is_given_up(line: bytes) -> None:
    with pytest.raises(NotAStream, match="more than"):
        read(*[line] * (MAX_BYTES // 2048))
