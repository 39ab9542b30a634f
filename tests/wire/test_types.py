"""The types of the wire, made from models, as browsers' developers read them."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field

from scripts.wire_types import contract
from scripts.wire_types.__main__ import main
from scripts.wire_types.contract import source
from scripts.wire_types.shapes import (
    Alias,
    AnyOf,
    Array,
    Choice,
    Primitive,
    Record,
    Reference,
    UnknownShapeError,
    read_object,
    read_shape,
)
from scripts.wire_types.typescript import Parameter, expression, module

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "client" / "src" / "wire.ts"


class Told(TypedDict):
    """Something that is told, as ``this``."""

    first: str
    """What comes first."""
    second: NotRequired[int]
    third: int | None


class Inner(BaseModel):
    """Something within."""

    value: int


class Written(BaseModel):
    """Something that is written.

    It goes on, and is long enough that it cannot stand on one line of the module that is made of
    it, however wide that line may be.
    """

    model_config = ConfigDict(extra="allow")

    plain: bool
    renamed_: Annotated[list[str], Field(alias="renamed")]
    left_out: int | None = None
    """Seconds."""
    null: str | None
    inner: Inner | None = None


NAMES = {Told: "Told", Inner: "Inner", Written: "Written"}


def test_the_kept_file_is_what_the_models_say() -> None:
    assert KEPT.read_text("utf-8") == source(), "run scripts/wire-types"
    asked = [sys.executable, "-m", "scripts.wire_types", "--check"]
    assert subprocess.run(asked, cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize("change", ["a change by hand", "a file that is gone"])
def test_drift_is_told_with_how_to_mend_it(tmp_path: Path, change: str) -> None:
    target = tmp_path / "wire.ts"
    if change == "a change by hand":
        target.write_text(source().replace("  sequence: number;\n", "", 1), "utf-8")
    before = target.exists() and target.read_bytes()
    told = main(["--check"], target)
    assert told is not None
    assert "scripts/wire-types" in told
    assert (target.exists() and target.read_bytes()) == before, "to check changes nothing"
    assert main([], target) is None
    assert main(["--check"], target) is None


class Changed(TypedDict):
    """A model of the server, after somebody has added to it."""

    reason: str
    reconnectAfter: int | None
    added: str


def test_a_changed_model_is_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "wire.ts"
    main([], target)
    monkeypatch.setitem(contract.MODELS, "Disconnecting", Changed)
    assert main(["--check"], target) is not None
    main([], target)
    assert "  added: string;\n" in target.read_text("utf-8")


def test_other_words_are_not_taken(tmp_path: Path) -> None:
    target = tmp_path / "wire.ts"
    assert "usage" in str(main(["--chekc"], target))
    assert not target.exists()


def test_the_same_models_make_the_same_text_in_every_process() -> None:
    program = "from scripts.wire_types.contract import source; print(source())"
    asked = [sys.executable, "-c", program]
    made = {
        subprocess.run(
            asked, cwd=ROOT, env={"PYTHONHASHSEED": seed}, timeout=60, check=True, stdout=-1
        ).stdout
        for seed in ("1", "2")
    }
    assert made == {source().encode() + b"\n"}


def test_models_as_interfaces() -> None:
    shapes = [read_object(name, model, NAMES) for model, name in NAMES.items()]
    assert (
        module("The head.", shapes, {"Told": {"first": Parameter("First", "string")}})
        == """\
/** The head. */

/** Something that is told, as `this`. */
export interface Told<First extends string = string> {
  /** What comes first. */
  first: First;
  second?: number;
  third: number | null;
}

/** Something within. */
export interface Inner {
  value: number;
}

/**
 * Something that is written.
 *
 * It goes on, and is long enough that it cannot stand on one line of the module that is made of it,
 * however wide that line may be.
 */
export interface Written {
  plain: boolean;
  renamed: string[];
  /** Seconds. */
  left_out?: number;
  null: string | null;
  inner?: Inner;
  [key: string]: unknown;
}
"""
    )


@pytest.mark.parametrize(
    ("annotation", "shape", "text"),
    [
        (str, Primitive("string"), "string"),
        (float, Primitive("number"), "number"),
        (Any, Primitive("unknown"), "unknown"),
        (None, Primitive("null"), "null"),
        (Annotated[int, Field(ge=0)] | None, None, "number | null"),
        (Literal["a", "b"], Choice(("a", "b")), '"a" | "b"'),
        (list[Literal["a", "b"]], Array(Choice(("a", "b"))), '("a" | "b")[]'),
        (list[str | None], None, "(string | null)[]"),
        (dict[str, list[int]], Record(Array(Primitive("number"))), "Record<string, number[]>"),
        (Told, Reference("Told"), "Told"),
        (list[Told], Array(Reference("Told")), "Told[]"),
    ],
)
def test_annotations(annotation: Any, shape: Any, text: str) -> None:
    read = read_shape(annotation, NAMES)
    assert shape in (None, read)
    assert expression(read) == text


@pytest.mark.parametrize("annotation", [bytes, Path, dict[int, str], Literal[1], BaseModel])
def test_what_has_no_shape_is_refused(annotation: Any) -> None:
    with pytest.raises(UnknownShapeError):
        read_shape(annotation, NAMES)
    with pytest.raises(UnknownShapeError):
        read_object("Path", Path, NAMES)


def test_a_long_choice_stands_on_several_lines() -> None:
    short = Alias("Short", AnyOf((Primitive("string"), Primitive("null"))))
    long = Alias("Long", Choice(tuple(letter * 30 for letter in "abc")))
    assert module("Head.", [short, long], {}).splitlines()[2:] == [
        "export type Short = string | null;",
        "",
        "export type Long =",
        *(f'  | "{letter * 30}"' for letter in "ab"),
        f'  | "{"c" * 30}";',
    ]
