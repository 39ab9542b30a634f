"""What the README and the examples show is run as it stands there."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

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
