"""The version has one place; what cannot read it there says the same."""

import json
from pathlib import Path
from typing import Final

import pytest

from tidewire.version import __version__

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_the_client_has_the_version_of_the_server(name: str) -> None:
    told = json.loads((ROOT / "client" / name).read_text())
    assert told["version"] == __version__
    if "packages" in told:
        assert told["packages"][""]["version"] == __version__
