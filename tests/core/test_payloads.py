"""Builders: checked payloads, and the priorities that people expect."""

from typing import Any, Literal

import pytest

from tidewire.core.errors import InvalidEvent
from tidewire.core.event import Event
from tidewire.core.payloads import (
    dashboard_update,
    notification,
    report_update,
    system_alert,
    user_update,
)
from tidewire.core.target import Target


@pytest.mark.parametrize(
    ("kind", "priority"),
    [("info", "normal"), ("success", "normal"), ("warning", "normal"), ("error", "high")],
)
def test_an_error_notification_is_high(kind: str, priority: str) -> None:
    event = notification("Title", "Text", data={"type": kind})
    assert (event.type, event.priority) == ("notification", priority)
    assert event.data == {"title": "Title", "message": "Text", "type": kind}


@pytest.mark.parametrize(
    ("severity", "priority"),
    [("low", "normal"), ("medium", "normal"), ("high", "critical"), ("critical", "critical")],
)
def test_a_high_or_critical_alert_is_critical(
    severity: Literal["low", "medium", "high", "critical"], priority: str
) -> None:
    event = system_alert("Title", "Text", severity)
    assert (event.type, event.priority) == ("systemAlert", priority)
    assert event.data["severity"] == severity


def test_the_caller_may_choose_another_priority() -> None:
    assert notification("T", "m", data={"type": "error"}, priority="low").priority == "low"
    assert system_alert("T", "m", "critical", priority="normal").priority == "normal"


def test_a_notification_without_a_type_is_an_info() -> None:
    assert notification("T", "m").data["type"] == "info"


def test_optional_fields_may_be_written_in_either_case_and_are_sent_in_camel_case() -> None:
    first = system_alert("T", "m", "low", data={"alertType": "disk", "start_time": 5})
    assert first.data == {
        "title": "T",
        "message": "m",
        "severity": "low",
        "alertType": "disk",
        "startTime": 5,
    }


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"type": "fatal"}, "data.type"),
        ({"titel": "x"}, "data.titel"),
        ({"title": ""}, "data.title"),
        ({"expires": -1}, "data.expires"),
        ({"actions": [7]}, "data.actions.0"),
    ],
)
def test_a_wrong_payload_is_refused_and_its_field_named(data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        notification("T", "m", data=data)
    assert refused.value.extra == {"field": field}
    assert refused.value.detail.startswith(field)


@pytest.mark.parametrize(
    ("event", "type_", "data"),
    [
        (dashboard_update({"a": 1}), "dashboardUpdate", {"a": 1}),
        (
            dashboard_update({"a": 1}, update_type="refresh"),
            "dashboardUpdate",
            {"updateType": "refresh", "a": 1},
        ),
        (report_update({"a": 1}), "reportUpdate", {"a": 1}),
        (user_update({"a": 1}), "userUpdate", {"a": 1}),
    ],
)
def test_updates_carry_any_fields(event: Event, type_: str, data: dict[str, Any]) -> None:
    assert (event.type, event.data, event.priority) == (type_, data, "normal")
    assert event.target.everyone


def test_every_builder_takes_targets_by_name() -> None:
    for event in (
        notification("T", "m", users=["ann"], roles=["R"], topics=["t"]),
        system_alert("T", "m", "low", users=["ann"], roles=["R"], topics=["t"]),
        dashboard_update({}, users=["ann"], roles=["R"], topics=["t"]),
        report_update({}, users=["ann"], roles=["R"], topics=["t"]),
        user_update({}, users=["ann"], roles=["R"], topics=["t"]),
    ):
        assert event.target == Target.of(["ann"], ["R"], ["t"])


def test_an_empty_list_of_names_reaches_nobody_and_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        notification("T", "m", users=[])


def test_source_and_metadata_are_passed_on() -> None:
    event = user_update({}, source="billing", metadata={"correlationId": "c"})
    assert (event.source, event.metadata) == ("billing", {"correlationId": "c"})
