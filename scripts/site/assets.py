"""What pages of the site load: nothing of it may come from another host."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

_FOREIGN: Final = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_LOADING: Final = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "use": "href",
    "video": "src",
}
_NAMED: Final = frozenset({"canonical", "alternate", "author", "license", "next", "prev"})
"""What a link says of the page, and nothing loads."""
_CSS: Final = re.compile(r"@import\s+(?:url\()?[\"']?([^\"')\s;]+)|url\(\s*[\"']?([^\"')\s]+)")
_SHIMS: Final = ("mermaid",)
"""Classes for which the theme's script would load something from elsewhere."""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.found += foreign_in_css(given.get("style", ""))
        if tag == "link" and set(given.get("rel", "").split()) <= _NAMED:
            return
        urls = [given.get(_LOADING.get(tag, ""), "")]
        urls += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.found += [url for url in urls if _FOREIGN.match(url)]
        shims = set(given.get("class", "").split()) & set(_SHIMS)
        self.found += [f"class={name}" for name in sorted(shims)]

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += foreign_in_css(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def foreign_in_css(text: str) -> list[str]:
    """The addresses of other hosts that a style sheet loads from."""
    urls = [one or other for one, other in _CSS.findall(text)]
    return [url for url in urls if _FOREIGN.match(url)]


def foreign_in_page(text: str) -> list[str]:
    """The addresses of other hosts that a page loads from."""
    page = _Page()
    page.feed(text)
    return page.found


def foreign(site: Path) -> Iterator[str]:
    """What is loaded from other hosts, with the file that says so."""
    for path in sorted(site.rglob("*")):
        if path.suffix in (".html", ".svg"):
            found = foreign_in_page(path.read_text("utf-8"))
        elif path.suffix == ".css":
            found = foreign_in_css(path.read_text("utf-8"))
        else:
            continue
        yield from (f"{path.relative_to(site)} loads {url}" for url in found)
