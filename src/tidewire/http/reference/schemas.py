"""JSON Schemas in words: as pydantic makes them of our models, and the few that we write."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tidewire.http.reference.markup import Html, code, joined, link, prose, table, text

Schema: TypeAlias = Mapping[str, Any]

BOUNDS: Final = (
    ("minLength", "{} or more characters"),
    ("maxLength", "at most {} characters"),
    ("minimum", "{} or more"),
    ("maximum", "at most {}"),
    ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minItems", "{} or more"),
    ("maxItems", "at most {}"),
)

REFERENCE: Final = "#/components/schemas/"

ANYTHING: Final = "any JSON"


def anchor(name: str) -> str:
    """Where a schema of the document stands in the page."""
    return f"schema-{name}"


def kind(schema: Schema) -> Html:
    """What a value may be, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        return link(anchor(name), code(name))
    if "enum" in schema:
        return joined(map(_value, schema["enum"]), " · ")
    if "const" in schema:
        return _value(schema["const"])
    if choices := _choices(schema):
        return joined(map(kind, choices), " or ")
    bounds = [words.format(f"{schema[bound]:,}") for bound, words in BOUNDS if bound in schema]
    return joined([_plain(schema), *map(text, bounds)], ", ")


def written(schema: Schema) -> Html:
    """What may be written into a query or a path: there is no null in them."""
    choices = [one for one in _choices(schema) if one != {"type": "null"}]
    return kind({"anyOf": choices} if choices else schema)


def _choices(schema: Schema) -> Sequence[Schema]:
    found: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or ()
    return found


def _plain(schema: Schema) -> Html:
    type_ = schema.get("type", ANYTHING)
    # A tuple has no items that are all alike.
    if type_ == "array" and "items" in schema:
        return Html(f"list of {kind(schema['items'])}")
    if type_ == "object":
        # It may also be true or false.
        if isinstance(of := schema.get("additionalProperties"), Mapping):
            return Html(f"object of {kind(of)}")
        if schema.get("properties") and "title" in schema:
            return code(schema["title"])
    return text(type_)


def members(caption: str, schema: Schema) -> Html:
    """The members of an object, one a row."""
    required = schema.get("required", ())
    found = schema["properties"]
    rows = [[code(name), needed(name in required, one), kind(one)] for name, one in found.items()]
    heads = ["member", "presence", "value"]
    meanings = [one.get("description", "") for one in found.values()]
    if any(meanings):
        heads.append("meaning")
        for row, meaning in zip(rows, meanings, strict=True):
            row.append(prose(meaning))
    return table(caption, heads, rows)


def needed(is_required: bool, schema: Schema) -> Html:
    """Whether a value must be given, and what holds if it is not."""
    if is_required:
        return text("required")
    usual = schema.get("default")
    return text("optional") if usual in (None, "") else Html(f"default {_value(usual)}")


def shapes(schema: Schema) -> Iterator[Schema]:
    """The objects that a schema describes in place, and not by their names."""
    for one in (schema, *_choices(schema)):
        if one.get("properties"):
            yield one


def _value(value: object) -> Html:
    return code(value if isinstance(value, str) else json.dumps(value))
