"""Makes the plots and tables of the documentation from the results of the benches.

Each bench writes its results with ``--json``. Here they become plots, one SVG for each bench, and
tables in the page, where a pair of comments says which table it is:

    <!-- bench: fanout -->
    <!-- end -->

The name is that of the JSON file without its suffix, so that one bench may have several tables.

    .venv/bin/python -m bench.fanout --pairs 5 --json bench/results/fanout.json
    .venv/bin/python -m bench.plots bench/results/*.json
"""

import argparse
import re
import statistics
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

from bench.table import Row, Table

DOCS: Final = Path(__file__).parent.parent / "docs"
COLOURS: Final = {
    "nchan": "#868e96",
    "sse-starlette": "#adb5bd",
    "Starlette": "#ced4da",
    "floor": "#495057",
    "joining floor": "#343a40",
}
OWN_COLOUR, OTHER_COLOUR = "#0b7285", "#adb5bd"
WIDTH, BAR, MARGIN = 7.0, 0.26, 0.75
STYLE: Final[Any] = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.major.size": 0,
    "svg.fonttype": "none",
    # So that the same results make the same file.
    "svg.hashsalt": "tidewire",
}


def plotted(table: Table) -> list[Row]:
    """The rows that are compared."""
    return [row for row in table.rows if row.compared and row.values]


def plot(table: Table, path: Path) -> None:
    """Bars of the medians, with lines from the least to the greatest, for each row that is
    compared."""
    rows = plotted(table)
    heights = [len(row.values) * BAR + MARGIN for row in rows]
    figure, axes = pyplot.subplots(
        len(rows),
        figsize=(WIDTH, sum(heights)),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )
    for row, (place,) in zip(rows, axes, strict=True):
        _bars(place, row)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _bars(place: Any, row: Row) -> None:
    names = list(row.values)
    middles = [statistics.median(values) for values in row.values.values()]
    spreads = [
        [middle - min(values) for middle, values in zip(middles, row.values.values(), strict=True)],
        [max(values) - middle for middle, values in zip(middles, row.values.values(), strict=True)],
    ]
    colours = [
        OWN_COLOUR if name == row.subject else COLOURS.get(name, OTHER_COLOUR) for name in names
    ]
    place.barh(names, middles, color=colours, height=0.7, xerr=spreads, ecolor="#343a40")
    place.invert_yaxis()
    place.set_title(f"{row.name}, {row.unit}", loc="left", fontsize=9)
    place.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:,.10g}"))


def fill_in(page: str, name: str, text: str) -> str:
    """The page with this text at the place of that name; as it was, if it has no such place."""
    place = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return place.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page)


def section(table: Table, name: str) -> str:
    """What the page says of a bench: on what it was measured, the plot if it has one, the table."""
    facts = table.machine
    when = ", ".join(text for key, text in facts.items() if key != "date")
    pairs = table.options.get("pairs")
    told = f"{facts.get('date', '')}, {when}" + (f"; medians of {pairs} pairs:" if pairs else ":")
    shown = [f"![{name}](plots/{name}.svg)"] if plotted(table) else []
    return "\n\n".join((told, *shown, table.markdown()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--page", type=Path, default=DOCS / "performance.md")
    parser.add_argument("--plots", type=Path, default=DOCS / "plots")
    options = parser.parse_args()
    options.plots.mkdir(parents=True, exist_ok=True)
    page = options.page.read_text()
    for path in options.results:
        table = Table.load(path)
        if plotted(table):
            with matplotlib.rc_context(STYLE):
                plot(table, options.plots / f"{path.stem}.svg")
        filled = fill_in(page, path.stem, section(table, path.stem))
        if filled == page:
            print(f"{options.page} has no place for {path.stem}, or it was there")
        page = filled
    options.page.write_text(page)


if __name__ == "__main__":
    main()
