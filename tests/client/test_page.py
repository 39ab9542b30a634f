"""What the page of the Python client shows is run as it stands there."""

import re
import select
import subprocess
import sys
from pathlib import Path

from tests.client.server import Server, publisher_token, token

PAGE = Path(__file__).parents[2] / "docs" / "python-client.md"


def snippet(begins: str, server: Server, shown: str) -> str:
    """The one that begins so, asking this server."""
    [found] = [
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
        if block.startswith(begins)
    ]
    return str(found).replace("https://example.com", server.base).replace("…", shown)


def test_what_is_published_as_on_the_page_is_read_as_on_the_page(server: Server) -> None:
    following = snippet("import asyncio", server, token())
    # It follows without end, and says nothing until something comes.
    command = [sys.executable, "-u", "-c", following]
    reading = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert reading.stdout is not None
        publish = [sys.executable, "-c", snippet("from tidewire import", server, publisher_token())]
        # The first may come before the reader is there.
        for _ in range(50):
            subprocess.run(publish, check=True, timeout=20)
            if _readable(reading):
                break
        line = reading.stdout.readline()
    finally:
        reading.kill()
        reading.communicate()
    assert "notification {'title': 'Done', 'message': 'Your report is ready'" in line


def _readable(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0.5)[0])
