"""What a bench has found is shown and kept as it was measured."""

from pathlib import Path

import pytest

from bench.table import Table, Target


@pytest.fixture
def table() -> Table:
    made = Table("fanout", ["nchan: one worker"], {"pairs": 3})
    row = made.row("one in flight", "deliveries/s", Target(1.1, against="nchan"))
    for ours, beside in ((120, 100), (90, 100), (300, 150)):
        row.add("Tidewire", ours)
        row.add("nchan", beside)
    memory = made.row("RSS", "KiB", Target(4, at_most=True))
    memory.add("Tidewire", 5)
    return made


def test_ratios_are_taken_pair_by_pair(table: Table) -> None:
    assert table.rows[0].ratios("nchan") == [1.2, 0.9, 2.0]
    first, second, third = table.lines()
    assert first[2] == "120.0 (90.0–300.0)"
    assert second[3:] == ("1.20 (0.90–2.00)", ">= 1.1")
    assert third[4] == "<= 4, missed"


def test_results_are_the_same_when_read_again(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "results" / "fanout.json"
    table.save(path)
    assert Table.load(path) == table


def test_a_page_is_filled_in_at_its_places_only() -> None:
    pytest.importorskip("matplotlib", reason="scripts/install bench brings it")
    from bench.plots import fill_in

    page = "a\n<!-- bench: one -->\nold\n<!-- end -->\nb\n<!-- bench: two -->\n<!-- end -->\n"
    filled = fill_in(page, "one", r"new \1")
    assert filled == page.replace("old", r"new \1")
    assert fill_in(filled, "none", "x") == filled
