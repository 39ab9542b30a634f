"""JSON Schemas in words: what our own document uses, and of any other what can be said shortly."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tidewire.http.reference.markup import Html, code, joined, link, prose, table, text

Schema = Mapping[str, Any] | bool
"""True is what anything fits, and False what nothing does."""

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
    if isinstance(schema, bool):
        return text(ANYTHING if schema else "nothing")
    if "$ref" in schema:
        return _named(schema["$ref"])
    if "enum" in schema:
        return joined(map(_value, schema["enum"]), " · ")
    if "const" in schema:
        return _value(schema["const"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return joined(map(kind, choices), " or ")
    if parts := schema.get("allOf"):
        return joined(map(kind, parts), " and ")
    bounds = [words.format(f"{schema[bound]:,}") for bound, words in BOUNDS if bound in schema]
    return joined([_plain(schema), *map(text, bounds)], ", ")


def written(schema: Schema) -> Html:
    """What may be written into a query or a path: there is no null in them."""
    choices = [one for one in _object(schema).get("anyOf", ()) if one != {"type": "null"}]
    return kind({"anyOf": choices} if choices else schema)


def _named(reference: str) -> Html:
    name = reference.removeprefix(REFERENCE)
    # What is said of a part of another schema, or in another document, has no place here.
    is_here = name != reference and "/" not in name
    return link(anchor(name), code(name)) if is_here else code(reference)


def _object(schema: Schema) -> Mapping[str, Any]:
    return {} if isinstance(schema, bool) else schema


def _plain(schema: Mapping[str, Any]) -> Html:
    type_ = schema.get("type")
    if isinstance(type_, list):
        return joined((_plain({**schema, "type": one}) for one in type_), " or ")
    if type_ == "array" and "items" in schema:
        return Html(f"list of {kind(schema['items'])}")
    if type_ == "object":
        if isinstance(of := schema.get("additionalProperties"), Mapping):
            return Html(f"object of {kind(of)}")
        return (
            code(schema["title"])
            if schema.get("properties") and "title" in schema
            else text("object")
        )
    return text(type_ or ANYTHING)


def members(caption: str, schema: Mapping[str, Any]) -> Html:
    """The members of an object, one a row."""
    required = schema.get("required", ())
    found = schema["properties"]
    rows = [[code(name), needed(name in required, one), kind(one)] for name, one in found.items()]
    heads = ["member", "presence", "value"]
    meanings = [_object(one).get("description", "") for one in found.values()]
    if any(meanings):
        heads.append("meaning")
        for row, meaning in zip(rows, meanings, strict=True):
            row.append(prose(meaning))
    return table(caption, heads, rows)


def needed(is_required: bool, schema: Schema) -> Html:
    """Whether a value must be given, and what holds if it is not."""
    if is_required:
        return text("required")
    usual = _object(schema).get("default")
    return text("optional") if usual in (None, "") else Html(f"default {_value(usual)}")


def shapes(schema: Schema) -> Iterator[Mapping[str, Any]]:
    """The objects that a schema describes in place, and not by their names."""
    whole = _object(schema)
    choices = (choice for of in ("oneOf", "anyOf", "allOf") for choice in whole.get(of, ()))
    for one in (whole, *map(_object, choices)):
        if one.get("properties"):
            yield one


def _value(value: object) -> Html:
    return code(value if isinstance(value, str) else json.dumps(value))
