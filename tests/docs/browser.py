"""A real browser, told what to do."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("browser.mjs")


class Tab:
    """One page of a browser, with cookies of its own."""

    def __init__(self, browser: "Browser", name: str) -> None:
        self._browser = browser
        self._name = name

    def do(self, what: str, **words: Any) -> Any:
        """Does it; fails with what the browser says if it cannot."""
        return self._browser.ask({"page": self._name, "do": what, **words})

    def open(self, url: str) -> None:
        self.do("open", url=url)

    def wait(self, selector: str, text: str) -> None:
        """Returns when what is selected has a text."""
        self.do("wait", selector=selector, text=text)

    def text(self, selector: str) -> str:
        return str(self.do("text", selector=selector))


class Browser:
    """Chromium, without a window."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, command: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{command}: {answer.get('error')}"
        return answer.get("value")

    def tab(self, name: str) -> Tab:
        return Tab(self, name)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser for a while."""
    process = subprocess.Popen(
        ["node", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
