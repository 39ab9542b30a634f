"""Runs the Python blocks of a page one after the other, in one namespace, as a reader would who
types them in: what it was given on standard input, as JSON."""

import ast
import asyncio
import inspect
import json
import sys
from typing import Any


async def main() -> None:
    """Runs all of them; the first that fails ends it."""
    given: list[list[str]] = json.load(sys.stdin)
    namespace: dict[str, Any] = {"__name__": "page"}
    for name, code in given:
        namespace["__file__"] = "page.py"
        compiled = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(compiled, namespace)  # noqa: S307 - that is what it is for
        if inspect.isawaitable(result):
            await result


asyncio.run(main())
