"""The bytes that readers get."""

import json

import pytest

from tidewire.core.event import Event
from tidewire.core.frame import NAMED, UNNAMED, Control, entry_json
from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.core.target import Target

POSITION = Position(1764000000000, 42, "k3f9")
CURSOR = f"{POSITION}~s8.5"


def entry(event: Event) -> Entry:
    return Entry(POSITION, event.type, event.target, event.body, event.session_id)


def test_an_event_is_a_block_whose_id_is_its_last_line() -> None:
    block = NAMED.entry(entry(Event("notification", {"a": 1})), CURSOR)
    assert block == (
        b"event: notification\n"
        b'data: {"id":"1764000000000-42-k3f9","timestamp":1764000000000,"type":"notification",'
        b'"priority":"normal","source":"server","version":"1.0","data":{"a":1}}\n'
        b"id: 1764000000000-42-k3f9~s8.5\n\n"
    )


def test_without_names_the_block_has_no_event_line() -> None:
    made = entry(Event("notification", {"a": 1}))
    assert b"event: notification\n" + UNNAMED.entry(made, CURSOR) == NAMED.entry(made, CURSOR)


def test_the_json_of_an_event_is_an_object_with_id_and_timestamp() -> None:
    read = json.loads(entry_json(entry(Event("x", "💥\u2028"))))
    assert read["id"] == "1764000000000-42-k3f9"
    assert read["timestamp"] == 1764000000000
    assert read["data"] == "💥\u2028"


def test_targets_and_the_session_are_not_in_the_bytes() -> None:
    event = Event(
        "x", metadata={"sessionId": "hidden-s"}, target=Target.of(["hidden-u"], ["hidden-r"])
    )
    assert b"hidden" not in NAMED.entry(entry(event), CURSOR)
    assert b"hidden" not in UNNAMED.entry(entry(event), CURSOR)


def test_a_percent_sign_in_a_payload_stays_one() -> None:
    assert b'"100%b %d"' in NAMED.entry(entry(Event("x%b", "100%b %d")), CURSOR)


@pytest.mark.parametrize(
    ("control", "lines"),
    [
        (Control("ping", {}, 5, id="1-2-abcd"), ["event: ping", "data", "id: 1-2-abcd"]),
        (
            Control("disconnecting", {}, 5, retry=250),
            ["event: disconnecting", "data", "retry: 250"],
        ),
        (Control("x", {}, 5, id="i", retry=0), ["event: x", "data", "retry: 0", "id: i"]),
        (Control("authExpiring", {}, 5), ["event: authExpiring", "data"]),
    ],
)
def test_a_control_event_has_only_the_lines_that_it_needs_in_this_order(
    control: Control, lines: list[str]
) -> None:
    written = NAMED.control(control).decode()
    assert written.endswith("\n\n")
    found = written[:-2].split("\n")
    assert [line.split(":")[0] if line.startswith("data") else line for line in found] == lines
    assert "event: " not in UNNAMED.control(control).decode()


def test_a_control_event_has_the_envelope_of_events_without_an_id() -> None:
    written = NAMED.control(Control("problem", {"a": "\u2028"}, 5, type="error")).decode()
    data = json.loads(written.split("\n")[1].removeprefix("data: "))
    assert data == {
        "type": "error",
        "timestamp": 5,
        "priority": "normal",
        "source": "server",
        "version": "1.0",
        "data": {"a": "\u2028"},
    }
    assert "\u2028" not in written
