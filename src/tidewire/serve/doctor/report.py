"""The findings, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidewire.serve.doctor.catalogue import Group
from tidewire.serve.doctor.finding import Finding, Status

STYLES: Final[dict[Status, str]] = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "skip": "dim",
}
WORDS: Final[dict[Status, str]] = {"pass": "pass", "warn": "WARN", "fail": "FAIL", "skip": "skip"}
"""In capitals what is to be seen without colours, too."""
SUMMARY: Final[dict[Status, str]] = {
    "fail": "failed",
    "warn": "to look at",
    "pass": "right",
    "skip": "not checked",
}

NAME_WIDTH: Final = 20
MEND_INDENT: Final = 6


def as_json(findings: Sequence[Finding]) -> str:
    """A list, one object for each check, in the order of the catalogue."""
    return json.dumps([finding.as_json() for finding in findings], indent=2, ensure_ascii=False)


def show(
    console: Console, groups: Sequence[Group], findings: Sequence[Finding], *, title: str
) -> None:
    """Prints them by groups: how each went, why, and what to do."""
    by_name = {finding.check: finding for finding in findings}
    console.print(Text(title, style="bold"))
    for group in groups:
        console.print()
        console.print(Text(group.title, style="bold"))
        for name, finding in _calmer([by_name[name] for name in group.checks]):
            _show_one(console, name, finding)
    console.print()
    console.print(_summary(findings))


def _calmer(findings: Sequence[Finding]) -> Iterator[tuple[str, Finding]]:
    """The findings of a group with their names; those that were skipped one after the other for
    the same reason are one."""
    for _, alike in groupby(findings, _likeness):
        first, *more = alike
        yield "\n".join(finding.check for finding in (first, *more)), first


def _likeness(finding: Finding) -> tuple[str, str | None]:
    is_skipped = finding.status == "skip"
    return (finding.reason, finding.mend) if is_skipped else (finding.check, None)


def _show_one(console: Console, name: str, finding: Finding) -> None:
    style = STYLES[finding.status]
    line = Table.grid(padding=(0, 1))
    line.add_column(width=6)
    line.add_column(width=NAME_WIDTH)
    line.add_column(overflow="fold", ratio=1)
    quiet = "dim" if finding.status == "skip" else ""
    line.add_row(
        Text(f"  {WORDS[finding.status]}", style=style),
        Text(name, style=quiet),
        Text(finding.reason, style=quiet),
    )
    console.print(line, soft_wrap=False)
    # What is skipped for want of an option says so; what is right needs no mending.
    if finding.mend is not None:
        mend = Text(finding.mend, style="dim" if finding.status == "skip" else "")
        console.print(Padding(mend, (0, 0, 0, MEND_INDENT + 2)), soft_wrap=False)


def _summary(findings: Sequence[Finding]) -> Text:
    count = Counter(finding.status for finding in findings)
    told = Text()
    for status, words in SUMMARY.items():
        number = count[status]
        told.append(f"{number} {words}", style=STYLES[status] if number else "dim")
        told.append(", " if status != "skip" else ".")
    return told
