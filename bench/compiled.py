"""The tools of the benches that are written in C, compiled when they are first used."""

import subprocess
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "native"
BUILT: Final = Path(__file__).parent / ".build"
FLAGS: Final = ("-O2", "-Wall", "-Wextra", "-Wshadow")


def compiled(name: str) -> str:
    """Where the tool of this name is; compiles it if its source is newer."""
    source, built = SOURCES / f"{name}.c", BUILT / name
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(exist_ok=True)
        (BUILT / ".gitignore").write_text("*\n")
        subprocess.run(["gcc", *FLAGS, "-o", built, source], check=True)
    return str(built)
