"""An OpenAPI document as the page reads it: what it refers to is in its place, and what it may
leave out is said. Whoever adds routes to our application describes them as they like."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tidewire.http.reference.schemas import Schema

Json = Mapping[str, Any]

METHODS: Final = frozenset(
    {"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}
)
"""The members of a path that are operations; the others say something of all of these."""

OTHER: Final = "other"
"""Where an operation stands that has no tag."""


class Parameter(NamedTuple):
    """What an operation takes beside a body."""

    name: str
    place: str
    is_required: bool
    schema: Schema
    description: str


class Answer(NamedTuple):
    """What an operation may answer."""

    status: str
    """Also ``default``, and ``4XX`` for a whole class."""
    description: str
    content: Mapping[str, Json]
    """By media types."""


class Operation(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    tag: str
    summary: str
    description: str
    is_deprecated: bool
    parameters: list[Parameter]
    body: Mapping[str, Json]
    answers: list[Answer]

    @property
    def anchor(self) -> str:
        """Where it stands in the page. Its ``operationId`` may be missing, or be the name of
        something else there."""
        return f"{self.method.lower()}-{quote(self.path, safe='/{}')}"


def operations(document: Json) -> Iterator[Operation]:
    """All operations of a document of OpenAPI 3."""
    for path, given in document.get("paths", {}).items():
        # Beside paths there may be extensions.
        if path.startswith("/"):
            item = _found(document, given)
            yield from (
                _operation(document, method, path, item) for method in item if method in METHODS
            )


def schemas(document: Json) -> Mapping[str, Schema]:
    """The schemas that have names."""
    named: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})
    return named


def _operation(document: Json, method: str, path: str, item: Json) -> Operation:
    operation = item[method]
    # Those of a path are of all its operations, which may say them anew.
    parameters = {
        (one.name, one.place): one
        for source in (item, operation)
        for one in _parameters(document, source)
    }
    body = _found(document, operation.get("requestBody", {}))
    return Operation(
        method=method.upper(),
        path=path,
        tag=next(filter(None, operation.get("tags", ())), OTHER),
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        is_deprecated=operation.get("deprecated", False),
        parameters=[*parameters.values()],
        body=body.get("content", {}),
        answers=[*_answers(document, operation)],
    )


def _parameters(document: Json, source: Json) -> Iterator[Parameter]:
    for given in source.get("parameters", ()):
        one = _found(document, given)
        # A value that is itself of a media type has its schema there.
        described = next(iter(one.get("content", {}).values()), one)
        yield Parameter(
            # It may be in another document, which is not read.
            name=one.get("name") or one["$ref"],
            place=one.get("in", ""),
            is_required=one.get("required", False),
            schema=described.get("schema", True),
            description=one.get("description", ""),
        )


def _answers(document: Json, operation: Json) -> Iterator[Answer]:
    for status, given in operation.get("responses", {}).items():
        if not status.startswith("x-"):
            one = _found(document, given)
            description = one.get("description", "") or one.get("summary", "")
            yield Answer(status, description or one.get("$ref", ""), one.get("content", {}))


def _found(document: Json, given: Json) -> Json:
    """What a reference leads to within the document, with what is said beside it; the reference
    itself, where it leads elsewhere."""
    seen = set()
    while (reference := given.get("$ref")) is not None and reference not in seen:
        seen.add(reference)
        place: Any = document
        root, *names = reference.split("/")
        for name in names:
            # RFC 6901, section 3.
            key = name.replace("~1", "/").replace("~0", "~")
            place = place.get(key) if isinstance(place, Mapping) else None
        if root != "#" or not isinstance(place, Mapping):
            break
        beside = {key: value for key, value in given.items() if key != "$ref"}
        given = {**place, **beside}
    return given
