"""What `scripts/build` has made, each installed in a clean place.

Not collected with the other tests: `scripts/build` runs it after it has made them.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import pytest

from tests.serve.processes import clean_environment, running, url_in
from tidewire.version import __version__

ROOT: Final = Path(__file__).parents[2]
DIST: Final = ROOT / "build/dist"
WHEEL: Final = DIST / f"tidewire-{__version__}-py3-none-any.whl"
SDIST: Final = DIST / f"tidewire-{__version__}.tar.gz"
TARBALL: Final = DIST / f"tidewire-{__version__}.tgz"

INSTALL_SECONDS: Final = 300

pytestmark = pytest.mark.timeout(INSTALL_SECONDS)

FOLLOWER: Final = """
import { SSEClient } from "tidewire";
const client = new SSEClient({
  endpoint: process.argv[2] + "/api/sse",
  userId: "alice",
  since: "earliest",
  eventHandlers: {
    greeting: (event) => {
      console.log("got", event.data.text);
      client.disconnect();
    },
  },
});
client.connect();
"""


def ran(command: Sequence[str | Path], folder: Path, **more: str) -> str:
    """What a command prints; it must succeed."""
    env = clean_environment(folder, PYTHONNOUSERSITE="1", **more)
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """An environment into which only the wheel was installed."""

    folder: Path

    @property
    def command(self) -> Path:
        return self.folder / "venv/bin/tidewire"

    @property
    def python(self) -> Path:
        return self.folder / "venv/bin/python"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = Installed(tmp_path_factory.mktemp("installed"))
    ran([sys.executable, "-m", "venv", "venv"], made.folder)
    pins = ROOT / "constraints.txt"
    ran([made.python, "-m", "pip", "install", "-q", "-c", pins, WHEEL], made.folder)
    return made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project, into which only the tarball was installed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    words = "--omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error"
    ran(["npm", "install", *words.split(), TARBALL], folder)
    return folder


@pytest.fixture(scope="module")
def url(installed: Installed) -> Iterator[str]:
    """Where `tidewire serve --dev` of the wheel listens."""
    env = clean_environment(installed.folder)
    command = [str(installed.command), "serve", "--dev", "--port", "0"]
    with running(command, installed.folder, env, cwd=installed.folder) as process:
        yield url_in(process)


def got(url: str) -> tuple[str, bytes]:
    """The type and the body of an answer, which must be 200."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - of this machine
        return answer.headers.get_content_type(), answer.read()


def package() -> set[str]:
    """The files of the package in the source tree."""
    source = ROOT / "src"
    files = (file for file in (source / "tidewire").rglob("*") if file.is_file())
    return {str(file.relative_to(source)) for file in files if "__pycache__" not in file.parts}


def contents(wheel: Path) -> dict[str, int]:
    """The files of a wheel with their checksums; RECORD, which lists them, left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            each.filename: each.CRC
            for each in archive.infolist()
            if not each.filename.endswith("/RECORD")
        }


def test_there_is_one_of_each_in_this_version() -> None:
    assert {file.name for file in DIST.iterdir() if file.name != ".gitignore"} == {
        file.name for file in (WHEEL, SDIST, TARBALL)
    }


def test_the_wheel_is_the_whole_package_and_nothing_else() -> None:
    held = contents(WHEEL)
    about = f"tidewire-{__version__}.dist-info/"
    assert {name for name in held if not name.startswith(about)} == package()
    for name in ("py.typed", "http/static/tidewire.js", "http/debugger/index.html"):
        assert f"tidewire/{name}" in held
    assert f"{about}licenses/LICENSE" in held


def test_the_sdist_makes_the_same_wheel(tmp_path: Path) -> None:
    words = ["-m", "pip", "wheel", "-q", "--no-deps", "-w"]
    ran([sys.executable, *words, tmp_path, SDIST], tmp_path)
    assert contents(tmp_path / WHEEL.name) == contents(WHEEL)


def test_the_sdist_holds_what_it_is_tested_and_explained_with() -> None:
    with tarfile.open(SDIST) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"} <= names
    assert "tests/conftest.py" in names
    assert not [name for name in names if "__pycache__" in name or "node_modules" in name]


def test_the_command_of_the_wheel_tells_its_version(installed: Installed) -> None:
    assert __version__ in ran([installed.command, "--version"], installed.folder)


def test_the_package_is_typed_where_it_is_installed(installed: Installed) -> None:
    where = "import pathlib, tidewire; print(pathlib.Path(tidewire.__file__).parent)"
    folder = Path(ran([installed.python, "-c", where], installed.folder).strip())
    assert folder.is_relative_to(installed.folder)
    assert (folder / "py.typed").exists()


def test_the_wheel_serves_the_module_for_browsers(url: str) -> None:
    kind, body = got(f"{url}/tidewire.js")
    assert kind == "text/javascript"
    assert b"SSEClient" in body
    assert body == (ROOT / "src/tidewire/http/static/tidewire.js").read_bytes()


def test_the_wheel_serves_the_debugger_with_all_that_it_names(url: str) -> None:
    kind, body = got(f"{url}/debug/sse")
    assert kind == "text/html"
    named = re.findall(r'(?:src|href)="([^"#:]+)"', body.decode())
    assert named
    for name in named:
        address = urljoin(f"{url}/debug/sse", name)
        assert got(address)[1], name


def test_an_empty_project_takes_the_tarball_and_little_else(project: Path) -> None:
    packages = {each.name for each in (project / "node_modules").iterdir() if each.name[0] != "."}
    assert packages == {"tidewire", "eventsource-parser"}
    told = json.loads((project / "node_modules/tidewire/package.json").read_text())
    assert told["version"] == __version__
    for entry in told["exports"].values():
        for file in [entry] if isinstance(entry, str) else entry.values():
            assert (project / "node_modules/tidewire" / file).is_file(), file


def test_the_client_of_the_tarball_follows_the_server_of_the_wheel(
    installed: Installed, project: Path, url: str
) -> None:
    hello = ["greeting", '{"text": "hello"}', "--user", "alice", "--url", url]
    ran([installed.command, "publish", *hello], installed.folder)
    (project / "follow.mjs").write_text(FOLLOWER)
    assert "got hello" in ran(["node", "follow.mjs", url], project, PATH=os.environ["PATH"])
