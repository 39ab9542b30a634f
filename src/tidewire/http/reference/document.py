"""Our own OpenAPI document as the page reads it. What it always says is read as it is; only what
an endpoint may do without has something in its place."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tidewire.http.reference.schemas import Schema

Json = Mapping[str, Any]


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
    """Also ``default``."""
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
    """What FastAPI finds in the docstring of an endpoint."""
    parameters: list[Parameter]
    body: Mapping[str, Json]
    """By media types."""
    answers: list[Answer]

    @property
    def anchor(self) -> str:
        """Where it stands in the page."""
        return f"{self.method.lower()}-{self.path}"


def operations(document: Json) -> Iterator[Operation]:
    """All operations of the document."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield Operation(
                method=method.upper(),
                path=path,
                tag=operation["tags"][0],
                summary=operation["summary"],
                description=operation.get("description", ""),
                parameters=[_parameter(one) for one in operation.get("parameters", ())],
                body=operation.get("requestBody", {}).get("content", {}),
                answers=[_answer(*one) for one in operation["responses"].items()],
            )


def schemas(document: Json) -> Mapping[str, Schema]:
    """The schemas that have names."""
    named: Mapping[str, Schema] = document["components"]["schemas"]
    return named


def _parameter(given: Json) -> Parameter:
    return Parameter(
        name=given["name"],
        place=given["in"],
        is_required=given["required"],
        schema=given["schema"],
        description=given.get("description", ""),
    )


def _answer(status: str, given: Json) -> Answer:
    return Answer(status, given["description"], given.get("content", {}))
