"""What the README and the examples show is run as it stands there."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from tests.docs.browser import browsing
from tests.serve.processes import COMMAND, clean_environment, running, url_in
from tests.serve.streams import open_stream

ROOT = Path(__file__).parents[2]


def readme_server() -> str:
    block = re.search(r"`shop\.py`:\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    return block[1]


@pytest.mark.parametrize(
    ("source", "query"),
    [
        (readme_server(), ""),
        ((ROOT / "examples" / "fastapi_app.py").read_text(), "?customer=alice"),
    ],
    ids=["README", "examples/fastapi_app.py"],
)
async def test_a_shop_tells_alice_of_her_order(tmp_path: Path, source: str, query: str) -> None:
    (tmp_path / "shop.py").write_text(source)
    env = clean_environment(tmp_path)
    command = [COMMAND, "serve", "shop:app", "--port", "0"]
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = url_in(server)
        async with open_stream(url, "/api/sse?userId=alice") as stream:
            await stream.until(b"event: connected")
            async with httpx.AsyncClient(base_url=url) as http:
                answer = await http.post("/orders" + query)
            assert answer.status_code == 200
            await asyncio.wait_for(stream.until(answer.json().encode()), 5)
            assert b'"title":"Thank you"' in stream.received


def test_the_first_event_is_seen_in_a_browser_without_a_line_of_code(tmp_path: Path) -> None:
    start = re.search(r'exec \.venv/bin/tidewire (.*) "\$@"', (ROOT / "scripts/serve").read_text())
    page = re.search(r"open `http://127\.0\.0\.1:8000(/\S+)`", (ROOT / "README.md").read_text())
    assert start is not None
    assert page is not None
    command = [COMMAND, *start[1].split(), "--port", "0"]
    with running(command, tmp_path, clean_environment(tmp_path), cwd=tmp_path) as server:
        url = url_in(server)
        with browsing() as browser:
            tab = browser.tab("reader")
            tab.open(url + page[1])
            tab.do("click", selector='role=button[name="Connect"]')
            tab.wait("body", "Connected by stream")
            tab.do("click", selector='nav >> text="Send"')
            tab.do("click", selector='main >> role=button[name="Send"]')
            tab.do("click", selector='nav >> text="Events"')
            tab.wait("body", "1 event came")
