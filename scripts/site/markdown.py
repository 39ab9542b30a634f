"""A page as text: its blocks of code, its headings, and where its links lead."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(
    r"^(?P<indent>[ ]*)(?P<mark>`{3,})(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^[ ]*(?P=mark)[ ]*$",
    re.S | re.M,
)
_CODE: Final = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
_HEADING: Final = re.compile(r"^(#{1,6})[ ]+(.*?)[ ]*$", re.M)
_LINK: Final = re.compile(r"(?P<before>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\()(?P<target>[^()\s]+)\)")
_COMMENT: Final = re.compile(r"<!--(.*?)-->", re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    Attributes:
        language: as it says, or nothing.
        code: without the fence, and without its indentation.
        line: where it begins.
        remark: the text of the comment right before it, or nothing.
        start: of the whole in the page.
        end: the same.
    """

    language: str
    code: str
    line: int
    remark: str
    start: int
    end: int


def blocks(text: str) -> Iterator[Block]:
    """The blocks of code of a page, in order."""
    for match in _FENCE.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        before = text[: match.start()].rstrip()
        comments = list(_COMMENT.finditer(before))
        remark = comments[-1][1].strip() if comments and before.endswith("-->") else ""
        line = text.count("\n", 0, match.start()) + 1
        yield Block(match["language"], code, line, remark, match.start(), match.end())


def replace_blocks(text: str, new: Callable[[Block], str | None]) -> str:
    """The page with other text in the place of some blocks; None leaves one as it is."""
    parts, end = [], 0
    for block in blocks(text):
        written = new(block)
        if written is not None:
            parts += [text[end : block.start], written]
            end = block.end
    return "".join((*parts, text[end:]))


def remarks(text: str) -> list[str]:
    """The comments of a page, which readers do not see."""
    return [match[1].strip() for match in _COMMENT.finditer(without_blocks(text))]


def without_blocks(text: str) -> str:
    """The page without the blocks; its lines stay where they were."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def _without_code(text: str) -> str:
    # The same length, so that what is found in it is found in the page.
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    def inline(match: re.Match[str]) -> str:
        # Brackets in code are none; what is linked may itself be code.
        return re.sub(r"[\[\]()]", " ", match[0])

    return _CODE.sub(inline, _FENCE.sub(blank, text))


@dataclass(frozen=True, slots=True)
class Link:
    """Where a page leads: ``target``, which stands at ``start`` of its text, in a line."""

    target: str
    start: int
    line: int


def links(text: str) -> Iterator[Link]:
    """The links and pictures of a page, but for those in code."""
    plain = _without_code(text)
    for match in _LINK.finditer(plain):
        yield Link(match["target"], match.start("target"), plain.count("\n", 0, match.start()) + 1)


def replace_links(text: str, new: Callable[[str], str]) -> str:
    """The page with other targets."""
    parts, end = [], 0
    for link in links(text):
        parts += [text[end : link.start], new(link.target)]
        end = link.start + len(link.target)
    return "".join((*parts, text[end:]))


def anchors(text: str) -> set[str]:
    """The anchors of a page: of its headings, as code hosts and the site make them."""
    found: dict[str, int] = {}
    for match in _HEADING.finditer(without_blocks(text)):
        slug = slug_of(match[2])
        number = found.get(slug, 0)
        found[slug] = number + 1
        if number:
            found[f"{slug}-{number}"] = 1
    return set(found)


def slug_of(heading: str) -> str:
    """The anchor of a heading."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; a bar in a cell is written so that it is none of the table's."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
