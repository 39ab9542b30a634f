"""What requests may ask for in their query and headers, checked and turned into values."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from tidewire.core.errors import InvalidEvent, InvalidParameter
from tidewire.core.event import MAX_TYPE_LENGTH, check_type
from tidewire.core.position import Cursor, Since, parse_since
from tidewire.transports.filters import EVERYTHING, Filter

MAX_NAMES: Final = 50
MAX_LABEL_LENGTH: Final = 128

Model = TypeVar("Model", bound=BaseModel)

Label = Annotated[str | None, Field(max_length=MAX_LABEL_LENGTH)]


class Parameters(BaseModel):
    """What stands in a query or a path. What reads it is made for the first who asks."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class _Reading(Parameters):
    token: Annotated[str | None, Field(description="A token, where headers cannot be sent.")] = None
    types: Annotated[
        str | None, Field(description="Event types that are wanted, comma-separated; none = all.")
    ] = None
    topics: Annotated[
        str | None, Field(description="Topics to subscribe to, comma-separated; each granted.")
    ] = None
    since: Annotated[
        str | None,
        Field(description="A cursor, Unix milliseconds, 'earliest' or 'latest'."),
    ] = None
    last_event_id: Annotated[
        str | None,
        Field(alias="lastEventId", description="As the header Last-Event-ID, which goes first."),
    ] = None
    client_type: Annotated[Label, Field(alias="clientType")] = None
    client_info: Annotated[Label, Field(alias="clientInfo")] = None
    instance_id: Annotated[Label, Field(alias="instanceId", description="A tab's own name.")] = None
    user_id: Annotated[
        str | None, Field(alias="userId", description="Who you are, in development mode only.")
    ] = None
    roles: Annotated[str | None, Field(description="In development mode only.")] = None
    permissions: Annotated[str | None, Field(description="In development mode only.")] = None

    @property
    def filter(self) -> Filter:
        """Which types and topics are asked for.

        Raises:
            InvalidParameter: a list is empty, too long, or has a bad name in it.
        """
        if self.types is None and self.topics is None:
            return EVERYTHING
        return Filter(_types(self.types), _topics(self.topics))

    def start(self, request: Request, default: Since) -> Since:
        """Where to start: the header Last-Event-ID, then ``lastEventId``, then ``since``.

        Raises:
            InvalidCursor: it is malformed.
        """
        # The empty string is what a client has before its first event.
        text = request.headers.get("last-event-id") or self.last_event_id or self.since
        return parse_since(text) if text else default


class StreamQuery(_Reading):
    """What ``GET /api/sse`` takes."""

    named: Annotated[
        Literal["0", "1"],
        Field(description="0: no 'event:' lines, so that onmessage gets every event."),
    ] = "1"


class PollQuery(_Reading):
    """What ``GET /api/realtime/polling`` takes."""

    limit: Annotated[int, Field(ge=1, le=500, description="Events at most.")] = 20
    wait: Annotated[
        float, Field(ge=0, le=60, description="Seconds to hold an answer that would be empty.")
    ] = 0
    until: Annotated[
        str | None,
        Field(description="A cursor: nothing is read beyond it. For one who reads on from there."),
    ] = None

    @property
    def end(self) -> Cursor | None:
        """Where to end.

        Raises:
            InvalidCursor: it is no cursor.
        """
        return Cursor.parse(self.until) if self.until else None


def read_query(request: Request, model: type[Model]) -> Model:
    """A query, by its model. What it does not name is passed over; of a parameter that is given
    twice the last counts, where `check_names` does not refuse that.

    Raises:
        InvalidParameter: a value is not of its form.
    """
    if request.scope["query_string"]:
        return _read(lambda: model.model_validate(dict(request.query_params)))
    # They are frozen: all who ask for nothing may share one.
    return _read(lambda: cast(Model, _empty(model)))


def read_path(request: Request, model: type[Model]) -> Model:
    """What stands in a path, by its model.

    Raises:
        InvalidParameter: a value is not of its form.
    """
    return _read(lambda: model.model_validate(request.path_params))


def _read(make: Callable[[], Model]) -> Model:
    try:
        return make()
    except ValidationError as error:
        raise wrong_parameter(error.errors()) from None


def wrong_parameter(errors: Sequence[Any]) -> InvalidParameter:
    """What a model found wrong with a query, as one of ours."""
    first = errors[0]
    name = str(first["loc"][-1])
    return InvalidParameter(f"{name}: {first['msg']}.", parameter=name)


def check_names(request: Request, model: type[BaseModel]) -> None:
    """Refuses a parameter that is given twice, or that nearly has the name of one: it would be
    passed over in silence, and with it what was meant.

    Raises:
        InvalidParameter: naming the parameter.
    """
    if not request.scope["query_string"]:
        return
    known = _names_of(model)
    seen = set()
    for name, _ in request.query_params.multi_items():
        meant = known.get(name) or known.get(_folded(name)) or known.get(_folded(name) + "s")
        if meant is None:
            continue
        if meant != name:
            raise InvalidParameter(
                f"{name!r} is not a parameter here. Did you mean {meant!r}?", parameter=name
            )
        if name in seen:
            raise InvalidParameter(
                f"{name!r} is given twice. Give it once; lists are comma-separated.",
                parameter=name,
            )
        seen.add(name)


@lru_cache
def _empty(model: type[BaseModel]) -> BaseModel:
    return model()


@lru_cache
def _names_of(model: type[BaseModel]) -> Mapping[str, str]:
    # What each name means, as it is written and in any spelling.
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {_folded(name): name for name in names} | {name: name for name in names}


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _types(text: str | None) -> frozenset[str]:
    try:
        return frozenset(check_type(name) for name in _names("types", text))
    except InvalidEvent as error:
        raise InvalidParameter(f"types: {error.detail}", parameter="types") from error


def _topics(text: str | None) -> frozenset[str]:
    return frozenset(_names("topics", text))


def _names(parameter: str, text: str | None) -> list[str]:
    if text is None:
        return []
    names = text.split(",")
    if len(names) > MAX_NAMES or not all(0 < len(name) <= MAX_TYPE_LENGTH for name in names):
        raise InvalidParameter(
            f"{parameter} must be 1–{MAX_NAMES} names of 1–{MAX_TYPE_LENGTH} characters, "
            "comma-separated. To ask for no restriction, leave it out.",
            parameter=parameter,
        )
    return names
