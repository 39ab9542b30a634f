"""The shapes of the wire as JSON Schema, and schemas as rows of a table."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from scripts.wire_types.shapes import (
    Alias,
    AnyOf,
    Array,
    Choice,
    Object,
    Primitive,
    Record,
    Reference,
    Shape,
)

HOME: Final = "#/components/schemas/"

Schema = dict[str, Any]


def definitions(shapes: Iterable[Object | Alias]) -> dict[str, Schema]:
    """The schemas of shapes, by their names."""
    return {shape.name: _definition(shape) for shape in shapes}


def reference(name: str) -> Schema:
    """What stands for a schema that has a name."""
    return {"$ref": HOME + name}


def _definition(shape: Object | Alias) -> Schema:
    described = {"description": shape.doc} if shape.doc else {}
    if isinstance(shape, Alias):
        return _schema(shape.shape) | described
    return {
        **described,
        "type": "object",
        "properties": {
            field.name: _schema(field.shape) | ({"description": field.doc} if field.doc else {})
            for field in shape.fields
        },
        "required": [field.name for field in shape.fields if not field.optional],
        "additionalProperties": shape.open,
    }


def _schema(shape: Shape) -> Schema:
    match shape:
        case Primitive("unknown"):
            return {}
        case Primitive(name):
            return {"type": name}
        case Choice(values):
            return {"type": "string", "enum": list(values)}
        case Array(of):
            return {"type": "array", "items": _schema(of)}
        case Record(of):
            return {"type": "object", "additionalProperties": _schema(of)}
        case AnyOf(shapes):
            return {"anyOf": [_schema(each) for each in shapes]}
        case Reference(name):
            return reference(name)


def words(schema: Schema) -> str:
    """What a schema allows, in a few words; what has a name is linked to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " · ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(words(each) for each in schema[several]))
    match schema.get("type"):
        case "array":
            return f"array of {words(schema.get('items', {}))}"
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            inside = words(schema["additionalProperties"])
            return "object" if inside == "any" else f"object of {inside}"
        case "object":
            return "object"
        case None:
            return "any"
        case kind:
            return f"{kind}{_bounds(schema)}"


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low:g}–{high:g}"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']} characters"
    return ""


def rows(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """The members of an object: their names, what they are, and what that means."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        optional = "" if name in required else ", may be missing"
        default = member.get("default")
        told = f", default `{default}`" if default is not None else optional
        yield f"`{name}`", words(member) + told, member.get("description", "")
