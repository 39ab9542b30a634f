"""The page about the command knows each check, and no other."""

import re
from pathlib import Path

from tidewire.serve.doctor import catalogue

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
CHECK = re.compile(r"^\| `([a-z]+\.[a-z]+)` \|", re.MULTILINE)


def test_the_page_has_each_check_in_its_order() -> None:
    groups = catalogue.LOCAL + catalogue.DEPLOYMENT
    assert CHECK.findall(PAGE.read_text()) == list(catalogue.names(groups))
