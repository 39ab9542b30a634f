"""Shapes as JSON Schema, to hold them against what was really sent."""

from collections.abc import Iterable
from typing import Any

import jsonschema_rs

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


class Schemas:
    """By the names of the shapes."""

    def __init__(self, shapes: Iterable[Object | Alias]) -> None:
        self._definitions = {shape.name: _definition(shape) for shape in shapes}

    def misfits(self, name: str, value: Any) -> list[str]:
        """Where a value is not of the shape that has this name."""
        schema = {**_schema(Reference(name)), "$defs": self._definitions}
        return [
            f"{'.'.join(map(str, error.instance_path))}: {error.message}"
            for error in jsonschema_rs.iter_errors(schema, value)
        ]


def _definition(shape: Object | Alias) -> dict[str, Any]:
    if isinstance(shape, Alias):
        return _schema(shape.shape)
    return {
        "type": "object",
        "properties": {field.name: _schema(field.shape) for field in shape.fields},
        "required": [field.name for field in shape.fields if not field.optional],
        "additionalProperties": shape.open,
    }


def _schema(shape: Shape) -> dict[str, Any]:
    match shape:
        case Primitive("unknown"):
            return {}
        case Primitive(name):
            return {"type": name}
        case Choice(values):
            return {"enum": list(values)}
        case Array(of):
            return {"type": "array", "items": _schema(of)}
        case Record(of):
            return {"type": "object", "additionalProperties": _schema(of)}
        case AnyOf(shapes):
            return {"anyOf": [_schema(each) for each in shapes]}
        case Reference(name):
            return {"$ref": f"#/$defs/{name}"}
