"""Files of the repository that pages link to and that are no pages: the site shows them as such."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Final

from scripts.site.markdown import links, replace_links

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = PurePosixPath("docs")
SHOWN: Final = PurePosixPath("files")
HOME: Final = PurePosixPath("README.md")
ALWAYS: Final = (PurePosixPath("CHANGELOG.md"), PurePosixPath("CONTRIBUTING.md"))
"""What the site shows beside the pages, whoever links to it."""
_LANGUAGES: Final = {
    ".conf": "nginx",
    ".html": "html",
    ".json": "json",
    ".lua": "lua",
    ".md": "markdown",
    ".py": "python",
    ".toml": "toml",
    ".ts": "ts",
    ".tsx": "tsx",
    ".yaml": "yaml",
    ".yml": "yaml",
}


def page_of(path: PurePosixPath) -> PurePosixPath | None:
    """The page that shows a file or folder of the repository; None if none does."""
    if path == HOME:
        return PurePosixPath("index.md")
    if (ROOT / path).is_dir():
        readme = path / "README.md"
        return page_of(readme) if (ROOT / readme).exists() else None
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS)
    name = path.name if path.suffix == ".md" else path.name + ".md"
    return SHOWN / path.parent / name


def source_of(page: PurePosixPath) -> PurePosixPath:
    """The file that a page is made of."""
    if page == PurePosixPath("index.md"):
        return HOME
    if not page.is_relative_to(SHOWN):
        return DOCS / page
    path = page.relative_to(SHOWN)
    return path if (ROOT / path).exists() else path.with_suffix("")


def resolved(target: str, source: PurePosixPath) -> tuple[PurePosixPath, str] | None:
    """The file that a link in ``source`` leads to, and the anchor in it; None for a URL."""
    if "://" in target or target.startswith("mailto:"):
        return None
    path, hash_, anchor = target.partition("#")
    found = PurePosixPath(normpath(source.parent / path)) if path else source
    return found, hash_ + anchor


def with_links_of_the_site(text: str, page: PurePosixPath) -> str:
    """The text of a page whose links lead to pages."""
    source = source_of(page)

    def new(target: str) -> str:
        there = resolved(target, source)
        if there is None:
            return target
        shown = page_of(there[0])
        # Of a folder there is nothing to show but the page that speaks of it.
        return relpath(shown or page, page.parent) + there[1]

    return replace_links(text, new)


def linked() -> set[PurePosixPath]:
    """The pages of files outside docs/ that the pages lead to, at first or second hand."""
    waiting = [HOME, *ALWAYS, *(path.relative_to(ROOT) for path in (ROOT / DOCS).rglob("*.md"))]
    seen, found = set(waiting), {SHOWN / path for path in ALWAYS}
    while waiting:
        source = PurePosixPath(waiting.pop())
        for path in _files_linked_from(source):
            page = page_of(path)
            if page is not None and page.is_relative_to(SHOWN):
                found.add(page)
                if (of := source_of(page)) not in seen and of.suffix == ".md":
                    seen.add(of)
                    waiting.append(of)
    return found


def _files_linked_from(source: PurePosixPath) -> Iterator[PurePosixPath]:
    for link in links((ROOT / source).read_text("utf-8")):
        there = resolved(link.target, source)
        if there is not None and (ROOT / there[0]).exists():
            yield there[0]


def content_of(page: PurePosixPath) -> str:
    """The text of the page that shows a file."""
    path = source_of(page)
    text = (ROOT / path).read_text("utf-8")
    if path.suffix == ".md":
        return text
    language = _LANGUAGES.get(path.suffix, "sh" if text.startswith("#!/bin/sh") else "")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n`````{language}\n{text}`````\n"
