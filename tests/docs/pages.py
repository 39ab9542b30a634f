"""The pages that people read, on a code host or on the site."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.site.markdown import Block, blocks

ROOT = Path(__file__).parents[2]
BESIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "client/README.md")


def pages() -> list[Path]:
    """All of them, as paths in the repository."""
    found = [ROOT / name for name in BESIDE]
    found += sorted((ROOT / "docs").rglob("*.md"))
    found += sorted((ROOT / "examples").glob("*/README.md"))
    return [path.relative_to(ROOT) for path in found]


class Snippet(NamedTuple):
    """A block of code of a page."""

    page: Path
    block: Block

    @property
    def name(self) -> str:
        return f"{self.page}:{self.block.line}"


def snippets(*languages: str) -> Iterator[Snippet]:
    """The blocks of code in these languages, page by page."""
    for page in pages():
        for block in blocks((ROOT / page).read_text("utf-8")):
            if block.language in languages:
                yield Snippet(page, block)


def files_of(page: Path) -> dict[str, str]:
    """The files that a page shows whole: blocks after a line that ends in `name`:."""
    text = (ROOT / page).read_text("utf-8")
    found = {}
    for block in blocks(text):
        before = text[: block.start].rstrip()
        last = before.rpartition("\n")[2]
        if last.endswith("`:"):
            found[last.removesuffix("`:").rpartition("`")[2]] = block.code
    return found
