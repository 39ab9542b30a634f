"""Imports point downwards only, as the design draws them."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidewire

PACKAGE = "tidewire"
FACE = "(the public face)"

# Which parts of the package each part may import, itself aside. `version` may be imported by
# all; the public face, `tidewire/__init__.py`, by none.
ALLOWED: dict[str, frozenset[str]] = {
    "version": frozenset(),
    "core": frozenset(),
    "logs": frozenset({"core"}),
    "transports": frozenset({"core"}),
    "auth": frozenset({"core"}),
    "health": frozenset({"core"}),
    "client": frozenset({"core", "logs"}),
    "outbox": frozenset({"core", "client"}),
    # For tests of applications: it has what these have.
    "pytest": frozenset({"core", FACE}),
    "http": frozenset({"core", "logs", "transports", "auth", "health"}),
    "serve": frozenset({"core", "logs", "transports", "auth", "health", "http", "client"}),
    FACE: frozenset({"core", "http"}),
}
# The core speaks neither HTTP nor storage.
CORE_PACKAGES = frozenset({"pydantic", "pydantic_core"})


def part_of(module: str) -> str:
    """The part of the package that a dotted module name belongs to."""
    names = module.split(".")
    return names[1] if len(names) > 1 else FACE


def imports(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every module that a source imports, with its line; also within functions."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names = [*base, *(node.module or "").split(".")]
            origin = ".".join(name for name in names if name)
            # What is imported from the package itself may be a part of it.
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield node.lineno, name if origin == PACKAGE and alias.name in ALLOWED else origin


def forbidden(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """The imports of a source that the design does not draw, one sentence each."""
    importer = part_of(module)
    if importer not in ALLOWED:
        return [f"{module} stands in no layer that the design draws"]
    found = []
    for line, name in imports(source, module, is_package=is_package):
        top = name.split(".")[0]
        if top == PACKAGE:
            imported = part_of(name)
            if imported not in ALLOWED[importer] | {importer, "version"}:
                found.append(f"{module}:{line}: {importer} must not import {name}")
        elif importer == "core" and top not in sys.stdlib_module_names and top not in CORE_PACKAGES:
            found.append(f"{module}:{line}: core must not import {name}")
    return found


def sources() -> list[tuple[str, Path]]:
    root = Path(tidewire.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        names = [PACKAGE, *path.relative_to(root).with_suffix("").parts]
        found.append((".".join(names).removesuffix(".__init__"), path))
    return found


@pytest.mark.parametrize(("module", "path"), sources(), ids=[name for name, _ in sources()])
def test_imports_follow_the_drawn_arrows(module: str, path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert forbidden(source, module, is_package=path.name == "__init__.py") == []


def test_every_part_of_the_package_is_found() -> None:
    assert {part_of(module) for module, _ in sources()} == set(ALLOWED)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tidewire.core.hub", "import tidewire.logs.memory"),
        ("tidewire.core.hub", "from tidewire.logs import open_log"),
        ("tidewire.core.hub", "from tidewire import logs"),
        ("tidewire.core.hub", "from tidewire import Tidewire"),
        ("tidewire.core.hub", "from ..logs import memory"),
        ("tidewire.core.hub", "from .. import http"),
        ("tidewire.core.hub", "import redis.asyncio"),
        ("tidewire.core.hub", "from starlette.types import Send"),
        ("tidewire.core.hub", "def later():\n    import fastapi"),
        ("tidewire.logs.memory", "from tidewire.transports.sse import AsgiSink"),
        ("tidewire.transports.sse", "from tidewire.logs.memory import MemoryLog"),
        ("tidewire.auth.tokens", "from tidewire.health.journal import LoggingJournal"),
        ("tidewire.health.journal", "from tidewire.http.app import Tidewire"),
        ("tidewire.client.stream", "from tidewire.transports import sse"),
        ("tidewire.client.stream", "from tidewire.serve import cli"),
        ("tidewire.http.app", "from tidewire.serve.server import run"),
        ("tidewire.http.app", "from tidewire.client.stream import Stream"),
        ("tidewire.outbox.relay", "from tidewire.http.app import Tidewire"),
        ("tidewire.outbox.relay", "from tidewire import Tidewire"),
        ("tidewire.pytest", "from tidewire.http.app import Tidewire"),
        ("tidewire.version", "from tidewire.core.event import Event"),
        ("tidewire.utils.text", ""),
    ],
)
def test_an_arrow_that_is_not_drawn_is_refused(module: str, source: str) -> None:
    assert len(forbidden(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tidewire.core.hub", "import asyncio\nfrom pydantic_core import to_jsonable_python"),
        ("tidewire.core.hub", "from tidewire.core import notices\nfrom . import frame"),
        ("tidewire.core.hub", "from tidewire import version"),
        ("tidewire.logs.redis", "import redis.asyncio\nfrom ..core.log import Page"),
        ("tidewire.client.stream", "from tidewire.core.position import Cursor"),
        ("tidewire.http.service", "from tidewire.logs import open_log"),
        ("tidewire.serve.doctor", "from tidewire.client.stream import Stream"),
        ("tidewire.outbox.relay", "from tidewire.client.backoff import Backoff"),
        ("tidewire.pytest", "from tidewire import Tidewire"),
    ],
)
def test_a_drawn_arrow_is_let_through(module: str, source: str) -> None:
    assert forbidden(source, module) == []
