"""The site as it is built: it loads nothing from elsewhere, and shows what the code says."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scripts.site import assets, asyncapi, diagrams
from scripts.site.__main__ import SITE
from tests.docs.browser import browsing
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.site", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return SITE


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_browser_that_reads_the_site_asks_no_other_host(address: str) -> None:
    with browsing() as browser:
        tab = browser.tab("reader")
        for page in ("index", "client", "explanation/design", "reference/python", "performance"):
            tab.open(f"{address}/{page}.html")
        tab.do(
            "evaluate", code="document.querySelector('[data-md-component=search-query]').focus()"
        )
        tab.do(
            "evaluate",
            code="""(() => {
              const query = document.querySelector('[data-md-component=search-query]');
              query.value = 'cursor';
              query.dispatchEvent(new KeyboardEvent('keyup', { bubbles: true }));
              query.dispatchEvent(new Event('input', { bubbles: true }));
            })()""",
        )
        tab.wait(".md-search-result__item", "cursor")
        asked = tab.do("asked")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []


def test_diagrams_follow_the_colours_of_the_page(address: str) -> None:
    with browsing() as browser:
        tab = browser.tab("reader")
        lights = []
        for is_dark in (False, True):
            tab.do("dark", on=is_dark)
            tab.open(f"{address}/explanation/design.html")
            tab.wait("h1", "The design")
            lights.append(tab.do("light", selector='img[src$=".svg"]'))
    in_light, in_dark = lights
    assert in_light > 200
    assert in_dark < 80


def test_every_page_of_the_navigation_is_built(site: Path) -> None:
    pages = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert {"index.html", "tutorial.html", "howto/index.html", "errors.html"} <= pages
    assert {"reference/http.html", "reference/stream.html", "reference/python.html"} <= pages
    assert "files/deploy/nginx/tidewire.conf.html" in pages
    assert "worker_shutdown_timeout" in (site / "files/deploy/nginx/tidewire.conf.html").read_text()


def test_the_reference_has_the_words_of_docstrings_and_descriptions(site: Path) -> None:
    python = (site / "reference/python.html").read_text()
    assert "Sends every client away with a time to come back" in python
    assert "tidewire.Tidewire.publish" in python
    rest = (site / "reference/http.html").read_text()
    assert "Seconds to hold an answer that would be empty." in rest
    stream = (site / "reference/stream.html").read_text()
    assert "Whether the stream goes on exactly where the cursor stood." in stream


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://cdn.example.com/a.js"></script>', ["https://cdn.example.com/a.js"]),
        ('<img srcset="a.png 1x, //x.example.com/b.png 2x">', ["//x.example.com/b.png"]),
        ('<p style="background: url(http://x.example.com/c.png)">', ["http://x.example.com/c.png"]),
        ("<style>@import 'https://x.example.com/d.css';</style>", ["https://x.example.com/d.css"]),
        ('<pre class="mermaid">graph</pre>', ["class=mermaid"]),
        ('<a href="https://x.example.com">x</a><link rel="canonical" href="https://y">', []),
        ('<link rel="stylesheet" href="e.css"><img src="data:image/png;base64,x">', []),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(text: str, found: list[str]) -> None:
    assert assets.foreign_in_page(text) == found


def test_a_diagram_that_was_changed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert diagrams.stale() == []
    changed = [
        diagrams.Diagram(each.title, each.text + " ", each.picture)
        for each in diagrams.all_diagrams()
    ]
    monkeypatch.setattr(diagrams, "all_diagrams", lambda: iter(changed))
    assert len(diagrams.stale()) == len(changed)


def test_a_document_that_is_not_what_the_models_say_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert asyncapi.stale() == []
    monkeypatch.setattr(asyncapi, "TARGET", ROOT / "docs" / "nothing.yaml")
    assert asyncapi.stale()
