"""Shapes as TypeScript, laid out as the client's formatter wants it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Final, TypeAlias

from scripts.wire_types.shapes import (
    Alias,
    AnyOf,
    Array,
    Choice,
    Field,
    Object,
    Primitive,
    Record,
    Reference,
    Shape,
)

WIDTH: Final = 100
_OPEN: Final = "[key: string]: unknown;"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A field whose type the user of an interface says, within a bound; the bound is the default.

    Attributes:
        name: how it is called.
        bound: TypeScript; ``unknown`` bounds nothing.
    """

    name: str
    bound: str = "unknown"

    def __str__(self) -> str:
        within = "" if self.bound == "unknown" else f" extends {self.bound}"
        return f"{self.name}{within} = {self.bound}"


Parameters: TypeAlias = Mapping[str, Mapping[str, Parameter]]
"""By the names of objects, and of their fields."""


def module(head: str, shapes: Iterable[Object | Alias], parameters: Parameters) -> str:
    """A module of types that begins with what ``head`` says."""
    parts = [_doc(head, "")]
    for shape in shapes:
        if isinstance(shape, Alias):
            parts.append(_doc(shape.doc, "") + _alias(shape))
        else:
            parts.append(_doc(shape.doc, "") + _interface(shape, parameters.get(shape.name, {})))
    return "\n".join(parts)


def expression(shape: Shape) -> str:
    """A shape as TypeScript writes it."""
    match shape:
        case Primitive(name) | Reference(name):
            return name
        case Choice(values):
            return " | ".join(f'"{value}"' for value in values)
        case AnyOf(shapes):
            return " | ".join(expression(each) for each in shapes)
        case Record(of):
            return f"Record<string, {expression(of)}>"
        case Array(of):
            inner = expression(of)
            return f"({inner})[]" if isinstance(of, Choice | AnyOf) else f"{inner}[]"


def _alias(alias: Alias) -> str:
    line = f"export type {alias.name} = {expression(alias.shape)};\n"
    if len(line) <= WIDTH + 1:
        return line
    members = expression(alias.shape).split(" | ")
    return f"export type {alias.name} =\n" + "\n".join(f"  | {each}" for each in members) + ";\n"


def _interface(shape: Object, parameters: Mapping[str, Parameter]) -> str:
    given = ", ".join(map(str, parameters.values()))
    lines = [f"export interface {shape.name}{f'<{given}>' if given else ''} {{\n"]
    for field in shape.fields:
        lines += [_doc(field.doc, "  "), _member(field, parameters.get(field.name))]
    if shape.open:
        lines.append(f"  {_OPEN}\n")
    return "".join([*lines, "}\n"])


def _member(field: Field, parameter: Parameter | None) -> str:
    type_ = expression(field.shape) if parameter is None else parameter.name
    return f"  {field.name}{'?' if field.optional else ''}: {type_};\n"


def _doc(text: str, indent: str) -> str:
    if not text:
        return ""
    # Python's way to mark code.
    text = re.sub(r"``(.+?)``", r"`\1`", text)
    if "\n\n" not in text:
        line = f"{indent}/** {' '.join(text.split())} */\n"
        if len(line) <= WIDTH + 1:
            return line
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += ["", *wrap(paragraph, WIDTH - len(indent) - 3, break_on_hyphens=False)]
    body = "".join(f"{indent} *{' ' if line else ''}{line}\n" for line in lines[1:])
    return f"{indent}/**\n{body}{indent} */\n"
