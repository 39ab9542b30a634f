"""An event is checked when it is made, and encoded once."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tidewire.core.errors import EventTooLarge, InvalidEvent
from tidewire.core.event import MAX_EVENT_BYTES, RESERVED_TYPES, Event, check_type, encode_json
from tidewire.core.target import EVERYONE, Target

texts = st.text(st.characters(exclude_categories=["Cs"]))
jsons = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def content(event: Event) -> Any:
    return json.loads(b"{" + event.body)


@given(jsons)
def test_any_payload_is_one_line_of_json_that_reads_back(data: Any) -> None:
    event = Event("notification", data)
    assert content(event)["data"] == data
    assert b"\n" not in event.body
    assert b"\r" not in event.body
    assert len(event.body.decode().splitlines()) == 1


def test_the_body_has_what_subscribers_get_and_nothing_else() -> None:
    event = Event(
        "notification",
        {"a": 1},
        priority="high",
        source="tests",
        metadata={"userId": "actor", "sessionId": "s", "userIds": ["ann"], "mine": [1]},
    )
    assert content(event) == {
        "type": "notification",
        "priority": "high",
        "source": "tests",
        "version": "1.0",
        "data": {"a": 1},
        "metadata": {"userId": "actor", "mine": [1]},
    }
    assert event.session_id == "s"
    assert event.target == Target.of(users=["ann"])


def test_metadata_is_left_out_where_nothing_of_it_is_for_subscribers() -> None:
    assert "metadata" not in content(Event("x", metadata={"roles": ["R"], "sessionId": "s"}))


def test_nobody_named_means_everyone() -> None:
    assert Event("x").target == EVERYONE


def test_changing_the_payload_later_changes_nothing() -> None:
    data = {"a": [1]}
    event = Event("x", data)
    data["a"].append(2)
    assert content(event)["data"] == {"a": [1]}


def test_an_event_cannot_be_changed() -> None:
    event = Event("x")
    with pytest.raises(AttributeError):
        event.type = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["notification", "a", "x" * 128, "order.created", "häßlich", "with space", "💥", "a:b"]
)
def test_a_type_may_be_any_custom_name(name: str) -> None:
    assert check_type(name) == Event(name).type == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 129,
        " a",
        "a ",
        "\u00a0a",
        "a,b",
        "a\nb",
        "a\rb",
        "a\x00b",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "a\ud800",
        None,
        7,
        b"a",
        ["a"],
    ],
    ids=repr,
)
def test_a_type_that_could_break_a_stream_is_refused(name: Any) -> None:
    with pytest.raises(InvalidEvent) as refused:
        Event(name)
    assert refused.value.extra == {"field": "type"}


@pytest.mark.parametrize("name", sorted(RESERVED_TYPES))
def test_a_type_of_the_stream_itself_is_refused(name: str) -> None:
    with pytest.raises(InvalidEvent, match="reserved"):
        Event(name)


@pytest.mark.parametrize(
    ("field", "given_"),
    [
        ("priority", {"priority": "urgent"}),
        ("source", {"source": ""}),
        ("source", {"source": "x" * 129}),
        ("source", {"source": 7}),
        ("metadata", {"metadata": [1]}),
        ("metadata", {"metadata": {1: "a"}}),
        ("metadata.userId", {"metadata": {"userId": 7}}),
        ("metadata.userId", {"metadata": {"userId": ""}}),
        ("metadata.sessionId", {"metadata": {"sessionId": None}}),
        ("metadata.correlationId", {"metadata": {"correlationId": []}}),
        ("metadata.roles", {"metadata": {"roles": []}}),
        ("metadata.user", {"metadata": {"user": "ann"}}),
        ("data", {"data": float("nan")}),
        ("data", {"data": {"deep": [float("inf")]}}),
        ("data", {"data": "\ud800"}),
        ("data", {"data": {"set": object()}}),
        ("data", {"source": "\ud800"}),
        ("data", {"metadata": {"x": "\udfff"}}),
        ("data", {"metadata": {"sessionId": "\udfff"}}),
        ("data", {"metadata": {"userIds": ["\udfff"]}}),
    ],
    ids=repr,
)
def test_a_bad_field_is_named(field: str, given_: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as refused:
        Event("x", **given_)
    assert refused.value.extra == {"field": field}


def test_a_payload_that_has_no_end_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidEvent):
        Event("x", loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidEvent):
        Event("x", deep)
    # Let go from the inside, for the interpreter cannot do it from the outside.
    while deep:
        deep = deep.pop()


def test_targets_given_twice_are_refused() -> None:
    with pytest.raises(InvalidEvent, match="twice"):
        Event("x", metadata={"roles": ["R"]}, target=Target.of(users=["ann"]))


def test_an_event_has_at_most_256_kibibytes_with_its_targets() -> None:
    frame = Event("x", "", target=Target.of(users=["ann"])).size
    largest = Event("x", "a" * (MAX_EVENT_BYTES - frame), target=Target.of(users=["ann"]))
    assert largest.size == MAX_EVENT_BYTES
    with pytest.raises(EventTooLarge):
        Event("x", largest.data, target=Target.of(users=["anna"]))


def test_size_is_in_bytes_and_counts_targets() -> None:
    plain = Event("x")
    assert plain.size == len(plain.body)
    named = Event("x", target=Target.of(users=["ä"], roles=["R"], topics=["to"]))
    assert named.size == plain.size + 2 + 1 + 2


def test_what_pydantic_can_write_may_be_in_a_payload() -> None:
    class Model(BaseModel):
        n: int

    moment = datetime(2026, 1, 2, tzinfo=UTC)
    name = uuid.UUID(int=1)
    event = Event("x", {"m": Model(n=1), "t": moment, "u": name, "s": {1}})
    assert content(event)["data"] == {
        "m": {"n": 1},
        "t": "2026-01-02T00:00:00Z",
        "u": str(name),
        "s": [1],
    }


def test_line_separators_are_escaped_and_other_text_is_not() -> None:
    encoded = encode_json("a\u2028b\u2029c\u0085dé💥")
    assert encoded == '"a\\u2028b\\u2029c\\u0085dé💥"'.encode()
