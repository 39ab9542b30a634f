"""The tutorial is followed as it stands there, with a real server and a real browser."""

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.browser import Browser, browsing
from tests.docs.pages import ROOT, files_of, snippets
from tests.docs.shell import commands_of
from tests.serve.processes import COMMAND, Process, clean_environment, running, url_in

PAGE = Path("docs/tutorial.md")
ADDRESS = "http://127.0.0.1:8000"
CLIENT = ROOT / "client"


def commands() -> list[str]:
    """The commands that are run: one for each block."""
    blocks = [snippet.block for snippet in snippets("sh") if snippet.page == PAGE]
    return [block.code.strip() for block in blocks if not block.remark]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the tutorial."""
    for name, content in files_of(PAGE).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Process]:
    serve = commands()[0]
    assert serve.startswith("tidewire serve board:app ")
    words = [COMMAND, *serve.split()[1:], "--port", "0"]
    with running(words, folder, clean_environment(folder), cwd=folder) as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def package(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The client, packed by the command of the page and unpacked as npm does. From a copy: packing
    builds, and others may be at work with what is built."""
    clone = tmp_path_factory.mktemp("clone")
    (clone / "src/tidewire/http/static").mkdir(parents=True)
    left = shutil.ignore_patterns("node_modules", "dist", "tests")
    shutil.copytree(CLIENT, clone / "client", ignore=left)
    # What `npm ci` would load.
    (clone / "client/node_modules").symlink_to(CLIENT / "node_modules")
    react = folder / "react"
    shell = [snippet.block.code for snippet in snippets("sh") if snippet.page == PAGE]
    lines = [line for code in shell for line in commands_of(code)]
    pack = next(line for line in lines if line.startswith("npm pack "))
    subprocess.run(
        ["sh", "-ec", pack.replace("../../tidewire", str(clone))],
        cwd=react,
        check=True,
        capture_output=True,
        timeout=120,
    )
    install = next(line for line in lines if line.startswith("npm install "))
    (tarball,) = react.glob(install.removeprefix("npm install "))
    with tarfile.open(tarball) as packed:
        packed.extractall(react / "unpacked", filter="data")
    (react / "node_modules").mkdir()
    (react / "unpacked/package").rename(react / "node_modules/tidewire")


def run(command: str, url: str) -> None:
    done = subprocess.run(
        ["sh", "-ec", command.replace(ADDRESS, url)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr


def test_the_board_moves_in_every_window_and_managers_alone_are_told_of_large_orders(
    server: Process, folder: Path, browser: Browser
) -> None:
    url = url_in(server)
    guest, ann = browser.tab("guest"), browser.tab("ann")
    guest.open(url)
    manager = re.search(rf"`{ADDRESS}(/\?user=ann\S*)`", (ROOT / PAGE).read_text())
    assert manager is not None
    ann.open(url + manager[1])
    for tab in (guest, ann):
        tab.wait("#status", "connected, sse")
    _, small, large = commands()
    run(small, url)
    for tab in (guest, ann):
        tab.wait("#revenue", "25")
    run(large, url)
    ann.wait("#alerts", "A large order: 1200 €")
    for tab in (guest, ann):
        tab.wait("#revenue", "1225")
    assert guest.text("#alerts") == ""
    guest.do("click", selector="#order")
    for tab in (guest, ann):
        tab.wait("#orders", "3")

    # "The server starts again, and every window comes back by itself."
    source = folder / "board.py"
    source.write_text(source.read_text().replace('"A large order"', '"A very large order"'))
    for tab in (guest, ann):
        tab.wait("#orders", "0")
        tab.wait("#status", "connected, sse")
    run(large, url)
    ann.wait("#alerts", "A very large order: 1200 €")


@pytest.mark.usefixtures("package")
def test_the_same_in_react_by_a_stream_and_by_polling(
    server: Process, folder: Path, browser: Browser
) -> None:
    url = url_in(server)
    react = folder / "react"
    bundle = folder / "main.js"
    # In place of Vite, which would have to be loaded: what it makes is the same page.
    subprocess.run(
        [
            CLIENT / "node_modules/.bin/esbuild",
            react / "src/main.tsx",
            "--bundle",
            "--format=esm",
            "--jsx=automatic",
            f"--outfile={bundle}",
        ],
        env={**os.environ, "NODE_PATH": str(CLIENT / "node_modules")},
        check=True,
        capture_output=True,
        timeout=60,
    )
    tab = browser.tab("react")
    page = (react / "index.html").read_text()
    tab.do("serve", url=f"{url}/react.html", body=page, type="text/html")
    script = bundle.read_text()
    tab.do("serve", url=f"{url}/src/main.tsx", body=script, type="text/javascript")
    tab.open(f"{url}/react.html")
    tab.wait("[role=status]", "connected sse")
    tab.do("click", selector="text=Order for")
    tab.wait("h1", "1 orders")
    tab.wait("h2", "25 €")
    tab.do("click", selector="text=Poll")
    tab.wait("[role=status]", "connected polling")
    run(commands()[1], url)
    tab.wait("h1", "2 orders")
    tab.do("click", selector="text=Stream")
    tab.wait("[role=status]", "connected sse")


def test_vite_passes_on_whatever_the_pages_ask_for() -> None:
    files = files_of(PAGE)
    passed = set(re.findall(r'"(/\w+)": server', files["react/vite.config.ts"]))
    asked = set(re.findall(r'fetch\("(/\w+)', files["react/src/Board.tsx"]))
    assert passed == asked | {"/api"}
