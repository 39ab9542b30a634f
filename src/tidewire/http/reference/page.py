"""The page: endpoints by their tags, then the schemas and the problems that they speak of."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tidewire.core.errors import TidewireError
from tidewire.http.problems import MEDIA_TYPE
from tidewire.http.reference.document import Operation, operations, schemas
from tidewire.http.reference.markup import Html, code, element, joined, link, prose, table, text
from tidewire.http.reference.schemas import (
    Schema,
    anchor,
    kind,
    members,
    needed,
    shapes,
    written,
)

UNSAID: Final = "Successful Response"
"""What FastAPI says of an answer that nobody has described."""

INTRODUCTION: Final = (
    "Where this server is mounted under a prefix, the prefix goes before each path. Who asks is "
    "said by a session cookie, by the query parameter ``token`` or by the header ``Authorization: "
    "Bearer``. Times are Unix milliseconds unless the name says otherwise."
)

PROBLEMS: Final = (
    "What is refused or fails is answered as application/problem+json (RFC 9457), by these codes."
)

Codes = Mapping[str, Sequence[str]]
"""The codes of problems, by their status."""


def page(
    document: Mapping[str, Any],
    problem: Mapping[str, Any],
    problems: Sequence[type[TidewireError]],
    style: str,
) -> Html:
    """The whole page.

    Args:
        document: our own, of OpenAPI 3.1.
        problem: the schema of a problem.
        problems: what endpoints may answer, one class for each code.
        style: CSS, which goes into the page.
    """
    about = document["info"]
    tags: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations(document):
        tags[operation.tag].append(operation)
    codes: dict[str, list[str]] = defaultdict(list)
    for one in problems:
        codes[str(one.status)].append(one.code)
    title = f"{about['title']} {about['version']}: HTTP API"
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        element("title", text(title)),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        # As it is: what stands here is not read as markup, and it is ours.
        Html(f"<style>{style}</style>"),
    )
    body = element(
        "body",
        element(
            "header",
            element("h1", text(title)),
            element("p", text(about["description"])),
            element("p", prose(INTRODUCTION)),
            # Relative, so that it holds under any prefix.
            element(
                "p",
                text("The same for programs: "),
                element("a", text("OpenAPI 3.1"), href="openapi.json"),
            ),
        ),
        element("nav", *_contents(tags), aria_label="Contents"),
        element("main", *_main(document, tags, problem, problems, codes)),
    )
    return Html(f'<!doctype html>\n<html lang="en">{head}{body}</html>\n')


def _contents(tags: Mapping[str, Sequence[Operation]]) -> Iterator[Html]:
    for tag, found in tags.items():
        yield element("h2", text(tag.capitalize()))
        yield element("ul", *(element("li", link(one.anchor, _name(one))) for one in found))
    yield element("h2", text("Everywhere"))
    places = (("schemas", "Schemas"), ("problems", "Problems"))
    yield element("ul", *(element("li", link(place, text(name))) for place, name in places))


def _main(
    document: Mapping[str, Any],
    tags: Mapping[str, Sequence[Operation]],
    problem: Mapping[str, Any],
    problems: Sequence[type[TidewireError]],
    codes: Codes,
) -> Iterator[Html]:
    for tag, found in tags.items():
        articles = (_article(one, codes) for one in found)
        yield element("section", element("h2", text(tag.capitalize())), *articles)
    yield element(
        "section",
        element("h2", text("Schemas")),
        *(_schema(name, schema) for name, schema in sorted(schemas(document).items())),
        id="schemas",
    )
    rows = (
        [
            element("span", code(one.code), id=one.code),
            text(one.status),
            text(one.category),
            code(one.recovery),
            text(one.title),
        ]
        for one in problems
    )
    heads = ("code", "status", "category", "recovery", "meaning")
    yield element(
        "section",
        element("h2", text("Problems")),
        element("p", text(PROBLEMS)),
        table("Codes", heads, rows),
        members("Members of a problem", problem),
        id="problems",
    )


def _name(operation: Operation) -> Html:
    return joined([element("b", text(operation.method)), code(operation.path)], " ")


def _article(operation: Operation, codes: Codes) -> Html:
    parts = [element("h3", _name(operation))]
    said = (operation.summary, *operation.description.split("\n\n"))
    parts += (element("p", prose(one)) for one in said if one)
    if operation.parameters:
        rows = (
            [
                code(one.name),
                text(one.place),
                needed(one.is_required, one.schema),
                written(one.schema),
                prose(one.description),
            ]
            for one in operation.parameters
        )
        heads = ("parameter", "in", "presence", "value", "meaning")
        parts.append(table("Parameters", heads, rows))
    if operation.body:
        parts.append(element("h4", text("Body")))
        parts += _content(operation.body)
    failures = []
    for status, description, content in operation.answers:
        if MEDIA_TYPE in content:
            # Each endpoint has it, in full; it is told once.
            if status != "default":
                told = joined((link(one, code(one)) for one in codes[status]), " ")
                failures.append([text(status), told])
            continue
        parts.append(element("h4", text(f"Answer {status}")))
        if description != UNSAID:
            parts.append(element("p", prose(description)))
        parts += _content(content)
    if failures:
        parts.append(table("Problems", ("status", "codes"), failures))
    return element("article", *parts, id=operation.anchor)


def _content(content: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    for media_type, described in content.items():
        said = [code(media_type)]
        if "itemSchema" in described:
            said.append(text("each block"))
        # Plain text has neither.
        schema = described.get("itemSchema") or described.get("schema")
        if schema is not None:
            said.append(kind(schema))
        yield element("p", joined(said, ": "))
        for shape in shapes(schema or {}):
            yield members(shape.get("title", "Members"), shape)


def _schema(name: str, schema: Schema) -> Html:
    parts = [element("h3", code(name))]
    if "description" in schema:
        parts.append(element("p", prose(schema["description"])))
    found = [members("Members", shape) for shape in shapes(schema)]
    parts += found or [element("p", kind(schema))]
    return element("article", *parts, id=anchor(name))
