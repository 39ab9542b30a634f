"""Builders of the known event types, which check their payloads and choose the priority.

An error notification is ``high``, a high or critical alert is ``critical``, everything else
``normal``, unless the caller says otherwise. Targets are given by name; none of them reaches
everyone.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tidewire.core.errors import InvalidEvent
from tidewire.core.event import Event, Priority
from tidewire.core.target import Target

Text = Annotated[str, Field(min_length=1)]
Milliseconds = Annotated[int, Field(ge=0)]


class _Payload(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid"
    )


class NotificationData(_Payload):
    """What a ``notification`` carries. ``expires`` is Unix milliseconds."""

    title: Text
    message: str
    type: Literal["info", "success", "warning", "error"] = "info"
    url: str | None = None
    persistent: bool | None = None
    actions: list[dict[str, Any]] | None = None
    expires: Milliseconds | None = None


class SystemAlertData(_Payload):
    """What a ``systemAlert`` carries. Times are Unix milliseconds."""

    title: Text
    message: str
    severity: Literal["low", "medium", "high", "critical"]
    alert_type: str | None = None
    start_time: Milliseconds | None = None
    end_time: Milliseconds | None = None
    affected_services: list[str] | None = None
    action_required: bool | None = None


class UpdateData(BaseModel):
    """What a ``dashboardUpdate``, a ``reportUpdate`` or a ``userUpdate`` carries: any fields."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="allow")

    update_type: str | None = None


class Addressing(TypedDict, total=False):
    """What every builder takes beside its payload."""

    users: Iterable[str] | None
    roles: Iterable[str] | None
    topics: Iterable[str] | None
    priority: Priority | None
    source: str
    metadata: Mapping[str, Any]


_ALERT_PRIORITY: Final[dict[str, Priority]] = {
    "low": "normal",
    "medium": "normal",
    "high": "critical",
    "critical": "critical",
}


def notification(
    title: str, message: str, *, data: Mapping[str, Any] | None = None, **rest: Unpack[Addressing]
) -> Event:
    """A ``notification``; ``data`` may hold `NotificationData`'s other fields.

    Raises:
        InvalidEvent: the payload or a target is not valid.
    """
    payload = _checked(NotificationData, {"title": title, "message": message, **(data or {})})
    return _event("notification", payload, "high" if payload["type"] == "error" else "normal", rest)


def system_alert(
    title: str,
    message: str,
    severity: Literal["low", "medium", "high", "critical"],
    *,
    data: Mapping[str, Any] | None = None,
    **rest: Unpack[Addressing],
) -> Event:
    """A ``systemAlert``; ``data`` may hold `SystemAlertData`'s other fields.

    Raises:
        InvalidEvent: the payload or a target is not valid.
    """
    given = {"title": title, "message": message, "severity": severity, **(data or {})}
    payload = _checked(SystemAlertData, given)
    return _event("systemAlert", payload, _ALERT_PRIORITY[payload["severity"]], rest)


def dashboard_update(
    data: Mapping[str, Any], *, update_type: str | None = None, **rest: Unpack[Addressing]
) -> Event:
    """A ``dashboardUpdate`` with any fields, and ``updateType`` where one is given.

    Raises:
        InvalidEvent: a target is not valid, or the payload is no JSON.
    """
    named = {} if update_type is None else {"updateType": update_type}
    return _event("dashboardUpdate", {**named, **data}, "normal", rest)


def report_update(data: Mapping[str, Any], **rest: Unpack[Addressing]) -> Event:
    """A ``reportUpdate`` with any fields. Raises as `dashboard_update`."""
    return _event("reportUpdate", dict(data), "normal", rest)


def user_update(data: Mapping[str, Any], **rest: Unpack[Addressing]) -> Event:
    """A ``userUpdate`` with any fields. Raises as `dashboard_update`."""
    return _event("userUpdate", dict(data), "normal", rest)


def _checked(model: type[_Payload], given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return model.model_validate(given).model_dump(by_alias=True, exclude_none=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(["data", *map(str, first["loc"])])
        raise InvalidEvent(f"{where}: {first['msg']}.", field=where) from error


def _event(type_: str, payload: dict[str, Any], usual: Priority, rest: Addressing) -> Event:
    return Event(
        type_,
        payload,
        priority=rest.get("priority") or usual,
        source=rest.get("source", "server"),
        metadata=rest.get("metadata", {}),
        target=Target.of(rest.get("users"), rest.get("roles"), rest.get("topics")),
    )
