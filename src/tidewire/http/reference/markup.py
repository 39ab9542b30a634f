"""HTML as text that is safe to put into a page, by its type."""

import re
from collections.abc import Iterable
from html import escape
from typing import NewType

Html = NewType("Html", str)
"""Markup. Everything else is text, and `text` makes it so."""

_CODE = re.compile(r"``(.+?)``")


def text(value: object) -> Html:
    """A value as text."""
    return Html(escape(str(value)))


def prose(value: str) -> Html:
    """Text in which ``this`` is code."""
    return Html(_CODE.sub(r"<code>\1</code>", escape(value)))


def joined(parts: Iterable[Html], between: str = "") -> Html:
    """One after the other."""
    return Html(between.join(parts))


def element(name: str, *content: Html, **attributes: str) -> Html:
    """An element. Attributes are written as Python allows: ``class_``, ``aria_label``."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def code(value: object) -> Html:
    """A name or value as code."""
    return element("code", text(value))


def link(fragment: str, content: Html) -> Html:
    """A link to a place of this page."""
    return element("a", content, href=f"#{fragment}")


def table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[Html]]) -> Html:
    """A table whose first column names its rows. It scrolls by itself where it is too wide."""
    head = element("tr", *(element("th", text(one), scope="col") for one in heads))
    body = []
    for first, *rest in rows:
        cells = (element("td", cell) for cell in rest)
        body.append(element("tr", element("th", first, scope="row"), *cells))
    whole = element(
        "table",
        element("caption", text(caption)),
        element("thead", head),
        element("tbody", *body),
    )
    return element("div", whole, class_="wide")
