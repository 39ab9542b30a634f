"""The page: endpoints by their tags, then the schemas and the problems that they speak of."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tidewire.core.errors import TidewireError
from tidewire.http.reference.markup import Html, code, element, joined, link, prose, table, text
from tidewire.http.reference.schemas import anchor, kind, members, needed, shapes, written

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

Operation = Mapping[str, Any]


def page(document: Mapping[str, Any], problems: Sequence[type[TidewireError]], style: str) -> Html:
    """The whole page.

    Args:
        document: of OpenAPI 3.1.
        problems: what endpoints may answer, one class for each code.
        style: CSS, which goes into the page.
    """
    about = document["info"]
    tags: dict[str, list[tuple[str, str, Operation]]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tags[operation["tags"][0]].append((method.upper(), path, operation))
    codes: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        codes[str(problem.status)].append(problem.code)
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
        element("main", *_main(document, tags, codes, problems)),
    )
    return Html(f'<!doctype html>\n<html lang="en">{head}{body}</html>\n')


def _contents(tags: Mapping[str, Sequence[tuple[str, str, Operation]]]) -> Iterator[Html]:
    for tag, operations in tags.items():
        entries = (
            element("li", link(operation["operationId"], _name(method, path)))
            for method, path, operation in operations
        )
        yield element("h2", text(tag.capitalize()))
        yield element("ul", *entries)
    yield element("h2", text("Everywhere"))
    places = (("schemas", "Schemas"), ("problems", "Problems"))
    yield element("ul", *(element("li", link(place, text(name))) for place, name in places))


def _main(
    document: Mapping[str, Any],
    tags: Mapping[str, Sequence[tuple[str, str, Operation]]],
    codes: Mapping[str, Sequence[str]],
    problems: Sequence[type[TidewireError]],
) -> Iterator[Html]:
    for tag, operations in tags.items():
        articles = (_operation(*one, codes) for one in operations)
        yield element("section", element("h2", text(tag.capitalize())), *articles)
    schemas = document["components"]["schemas"]
    yield element(
        "section",
        element("h2", text("Schemas")),
        *(_schema(name, schema) for name, schema in sorted(schemas.items())),
        id="schemas",
    )
    rows = (
        [
            element("span", code(problem.code), id=problem.code),
            text(problem.status),
            text(problem.category),
            code(problem.recovery),
            text(problem.title),
        ]
        for problem in problems
    )
    heads = ("code", "status", "category", "recovery", "meaning")
    yield element(
        "section",
        element("h2", text("Problems")),
        element("p", text(PROBLEMS)),
        table("Codes", heads, rows),
        *(members("Members of a problem", schema) for schema in _problem_schema(tags)),
        id="problems",
    )


def _problem_schema(
    tags: Mapping[str, Sequence[tuple[str, str, Operation]]],
) -> Iterator[Mapping[str, Any]]:
    # Each endpoint has it in full; one of them is enough.
    for operations in tags.values():
        for _, _, operation in operations:
            for status, answer in operation["responses"].items():
                if status >= "400":
                    (content,) = answer["content"].values()
                    yield content["schema"]
                    return


def _name(method: str, path: str) -> Html:
    return joined([element("b", text(method)), code(path)], " ")


def _operation(
    method: str, path: str, operation: Operation, codes: Mapping[str, Sequence[str]]
) -> Html:
    parts = [element("h3", _name(method, path)), element("p", prose(operation["summary"]))]
    if parameters := operation.get("parameters"):
        rows = (
            [
                code(one["name"]),
                text(one["in"]),
                needed(one["required"], one["schema"]),
                written(one["schema"]),
                prose(one.get("description", "")),
            ]
            for one in parameters
        )
        heads = ("parameter", "in", "presence", "value", "meaning")
        parts.append(table("Parameters", heads, rows))
    if body := operation.get("requestBody"):
        parts += _content("Body", body["content"])
    failures = []
    for status, answer in operation["responses"].items():
        if status < "400":
            parts.append(element("h4", text(f"Answer {status}")))
            if answer["description"] != UNSAID:
                parts.append(element("p", prose(answer["description"])))
            parts += _content("", answer.get("content", {}))
        elif status != "default":
            told = joined((link(one, code(one)) for one in codes.get(status, ())), " ")
            failures.append([text(status), told])
    if failures:
        parts.append(table("Problems", ("status", "codes"), failures))
    return element("article", *parts, id=operation["operationId"])


def _content(head: str, content: Mapping[str, Mapping[str, Any]]) -> Iterator[Html]:
    if head:
        yield element("h4", text(head))
    for media_type, described in content.items():
        said = [code(media_type)]
        schema = described.get("schema")
        if block := described.get("itemSchema"):
            said.append(joined([text("each block: "), kind(block)]))
        elif schema:
            said.append(kind(schema))
        yield element("p", joined(said, ": "))
        for shape in shapes(block or schema or {}):
            yield members(shape.get("title", "Members"), shape)


def _schema(name: str, schema: Mapping[str, Any]) -> Html:
    parts = [element("h3", code(name))]
    if described := schema.get("description"):
        parts.append(element("p", prose(described)))
    if not any(shapes(schema)):
        parts.append(element("p", kind(schema)))
    parts += (members("Members", shape) for shape in shapes(schema))
    return element("article", *parts, id=anchor(name))
