"""Bodies of requests: read within their limit, and turned into events."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from tidewire.core.errors import EventTooLarge, InvalidBody, InvalidEvent, RequestError
from tidewire.core.event import Event, Priority

if TYPE_CHECKING:
    from starlette.requests import Request

Model = TypeVar("Model", bound=BaseModel)

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_EVENTS: Final = 1_000

_GIVEN_BY_SERVER: Final = frozenset({"id", "timestamp", "version"})


class _Body(BaseModel):
    # What reads a body is made for the first one: a server is ready before that.
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class EventBody(_Body):
    """An event as publishers send it."""

    model_config = ConfigDict(title="PublishedEvent")

    type: str
    data: Any = None
    priority: Priority = "normal"
    source: str = "server"
    metadata: dict[str, Any] | None = None


_FIELDS: Final = frozenset(EventBody.model_fields)


class TestBody(_Body):
    """What ``POST /api/realtime/test`` takes."""

    __test__ = False

    type: str = "notification"
    message: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    target: Literal["user", "role", "broadcast"] = "user"
    target_value: Annotated[str | None, Field(alias="targetValue", min_length=1)] = None
    priority: Priority = "normal"


class RefreshBody(_Body):
    """What ``POST /api/auth/sse-token/refresh`` takes."""

    client_id: Annotated[str, Field(alias="clientId", min_length=1, max_length=64)]


class RevokeBody(_Body):
    """What ``POST /api/auth/revoke`` takes: one of the two."""

    jti: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    user_id: Annotated[str | None, Field(alias="userId", min_length=1, max_length=256)] = None


class ActionBody(_Body):
    """What ``POST /api/sse/health`` takes."""

    action: Literal[
        "health_check",
        "ping_client",
        "get_client_info",
        "disconnect_client",
        "disconnect_user",
        "clear_errors",
        "clear_events",
        "force_cleanup",
    ]
    parameters: dict[str, Any] = Field(default_factory=dict)


def publish_schema() -> dict[str, Any]:
    """The body of a publish: one event, or a list of them."""
    event = EventBody.model_json_schema()
    events = {"type": "array", "items": event, "minItems": 1, "maxItems": MAX_EVENTS}
    batch = {
        "type": "object",
        "properties": {"events": events},
        "required": ["events"],
        "additionalProperties": False,
    }
    return {"oneOf": [event, batch]}


async def read_body(request: "Request") -> bytes:
    """Reads a body, and stops when it is too large.

    Raises:
        EventTooLarge: more than 4 MiB.
        InvalidBody: it ends too early.
    """
    # Not above: who checks events before it sends them has no framework to load.
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise EventTooLarge(
                    f"The body is larger than {MAX_BODY_BYTES} bytes. Publish in smaller batches."
                )
    except ClientDisconnect:
        raise InvalidBody("The client left before its body was whole.") from None
    return bytes(body)


def parse_model(model: type[Model], body: bytes) -> Model:
    """A body of one form.

    Raises:
        InvalidBody: not JSON.
        InvalidEvent: not of the form.
    """
    return _checked(model, _json_object(body))


def parse_events(body: bytes) -> list[Event]:
    """The events of a publish.

    Raises:
        InvalidBody: not JSON.
        InvalidEvent, EventTooLarge: an event is not good; in a list, ``index`` says which.
    """
    content = _json_object(body)
    if "events" not in content:
        return [parse_event(content)]
    listed = content["events"]
    if len(content) > 1 or not isinstance(listed, list) or not 0 < len(listed) <= MAX_EVENTS:
        raise InvalidEvent(
            f'A batch is {{"events": […]}} with 1–{MAX_EVENTS} events and no other field.',
            field="events",
        )
    events = []
    for index, item in enumerate(listed):
        try:
            events.append(parse_event(item))
        except RequestError as error:
            error.extra["index"] = index
            raise
    return events


def parse_event(content: Any) -> Event:
    """An event as publishers send it, decoded.

    Raises:
        InvalidEvent, EventTooLarge: it is not good.
    """
    if isinstance(content, dict) and not content.keys() <= _FIELDS:
        raise _unknown_field(content)
    body = _checked(EventBody, content)
    return Event(
        body.type,
        body.data,
        priority=body.priority,
        source=body.source,
        metadata=body.metadata or {},
    )


def _unknown_field(content: dict[str, Any]) -> InvalidEvent:
    if given := sorted(_GIVEN_BY_SERVER & content.keys()):
        return InvalidEvent(f"{given[0]!r} is given by the server. Leave it out.", field=given[0])
    unknown = min(content.keys() - _FIELDS)
    return InvalidEvent(
        f"{unknown!r} is not a field of an event: {', '.join(sorted(_FIELDS))}. Targets are "
        "metadata.userIds, metadata.roles and metadata.topics.",
        field=unknown,
    )


def _checked(model: type[Model], content: Any) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise InvalidEvent(f"{where}: {first['msg']}.", field=where) from None


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidBody(f"The body is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise InvalidBody("The body must be a JSON object.")
    return content
