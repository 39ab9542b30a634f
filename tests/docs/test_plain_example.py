"""The page without a build is served as its `start` says, and used in a real browser."""

import re
from pathlib import Path

from tests.docs.browser import browsing
from tests.docs.pages import ROOT
from tests.serve.processes import COMMAND, clean_environment, running, url_in


def test_an_order_moves_from_column_to_column_in_every_window(tmp_path: Path) -> None:
    start = (ROOT / "examples/plain/start").read_text()
    served = re.search(r'exec \.venv/bin/tidewire (serve .*) "\$@"', start)
    assert served is not None
    command = [COMMAND, *served[1].split(), "--port", "0"]
    with running(command, tmp_path, clean_environment(tmp_path), cwd=ROOT) as server:
        url = url_in(server)
        with browsing() as browser:
            one, other = browser.tab("one"), browser.tab("other")
            for tab in (one, other):
                tab.open(url)
                tab.wait("#status", "connected by a stream")
            one.do("click", selector="#place")
            for tab in (one, other):
                tab.wait("[data-status=placed] li", "#1")
            one.do("click", selector="#polling")
            one.wait("#status", "connected by polling")
            for status in ("cooking", "served"):
                for tab in (one, other):
                    tab.wait(f"[data-status={status}] li", "#1")
