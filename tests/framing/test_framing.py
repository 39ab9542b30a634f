"""Any event, written as SSE and cut into chunks anywhere, is read alike by independent parsers."""

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tidewire import Event, TidewireError
from tidewire.core import notices
from tidewire.core.event import RESERVED_TYPES, check_type
from tidewire.core.frame import NAMED, UNNAMED, Encoding
from tidewire.core.log import Entry, Gap
from tidewire.core.position import Cursor, Position

FOLDER = Path(__file__).parent
LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
NASTY = ("data: {}", "\n\n", "id: 1\n", "\r", "\ufeff", "\x00", "👩‍👩‍👧‍👦", "e\u0301", *LINE_ENDS)


@dataclass(frozen=True)
class Parsed:
    """What a parser found: the name ("message" where none was given), the data, the id."""

    event: str
    data: str
    id: str | None


class Parser(Protocol):
    def __call__(self, chunks: Sequence[bytes]) -> list[Parsed]: ...


class _Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


def httpx_sse(chunks: Sequence[bytes]) -> list[Parsed]:
    response = httpx.Response(
        200, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=_Chunks(chunks)
    )
    return [Parsed(sse.event, sse.data, sse.id or None) for sse in EventSource(response).iter_sse()]


class EventSourceParser:
    """The npm package, in one process for the whole run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "parse.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, chunks: Sequence[bytes]) -> list[Parsed]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        case = {"chunks": [base64.b64encode(chunk).decode() for chunk in chunks]}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        assert found["errors"] == []
        return [
            Parsed(event["event"] or "message", event["data"], event["id"])
            for event in found["events"]
            if "data" in event
        ]

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def eventsource_parser() -> Iterator[EventSourceParser]:
    if not (FOLDER / "node_modules" / "eventsource-parser").is_dir():
        pytest.fail(
            "eventsource-parser is not installed. Run scripts/test, or: "
            "npm ci --no-audit --no-fund --prefix tests/framing",
            pytrace=False,
        )
    parser = EventSourceParser()
    try:
        yield parser
    finally:
        parser.close()


@pytest.fixture(params=["httpx-sse", "eventsource-parser"])
def parser(request: pytest.FixtureRequest) -> Parser:
    if request.param == "httpx-sse":
        return httpx_sse
    found: EventSourceParser = request.getfixturevalue("eventsource_parser")
    return found


def valid(name: str) -> bool:
    try:
        return check_type(name) not in RESERVED_TYPES
    except TidewireError:
        return False


characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=20) | st.lists(st.sampled_from(NASTY)).map("".join)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
payloads = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
types = (
    st.sampled_from(["notification", "a:b", ":", "data", "id: 7", "é", "👋", "message"])
    | st.text(characters, min_size=1, max_size=128)
).filter(valid)
events = st.builds(Event, types, payloads, source=st.text(characters, min_size=1, max_size=9))
encodings = st.sampled_from([NAMED, UNNAMED])


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    """The stream as chunks, cut at these places."""
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(ends)]


places = st.lists(st.integers(min_value=0, max_value=1 << 20), max_size=12)


def frames(made: Sequence[Event], encoding: Encoding) -> tuple[bytes, list[Entry]]:
    entries = [
        Entry(Position(1_764_000_000_000, offset, "k3f9"), event.type, event.target, event.body)
        for offset, event in enumerate(made, 1)
    ]
    return b"".join(encoding.entry(each, each.id) for each in entries), entries


def check(found: list[Parsed], made: Sequence[Event], entries: list[Entry], named: bool) -> None:
    assert [parsed.id for parsed in found] == [entry.id for entry in entries]
    for parsed, event, entry in zip(found, made, entries, strict=True):
        assert parsed.event == (event.type if named else "message")
        assert len(parsed.data.splitlines()) == 1
        read: dict[str, Any] = json.loads(parsed.data)
        assert read["data"] == event.data
        assert (read["id"], read["type"], read["source"]) == (entry.id, event.type, event.source)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(events, min_size=1, max_size=4), encodings, places)
@example([Event("a", "lone \r and \n and \r\n end")], NAMED, [])
@example([Event("a", "\u2028\u2029\x85")], UNNAMED, [])
@example([Event("a", {"\r\n\ndata: x": "\n\nid: 9\n\n"})], NAMED, [])
def test_any_event_is_read_as_it_was_published(
    parser: Parser, made: list[Event], encoding: Encoding, places: list[int]
) -> None:
    stream, entries = frames(made, encoding)
    check(parser(cut(stream, places)), made, entries, encoding is NAMED)


@pytest.mark.parametrize("encoding", [NAMED, UNNAMED], ids=["named", "unnamed"])
def test_an_emoji_may_be_split_at_every_byte(parser: Parser, encoding: Encoding) -> None:
    made = [Event("👋", "a 👩‍👩‍👧‍👦 b"), Event("after", "\r\U0001f600\r")]
    stream, entries = frames(made, encoding)
    for size in (1, 2, 3):
        chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
        check(parser(chunks), made, entries, encoding is NAMED)


@settings(max_examples=200, deadline=None)
@given(st.lists(events, min_size=1, max_size=4), encodings)
def test_a_block_has_its_data_on_one_line_and_its_id_last(
    made: list[Event], encoding: Encoding
) -> None:
    for event in made:
        stream, (entry,) = frames([event], encoding)
        assert stream.endswith(b"\n\n")
        lines = stream[:-2].split(b"\n")
        wanted = [b"event", b"data", b"id"] if encoding is NAMED else [b"data", b"id"]
        assert [line.partition(b": ")[0] for line in lines] == wanted
        assert lines[-1] == b"id: " + entry.id.encode()
        # Clients that split on more than the standard says must see the same lines.
        assert len(stream.decode().splitlines()) == len(wanted) + 1


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_control_events_are_read_too_and_none_is_without_data(parser: Parser, named: bool) -> None:
    encoding: Encoding = NAMED if named else UNNAMED
    here = Position(1_764_000_000_000, 7, "k3f9")
    controls = [
        notices.connected({"clientId": "c"}, cursor=str(here), now=1),
        notices.gap(Gap("1-2-\u2028abc", here, "expired"), cursor=Cursor(here), now=1),
        notices.ping(Cursor(here), sequence=1, now=1),
        notices.auth_expiring(2, now=1),
        notices.problem(TidewireError("\r\n\u2029"), now=1),
        notices.disconnecting("shutdown", 250, now=1),
    ]
    stream = b"".join(map(encoding.control, controls))
    found = parser([stream[start : start + 5] for start in range(0, len(stream), 5)])
    assert [parsed.event for parsed in found] == [
        control.event if named else "message" for control in controls
    ]
    for parsed, control in zip(found, controls, strict=True):
        envelope = json.loads(parsed.data)
        assert envelope["type"] == (control.type or control.event)
        assert envelope["data"] == control.data
        assert "id" not in envelope
