"""Pages as text: what is a link, an anchor, a block of code."""

from pathlib import PurePosixPath

import markdown
import pytest
from pymdownx.slugs import slugify

from scripts.site.markdown import anchors, blocks, links, replace_links, slug_of
from scripts.site.sources import source_of, with_links_of_the_site
from tests.docs.pages import ROOT, pages


def test_links_in_code_are_none_and_code_in_links_does_no_harm() -> None:
    text = "[a](b.md) `[c](d.md)` [`e()`](f.md#g)\n```sh\n[h](i.md)\n```\n![j](k.svg)"
    assert [link.target for link in links(text)] == ["b.md", "f.md#g", "k.svg"]
    assert replace_links(text, str.upper).startswith("[a](B.MD) `[c](d.md)` [`e()`](F.MD#G)\n")


def test_a_block_has_its_language_its_code_and_the_remark_before_it() -> None:
    text = "x\n\n<!-- not run: why -->\n```sh\none\n```\n\n    - y\n\n    ```py\n    two\n    ```\n"
    first, second = blocks(text)
    assert (first.language, first.code, first.remark) == ("sh", "one\n", "not run: why")
    assert (second.language, second.code, second.remark) == ("py", "two\n", "")


@pytest.mark.parametrize("page", pages(), ids=str)
def test_anchors_are_those_that_the_site_makes(page: object) -> None:
    text = (ROOT / str(page)).read_text("utf-8")
    made = markdown.Markdown(
        extensions=["toc", "pymdownx.superfences", "tables"],
        extension_configs={"toc": {"slugify": slugify(case="lower")}},
    )
    html = made.convert(text)
    assert html

    def ids(tokens: list[dict[str, object]]) -> set[str]:
        found = set()
        for token in tokens:
            found.add(str(token["id"]))
            found |= ids(token["children"])  # type: ignore[arg-type]
        return found

    here = {name for name in anchors(text) if not name.rpartition("-")[2].isdigit()}
    there = ids(made.toc_tokens)
    assert here <= there


def test_a_heading_with_code_and_a_link_has_the_anchor_of_its_words() -> None:
    assert slug_of("What `tidewire serve` does, [here](x.md)") == "what-tidewire-serve-does-here"


def test_links_out_of_docs_lead_to_the_page_that_shows_the_file() -> None:
    page = PurePosixPath("howto/nothing-arrives.md")
    text = "[a](../../deploy/nginx/tidewire.conf) [b](../wire.md#events) [c](../../README.md)"
    assert with_links_of_the_site(text, page) == (
        "[a](../files/deploy/nginx/tidewire.conf.md) [b](../wire.md#events) [c](../index.md)"
    )
    shown = PurePosixPath("files/deploy/nginx/tidewire.conf.md")
    assert source_of(shown) == PurePosixPath("deploy/nginx/tidewire.conf")
