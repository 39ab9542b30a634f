"""The page: endpoints by their tags, then the schemas and the problems that they speak of."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tidewire.core.errors import TidewireError
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
        document: of OpenAPI 3.1.
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
            element("p", text(about.get("description", ""))),
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
        yield element("h2", _heading(tag))
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
        articles = (_article(one, problem, codes) for one in found)
        yield element("section", element("h2", _heading(tag)), *articles)
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


def _heading(tag: str) -> Html:
    # Not `capitalize`: the rest is as whoever named it has written it.
    return text(tag[:1].upper() + tag[1:])


def _name(operation: Operation) -> Html:
    return joined([element("b", text(operation.method)), code(operation.path)], " ")


def _article(operation: Operation, problem: Mapping[str, Any], codes: Codes) -> Html:
    parts = [element("h3", _name(operation))]
    parts += (element("p", prose(said)) for said in _said(operation))
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
        parts += _content("Body", operation.body)
    failures = []
    for status, description, content in operation.answers:
        if [one.get("schema") for one in content.values()] == [problem]:
            # Each endpoint of ours has it, in full; it is told once.
            if status != "default":
                told = joined((link(one, code(one)) for one in codes.get(status, ())), " ")
                failures.append([text(status), told])
            continue
        parts.append(element("h4", text(f"Answer {status}")))
        if description not in ("", UNSAID):
            parts.append(element("p", prose(description)))
        parts += _content("", content)
    if failures:
        parts.append(table("Problems", ("status", "codes"), failures))
    return element("article", *parts, id=operation.anchor)


def _said(operation: Operation) -> Iterator[str]:
    if operation.is_deprecated:
        yield "Deprecated."
    yield from filter(None, (operation.summary, *operation.description.split("\n\n")))


def _content(head: str, content: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    if head:
        yield element("h4", text(head))
    for media_type, described in content.items():
        said = [code(media_type)]
        schema = described.get("schema")
        if (block := described.get("itemSchema")) is not None:
            said.append(joined([text("each block: "), kind(block)]))
            schema = block
        elif schema not in (None, {}):
            said.append(kind(schema))
        yield element("p", joined(said, ": "))
        for shape in shapes({} if schema is None else schema):
            yield members(shape.get("title", "Members"), shape)


def _schema(name: str, schema: Schema) -> Html:
    parts = [element("h3", code(name))]
    if not isinstance(schema, bool) and (described := schema.get("description")):
        parts.append(element("p", prose(described)))
    if not any(shapes(schema)):
        parts.append(element("p", kind(schema)))
    parts += (members("Members", shape) for shape in shapes(schema))
    return element("article", *parts, id=anchor(name))
