"""What a bench has found: figures of several things side by side, and their ratios."""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("tidewire", "uvicorn", "uvloop", "starlette", "sse-starlette")


@dataclass(frozen=True)
class Target:
    """What a figure has to reach: at least or at most ``bound`` times that of ``against``, pair by
    pair; a figure of its own where there is nothing to compare it with."""

    bound: float
    at_most: bool = False
    against: str | None = None

    def met(self, figure: float) -> bool:
        return figure <= self.bound if self.at_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}"


@dataclass
class Row:
    """One thing that was measured, of ``subject`` and of others beside it."""

    name: str
    unit: str
    subject: str
    targets: list[Target] = field(default_factory=list)
    compared: bool = True
    """Whether ratios say anything."""
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, series: str, value: float) -> None:
        self.values.setdefault(series, []).append(value)

    def ratios(self, beside: str) -> list[float]:
        """Of the subject to another, pair by pair."""
        ours, theirs = self.values[self.subject], self.values[beside]
        return [mine / other for mine, other in zip(ours, theirs, strict=True) if other]

    def target(self, series: str) -> Target | None:
        against = None if series == self.subject else series
        return next((each for each in self.targets if each.against == against), None)


@dataclass
class Table:
    """All that a bench has found."""

    bench: str
    about: list[str]
    options: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=dict)

    def row(
        self,
        name: str,
        unit: str,
        *targets: Target,
        subject: str = "Tidewire",
        compared: bool = True,
    ) -> Row:
        made = Row(name, unit, subject, list(targets), compared)
        self.rows.append(made)
        return made

    def lines(self) -> list[tuple[str, str, str, str, str]]:
        """What was measured, of what, its figure, the subject's ratio to it, and the target."""
        told = []
        for row in self.rows:
            name = f"{row.name}, {row.unit}"
            for series, values in row.values.items():
                target, ratio, verdict = row.target(series), "", ""
                own = series == row.subject
                if row.compared and not own and row.subject in row.values:
                    ratio = _spread(row.ratios(series), "{:.2f}")
                if target is not None:
                    figures = values if own else row.ratios(series)
                    met = target.met(statistics.median(figures))
                    verdict = f"{target}{'' if met else ', missed'}"
                told.append((name, series, _spread(values, _form(values)), ratio, verdict))
                name = ""
        return told

    def print(self) -> None:
        print(self.header())
        for about in self.about:
            print(f"  {about}")
        print("Medians of all pairs (least–greatest). The ratio is of the first to the others.")
        heads = ("", "", "", "ratio, pair by pair", "target")
        lines = [heads, *self.lines()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
        for line in lines:
            print("  ".join(f"{text:{width}}" for text, width in zip(line, widths, strict=True)))

    def markdown(self) -> str:
        """The same as a table of Markdown."""
        heads = ("", "", "median (least–greatest)", "ratio", "target")
        lines = [heads, tuple("---" for _ in heads), *self.lines()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def header(self) -> str:
        return ", ".join((f"{self.bench}: {self.options}", *self.machine.values()))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Table":
        told = json.loads(path.read_text())
        rows = []
        for row in told.pop("rows"):
            targets = [Target(**target) for target in row.pop("targets")]
            rows.append(Row(**row, targets=targets))
        return cls(**told, rows=rows)


def _form(values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return "{:,.0f}" if middle >= 1000 else "{:.1f}" if middle >= 50 else "{:.2f}"


def _spread(values: Sequence[float], form: str) -> str:
    if not values:
        return "–"
    middle, least, most = (form.format(f(values)) for f in (statistics.median, min, max))
    return middle if least == most else f"{middle} ({least}–{most})"


# The machine


@contextmanager
def machine(what: str) -> Iterator[None]:
    """Says on what was measured, and how much of it others took meanwhile."""
    print(f"{', '.join(facts().values())}; {what}", flush=True)
    before = _times()
    yield
    print(f"load {_load()}; {_stolen(before):.0f} % of the processors' time stolen")


def facts() -> dict[str, str]:
    """What the figures depend on."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "machine": platform.machine(),
        "cores": f"{os.cpu_count()} cores",
        "processor": processor[1] if processor else "?",
        "python": f"Python {platform.python_version()}",
    }


def _versions() -> str:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    try:
        nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr
        found.append(nginx.strip().rpartition(" ")[2])
    except FileNotFoundError:
        pass
    return ", ".join(found)


def pair_ended(number: int) -> None:
    """Shows that it goes on, and how busy the machine is."""
    note(f"pair {number + 1} done, load {_load()}")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _load() -> str:
    return " ".join(Path("/proc/loadavg").read_text().split()[:3])


def _times() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]


def _stolen(before: Sequence[int]) -> float:
    spent = [after - once for after, once in zip(_times(), before, strict=True)]
    return 100 * spent[7] / max(1, sum(spent))


# Benches as commands


def arguments(doc: str | None, *, pairs: int = 5) -> argparse.ArgumentParser:
    """What all benches can be told."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=pairs, help="how often all are measured")
    parser.add_argument("--json", type=Path, help="where the results go, for bench.plots")
    return parser


@contextmanager
def measured(bench: str, options: argparse.Namespace, about: Sequence[str]) -> Iterator[Table]:
    """A table to fill; printed at the end, and saved if that was asked for."""
    told = {name: value for name, value in vars(options).items() if name != "json"}
    table = Table(bench, list(about), told, machine=facts() | {"versions": _versions()})
    before = _times()
    yield table
    table.machine |= {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load": f"load {_load()}",
        "stolen": f"{_stolen(before):.0f} % of the processors' time stolen",
    }
    table.print()
    if options.json is not None:
        table.save(options.json)
