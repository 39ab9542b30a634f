"""What MkDocs asks while it builds: pages that are made of the code, of files and of diagrams."""

from pathlib import PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scripts.site import diagrams, packages, sources
from scripts.site.reference import PAGES


def on_startup(command: str, dirty: bool) -> None:
    """Lays out the sources that the reference is made of."""
    packages.stage()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leaves out of the navigation what is not there."""
    made = {*PAGES, *map(str, sources.linked()), "index.md"}

    def there(item: Any) -> Any:
        if isinstance(item, str):
            return item if item in made or (sources.ROOT / "docs" / item).exists() else None
        if isinstance(item, dict):
            ((title, inside),) = item.items()
            kept = there(inside)
            return {title: kept} if kept else None
        return [kept for each in item if (kept := there(each))]

    config.nav = there(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no files of docs/."""
    made = {name: make() for name, make in PAGES.items()}
    made |= {str(page): sources.content_of(page) for page in sources.linked()}
    made["index.md"] = sources.content_of(PurePosixPath("index.md"))
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Shows diagrams as the pictures that were made of them, and leads links to pages."""
    name = PurePosixPath(page.file.src_uri)
    if str(name) in PAGES:
        return markdown
    return sources.with_links_of_the_site(diagrams.shown(markdown, sources.source_of(name)), name)
