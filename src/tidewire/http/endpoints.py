"""Endpoints: what answers requests of one path, and what is said of that. No framework is needed to
make one; `tidewire.http.app` and `tidewire.http.router` put them into theirs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from tidewire.http.answers import Answer
from tidewire.http.params import Parameters

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

Json: TypeAlias = dict[str, Any]


class Description(NamedTuple):
    """What OpenAPI says of an endpoint. Schemas are made when somebody asks for the document."""

    summary: str
    tag: str
    answer: type[Answer] | None = None
    """The form of its answer in JSON; None: it has none, or another media type."""
    status: int = 200
    """Of its answer."""
    answers: Mapping[int | str, Json] = {}
    """What else it may answer, and what else is said of its answer."""
    problems: Sequence[int] | None = ()
    """Their statuses, beside those that may come from anywhere; None: it answers none at all."""
    in_path: type[Parameters] | None = None
    in_query: type[Parameters] | None = None
    in_headers: Sequence[Json] = ()
    body: Callable[[], Json] | None = None
    """Makes the schema of the JSON that it takes."""


def header(name: str, description: str, **schema: Any) -> Json:
    """A header that an endpoint takes, as a parameter of OpenAPI."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string", **schema},
        "description": description,
    }


class Endpoint(NamedTuple):
    """What answers requests of one path."""

    path: str
    handle: Handler
    methods: Sequence[str] = ("GET",)
    description: Description | None = None
    """None: it has none. It is for eyes, and nothing to call; or another name of one."""
    is_counted: bool = True
    """Whether its answers say how the server does."""

    @property
    def name(self) -> str:
        """By which frameworks find its path."""
        return self.handle.__name__
