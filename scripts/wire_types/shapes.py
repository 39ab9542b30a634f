"""What a Python model says of JSON, without Python: the shapes that it may have."""

import ast
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import dedent
from typing import Any, Final, Literal, TypeAlias, Union, is_typeddict

from pydantic import BaseModel


class UnknownShapeError(Exception):
    """A model holds something of which nobody has said what it is in JSON."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One of JSON's own, or ``unknown``: any."""

    name: Literal["string", "number", "boolean", "null", "unknown"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some strings."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Array:
    of: "Shape"


@dataclass(frozen=True, slots=True)
class Record:
    """An object with any keys."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class AnyOf:
    shapes: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What has a name of its own."""

    name: str


Shape: TypeAlias = Primitive | Choice | Array | Record | AnyOf | Reference


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an object; one that is optional may be left out."""

    name: str
    shape: Shape
    optional: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Object:
    """An object with a name; one that is open may have further members."""

    name: str
    fields: tuple[Field, ...]
    open: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name for a shape."""

    name: str
    shape: Shape
    doc: str = ""


NULL: Final = Primitive("null")
_PRIMITIVES: Final[Mapping[Any, Primitive]] = {
    str: Primitive("string"),
    int: Primitive("number"),
    float: Primitive("number"),
    bool: Primitive("boolean"),
    None: NULL,
    types.NoneType: NULL,
    Any: Primitive("unknown"),
}

Names: TypeAlias = Mapping[Any, str]
"""How models are called on the wire."""


def read_shape(annotation: Any, names: Names) -> Shape:
    """The shape of what is annotated so.

    Raises:
        UnknownShapeError: there is no shape for it; a model without a name among them.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return read_shape(arguments[0], names)
    if annotation in names:
        return Reference(names[annotation])
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation]
    if origin is Literal and all(isinstance(value, str) for value in arguments):
        return Choice(arguments)
    if origin in (Union, types.UnionType):
        return AnyOf(tuple(read_shape(argument, names) for argument in arguments))
    if origin in (list, Sequence):
        return Array(read_shape(arguments[0], names))
    if origin in (dict, Mapping) and arguments[0] is str:
        return Record(read_shape(arguments[1], names))
    raise UnknownShapeError(f"{annotation!r} has no shape, and no name on the wire.")


def read_object(name: str, model: type, names: Names) -> Object:
    """The shape of a model: a `TypedDict`, or a pydantic model as it is written to JSON.

    A field of a pydantic model that is None by default is one that is left out then.

    Raises:
        UnknownShapeError: a field has none; or it is no such model.
    """
    docs = field_docs(model)
    doc = inspect.cleandoc(model.__doc__ or "")
    if is_typeddict(model):
        hints = typing.get_type_hints(model)
        optional: frozenset[str] = model.__optional_keys__  # type: ignore[attr-defined]
        fields = [
            Field(key, read_shape(hint, names), key in optional, docs.get(key, ""))
            for key, hint in hints.items()
        ]
        return Object(name, tuple(fields), doc=doc)
    if not issubclass(model, BaseModel):
        raise UnknownShapeError(f"{model!r} is neither a TypedDict nor a pydantic model.")
    fields = []
    for attribute, info in model.model_fields.items():
        shape = read_shape(info.annotation, names)
        left_out = not info.is_required() and info.default is None
        fields.append(
            Field(
                info.serialization_alias or info.alias or attribute,
                _without_null(shape) if left_out else shape,
                left_out,
                docs.get(attribute, ""),
            )
        )
    return Object(name, tuple(fields), open=model.model_config.get("extra") == "allow", doc=doc)


def read_alias(name: str, module: types.ModuleType, names: Names) -> Alias:
    """The shape of what a module calls by this name.

    Raises:
        UnknownShapeError: it has none.
    """
    others = {key: value for key, value in names.items() if value != name}
    shape = read_shape(getattr(module, name), others)
    docs = _docs(ast.parse(inspect.getsource(module)).body)
    return Alias(name, shape, docs.get(name, ""))


def field_docs(model: type) -> dict[str, str]:
    """What stands below each field of a class, as its documentation."""
    tree = ast.parse(dedent(inspect.getsource(model)))
    return _docs(typing.cast("ast.ClassDef", tree.body[0]).body)


def _docs(body: Sequence[ast.stmt]) -> dict[str, str]:
    found = {}
    for statement, below in pairwise(body):
        match statement, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                found[name] = inspect.cleandoc(doc)
    return found


def _without_null(shape: Shape) -> Shape:
    if not isinstance(shape, AnyOf):
        return shape
    rest = tuple(each for each in shape.shapes if each != NULL)
    return rest[0] if len(rest) == 1 else AnyOf(rest)
