"""Where pages lead: every link holds, on a code host and on the site."""

import re
from pathlib import Path, PurePosixPath

import pytest

from scripts.site.markdown import anchors, links
from scripts.site.sources import resolved
from tests.docs.pages import ROOT, pages

# Beside them, addresses that are reserved for examples, and those of the machine.
EXTERNAL = frozenset(
    {
        "https://keepachangelog.com",
        "https://semver.org",
        "https://sonner.emilkowal.ski",
    }
)
EXAMPLE = re.compile(r"(?:[\w-]+\.)*example\.(?:com|org|net)|localhost|127\.0\.0\.1|\[::1\]")
REGISTRIES = re.compile(r"npmjs|pypi|pythonhosted|debian\.org|unpkg|jsdelivr|docker\.io|ghcr\.io")
_URL = re.compile(r"\bhttps?://([\w\[][^\s/\"'`)>,:;$]+)")


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_relative_link_leads_to_a_file_and_an_anchor_that_are_there(page: Path) -> None:
    wrong = []
    for link in links((ROOT / page).read_text("utf-8")):
        there = resolved(link.target, PurePosixPath(page))
        if there is None:
            continue
        path, anchor = ROOT / there[0], there[1].removeprefix("#")
        if not path.exists():
            wrong.append(f"line {link.line}: {link.target} is not there")
        elif anchor and (path.suffix != ".md" or anchor not in anchors(path.read_text("utf-8"))):
            wrong.append(f"line {link.line}: {link.target} has no such anchor")
    assert not wrong, wrong


@pytest.mark.parametrize("page", pages(), ids=str)
def test_pages_lead_to_listed_addresses_only_and_to_no_registry(page: Path) -> None:
    text = (ROOT / page).read_text("utf-8")
    linked = {link.target for link in links(text) if "://" in link.target}
    assert linked <= EXTERNAL
    others = {host for host in _URL.findall(text) if not EXAMPLE.fullmatch(host)}
    assert others <= {url.partition("://")[2] for url in EXTERNAL}
    assert not any(REGISTRIES.search(url) for url in (*linked, *others))


def test_each_listed_address_is_linked_to() -> None:
    linked = {link.target for page in pages() for link in links((ROOT / page).read_text("utf-8"))}
    assert linked >= EXTERNAL
