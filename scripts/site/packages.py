"""The sources of the package as the builder of the reference wants them."""

import shutil
from typing import Final

from scripts.site.sources import ROOT

STAGED: Final = ROOT / "build" / "reference"


def stage() -> None:
    """Makes a copy of the sources, in which each folder says that it is a package.

    Python needs no word of that below a package; who reads the sources without running them does.
    """
    shutil.rmtree(STAGED, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "static", "*.js", "*.lua")
    shutil.copytree(ROOT / "src", STAGED, ignore=ignored)
    for path in [STAGED / "tidewire", *(STAGED / "tidewire").rglob("*")]:
        if path.is_dir():
            (path / "__init__.py").touch()
