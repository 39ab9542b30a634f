"""The HTTP endpoints as a page, made from the OpenAPI description that the server gives."""

import re
from collections.abc import Iterator
from typing import Any, Final

from scripts.site.markdown import table
from scripts.site.schemas import Schema, rows, words
from tidewire.http.app import Tidewire
from tidewire.http.settings import Settings

PROBLEM: Final = "application/problem+json"
ORDER: Final = ("events", "publishing", "authentication", "health", "administration", "probes")


def page() -> str:
    """All endpoints."""
    description = Tidewire(Settings(SSE_JWT_SECRET="-" * 32)).openapi()
    parts = [
        "# HTTP",
        "Made from the server's own description, which it gives at `GET /openapi.json` "
        "(OpenAPI 3.1). What it means is told in [the wire](../wire.md); errors are problems, by "
        "[their codes](../errors.md).",
    ]
    endpoints = [
        (operation["tags"][0], method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    tags = sorted({tag for tag, *_ in endpoints}, key=lambda tag: (*ORDER, tag).index(tag))
    for tag in tags:
        parts.append(f"## {tag.capitalize()}")
        for group, method, path, operation in endpoints:
            if group == tag:
                parts += _endpoint(method, path, operation)
    parts.append("## Bodies")
    for name, schema in sorted(description["components"]["schemas"].items()):
        parts += _body(name, schema)
    return "\n\n".join(part for part in parts if part) + "\n"


def _endpoint(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`"
    yield f"{operation['summary']}."
    yield operation.get("description", "")
    parameters = [
        (
            f"`{each['name']}`" + (" (header)" if each["in"] == "header" else ""),
            _parameter(each["schema"], required=each["required"]),
            each.get("description", ""),
        )
        for each in operation.get("parameters", ())
    ]
    if parameters:
        yield table(("parameter", "is", "meaning"), parameters)
    taken = operation.get("requestBody", {}).get("content", {})
    for schema in (content["schema"] for content in taken.values()):
        yield "Takes:"
        for shape in schema.get("oneOf", [schema]):
            yield table(("field", "is", "meaning"), list(rows(shape)))
    yield "Answers:"
    yield table(("status", "body"), [_answer(*item) for item in _answers(operation)])


def _answers(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    problems = []
    for status, answer in operation["responses"].items():
        if PROBLEM in answer.get("content", {}):
            problems.append(status)
        else:
            yield status, answer
    told = [status for status in problems if status != "default"]
    if told:
        yield ", ".join(told), {"description": "a problem"}


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str]:
    bodies = [
        words(content["schema"]) if content.get("schema") else f"`{kind}`"
        for kind, content in answer.get("content", {}).items()
    ]
    said = answer["description"]
    usual = said in ("Successful Response", "")
    return status, " ".join(part for part in (*bodies, "" if usual else said) if part)


def _parameter(schema: Schema, *, required: bool) -> str:
    given = {key: value for key, value in schema.items() if key != "anyOf"}
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    said = " or ".join(words({**given, **kind}) for kind in kinds)
    default = schema.get("default")
    if default is not None:
        return f"{said}, default `{default}`"
    return f"{said}, required" if required else said


def _body(name: str, schema: Schema) -> Iterator[str]:
    yield f"### {name}"
    yield re.sub(r"\s+", " ", schema.get("description", ""))
    found = list(rows(schema))
    yield table(("field", "is", "meaning"), found) if found else words(schema)
