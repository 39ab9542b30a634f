"""Writes the types of the wire, or looks whether they are what the models say."""

import sys
from pathlib import Path

from scripts.wire_types.contract import source

TARGET = Path(__file__).parents[2] / "client" / "src" / "wire.ts"


def main(arguments: list[str], target: Path = TARGET) -> str | None:
    """Does what is asked; returns what is wrong, or None."""
    match arguments:
        case []:
            target.write_text(source(), encoding="utf-8")
            return None
        case ["--check"]:
            if target.exists() and target.read_text("utf-8") == source():
                return None
            return f"{target} is not what the server's models say. Make it anew: scripts/wire-types"
        case _:
            return "usage: scripts/wire-types [--check]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
