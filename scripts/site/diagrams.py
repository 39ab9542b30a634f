"""Diagrams, which stand as text in the pages, as pictures: drawn once, and kept.

Code hosts draw the text themselves. The site shows the pictures, so that it loads nothing from
elsewhere; a picture has the colours of what surrounds it, light or dark.
"""

import hashlib
import html
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import relpath
from tempfile import TemporaryDirectory
from typing import Final

from scripts.site.markdown import Block, blocks, replace_blocks
from scripts.site.sources import DOCS, ROOT

FOLDER: Final = DOCS / "diagrams"
PACKAGE: Final = "mermaid@12.3.0"
_TITLE: Final = re.compile(r"^\s*accTitle:\s*(.+?)\s*$", re.M)
_LIGHT: Final = {"paper": "#ffffff", "ink": "#1d2a2e", "soft": "#5f6d71", "line": "#0b7480"}
_DARK: Final = {"paper": "#1a2529", "ink": "#e6eef0", "soft": "#8fa2a7", "line": "#5fd0d6"}


@dataclass(frozen=True, slots=True)
class Diagram:
    """A diagram: what it is called, its text, and the picture that is kept."""

    title: str
    text: str
    picture: PurePosixPath

    @property
    def mark(self) -> str:
        """What the picture says of the text that it was drawn of."""
        return f"<!-- {hashlib.sha256(self.text.encode()).hexdigest()} -->"


def diagrams_of(text: str, source: PurePosixPath) -> Iterator[Diagram]:
    """The diagrams of a page."""
    stem = "-".join(source.relative_to(DOCS).with_suffix("").parts) if _is_page(source) else ""
    found = [block for block in blocks(text) if block.language == "mermaid"]
    for number, block in enumerate(found, 1):
        title = _TITLE.search(block.code)
        name = f"{stem}-{number}.svg"
        yield Diagram(title[1] if title else stem, block.code, FOLDER / name)


def _is_page(source: PurePosixPath) -> bool:
    return source.is_relative_to(DOCS)


def shown(text: str, source: PurePosixPath) -> str:
    """The page with pictures in the place of its diagrams."""
    if not _is_page(source):
        return text
    by_text = {diagram.text: diagram for diagram in diagrams_of(text, source)}

    def picture(block: Block) -> str | None:
        diagram = by_text.get(block.code)
        if diagram is None:
            return None
        return f"![{diagram.title}]({relpath(diagram.picture, source.parent)})"

    return replace_blocks(text, picture)


def all_diagrams() -> Iterator[Diagram]:
    """The diagrams of all pages."""
    for page in sorted((ROOT / DOCS).rglob("*.md")):
        yield from diagrams_of(page.read_text("utf-8"), PurePosixPath(page.relative_to(ROOT)))


def stale() -> list[str]:
    """What is wrong with the pictures that are kept."""
    wanted = {diagram.picture: diagram for diagram in all_diagrams()}
    wrong = [
        f"{diagram.picture} is not drawn of what the page says"
        for diagram in wanted.values()
        if not (ROOT / diagram.picture).exists()
        or diagram.mark not in (ROOT / diagram.picture).read_text("utf-8")
    ]
    kept = {PurePosixPath(path.relative_to(ROOT)) for path in (ROOT / FOLDER).glob("*.svg")}
    return wrong + [f"{path} is of no page any more" for path in sorted(kept - wanted.keys())]


def draw() -> None:
    """Draws all of them anew; needs npm and Chromium."""
    folder = ROOT / FOLDER
    folder.mkdir(exist_ok=True)
    wanted = list(all_diagrams())
    with TemporaryDirectory() as temporary:
        library = _library(Path(temporary))
        for old in folder.glob("*.svg"):
            old.unlink()
        for diagram in wanted:
            picture = _drawn(diagram, library, Path(temporary))
            (ROOT / diagram.picture).write_text(picture, encoding="utf-8")


def _library(folder: Path) -> Path:
    # Nothing that it depends on is needed: what the package brings for browsers is whole.
    packed = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    subprocess.run(["tar", "xzf", packed.stdout.strip()], cwd=folder, check=True, timeout=60)
    return folder / "package" / "dist" / "mermaid.min.js"


def _drawn(diagram: Diagram, library: Path, folder: Path) -> str:
    page = folder / "page.html"
    # A script ends at the first "</", wherever it stands.
    words = json.dumps({"text": diagram.text, "config": _config()}).replace("</", "<\\/")
    page.write_text(
        f"""<!doctype html><meta charset="utf-8"><body><script src="{library}"></script><script>
        const {{ text, config }} = {words};
        mermaid.initialize(config);
        mermaid.render("diagram", text).then(({{ svg }}) => {{
          document.body.innerHTML = svg;
          const drawn = document.querySelector("svg");
          document.body.replaceChildren(drawn);
          document.title = new XMLSerializer().serializeToString(drawn);
          const kept = document.createElement("pre");
          kept.id = "drawn";
          kept.textContent = document.title;
          document.body.replaceChildren(kept);
        }}, (error) => {{ document.body.innerHTML = `<pre id="failed">${{error}}</pre>`; }});
        </script>""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            "--dump-dom",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    match = re.search(r'<pre id="drawn">(.*?)</pre>', done.stdout, re.S)
    if match is None:
        raise RuntimeError(f"{diagram.picture}: {done.stdout[-500:]}")
    return _finished(html.unescape(match[1]), diagram)


def _config() -> Mapping[str, object]:
    # Colours by which the parts are found again: each becomes a variable.
    return {
        "startOnLoad": False,
        "theme": "base",
        "htmlLabels": False,
        "look": "classic",
        "flowchart": {"htmlLabels": False, "curve": "basis"},
        "fontFamily": "system-ui, sans-serif",
        "themeVariables": {
            "background": "#010101",
            "primaryColor": "#010101",
            "secondaryColor": "#010101",
            "tertiaryColor": "#010101",
            "mainBkg": "#010101",
            "edgeLabelBackground": "#010101",
            "labelBackgroundColor": "#010101",
            "primaryTextColor": "#020202",
            "secondaryTextColor": "#020202",
            "tertiaryTextColor": "#020202",
            "textColor": "#020202",
            "lineColor": "#030303",
            "primaryBorderColor": "#040404",
            "secondaryBorderColor": "#040404",
            "tertiaryBorderColor": "#040404",
            "noteBkgColor": "#010101",
            "noteTextColor": "#020202",
            "noteBorderColor": "#040404",
        },
    }


_LABEL: Final = re.compile(
    r'(<g class="label"[^>]* transform="translate\()-[\d.]+(, -?[\d.]+\)"><rect/><g>)'
)
_MARKS: Final = {"#010101": "paper", "#020202": "ink", "#030303": "soft", "#040404": "line"}


def _finished(drawn: str, diagram: Diagram) -> str:
    """The picture with colours for light and dark, a ground of its own, and a size."""
    for mark, name in _MARKS.items():
        drawn = drawn.replace(mark, f"var(--{name})")
        number = int(mark[1:3], 16)
        drawn = drawn.replace(f"rgb({number}, {number}, {number})", f"var(--{name})")

    def variables(colours: Mapping[str, str]) -> str:
        return "".join(f"--{name}:{colour};" for name, colour in colours.items())

    drawn = re.sub(r' data-[a-z]+="[^"]*"', "", drawn)
    # Labels of nodes begin at the left of the room for the longest that there may be.
    drawn = _LABEL.sub(r"\g<1>0\g<2>", drawn)
    style = (
        f"<style>:root{{{variables(_LIGHT)}background:var(--paper);border-radius:8px}}"
        f"@media (prefers-color-scheme:dark){{:root{{{variables(_DARK)}}}}}"
        "#diagram .node .label text{text-anchor:middle}"
        "#diagram .edgeLabel rect{opacity:1!important}</style>"
    )
    head, _, rest = drawn.partition(">")
    box = re.search(r'viewBox="([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+)"', head)
    if box is None:
        raise RuntimeError(f"{diagram.picture}: it has no size")
    left, top, width, height = (float(number) for number in box.groups())
    edge = 12
    head = re.sub(r' (width|height|style|viewBox)="[^"]*"', "", head)
    head += (
        f' viewBox="{left - edge:g} {top - edge:g} {width + 2 * edge:g} {height + 2 * edge:g}"'
        f' width="{width + 2 * edge:.0f}" height="{height + 2 * edge:.0f}"'
    )
    body, _, end = rest.rpartition("</svg>")
    return f"{head}>{diagram.mark}{body}{style}</svg>{end}\n"
