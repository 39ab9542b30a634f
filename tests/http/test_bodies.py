"""Whatever bytes come as a body: events, or an error that says what is wrong."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.core.errors import RequestError
from tidewire.http.bodies import MAX_EVENTS, parse_events

KEYS = ("type", "data", "priority", "source", "metadata", "events", "id", "version", "Type")
METADATA = ("userIds", "roles", "topics", "userId", "sessionId", "user", "Roles", "correlationId")

text = st.text(max_size=8) | st.sampled_from(["news", "ping", "high", "\u2028", "\ud800", "\0"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
values = st.recursive(
    scalars | st.dictionaries(st.sampled_from(METADATA), st.lists(text, max_size=2), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS + METADATA) | text, inner, max_size=4)
    ),
    max_leaves=8,
)
bodies = (
    values
    | st.dictionaries(st.sampled_from(KEYS), values, max_size=5)
    | st.fixed_dictionaries({"type": text}, optional={"data": values, "metadata": values})
)


def parse(body: bytes) -> None:
    try:
        events = parse_events(body)
    except RequestError as error:
        # The answer must be JSON itself, whatever was sent.
        json.dumps(error.problem(), allow_nan=False).encode()
        return
    assert 0 < len(events) <= MAX_EVENTS
    for event in events:
        json.loads(b"{" + event.body)
        assert b"\n" not in event.body


@settings(max_examples=300, deadline=None)
@given(bodies)
def test_any_json_is_events_or_an_error(body: Any) -> None:
    parse(json.dumps(body).encode())
    parse(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_an_error(body: bytes) -> None:
    parse(body)
    parse(b'{"type":"news","data":' + body + b"}")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=8), st.integers(min_value=0))
def test_an_event_with_broken_bytes_in_it_is_events_or_an_error(noise: bytes, place: int) -> None:
    good = json.dumps({"type": "news", "data": {"a": "é"}, "metadata": {"userIds": ["a"]}}).encode()
    place %= len(good) + 1
    parse(good[:place] + noise + good[place:])
