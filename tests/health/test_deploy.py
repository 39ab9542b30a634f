"""What the dashboard and the alerts ask for is there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import FakeClock
from tidewire.health import metrics
from tidewire.health.window import Window

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "health.md"


def used(text: str) -> set[str]:
    return set(re.findall(r"\btidewire_\w+", text))


def queries(panel: Any) -> Iterator[str]:
    """Every query of a dashboard, wherever it stands."""
    if isinstance(panel, dict):
        if "expr" in panel:
            yield panel["expr"]
        for value in panel.values():
            yield from queries(value)
    elif isinstance(panel, list):
        for value in panel:
            yield from queries(value)


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(ALERTS.read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_query_of_the_dashboard_names_metrics_that_there_are() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    asked = list(queries(dashboard))
    assert len(asked) > 20
    for query in asked:
        assert used(query), query
        assert used(query) <= metrics.names(), query
        assert query.count("(") == query.count(")")


def test_the_panels_of_the_dashboard_have_names_and_numbers_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    for key in ("id", "title"):
        assert len({panel[key] for panel in panels}) == len(panels)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_metrics_that_there_are_and_says_what_to_do(
    rule: dict[str, Any],
) -> None:
    assert used(rule["expr"])
    assert used(rule["expr"]) <= metrics.names()
    assert rule["labels"]["severity"] in ("warning", "critical")
    for text in rule["annotations"].values():
        assert text.endswith(".")


def test_there_is_an_alert_for_each_kind_of_trouble() -> None:
    asked = " ".join(rule["expr"] for rule in rules())
    for name in (
        *("tidewire_ready", "tidewire_errors_total", "tidewire_resident_memory_bytes"),
        *("tidewire_readers_behind_events", "tidewire_auth_failures_total"),
        "tidewire_spool_events",
    ):
        assert name in asked


def test_every_metric_is_explained_and_no_other() -> None:
    explained = used(DOCUMENT.read_text("utf-8"))
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in metrics.names()}
    assert explained == shown


def test_the_names_are_those_of_what_is_rendered() -> None:
    window = Window(FakeClock())
    window.add(5)
    tally = window.total.to_json()
    figures: dict[str, Any] = {
        **dict.fromkeys([*metrics._GAUGES, *metrics._SECONDS, *metrics._COUNTERS], 1),
        **{name: {"x": 1} for name in (*metrics._LABELLED, *metrics._LABELLED_COUNTERS)},
        **dict.fromkeys(metrics._HISTOGRAMS, tally),
        "behind": {"readers": 1, "events": 2},
        "errors": {"authentication AUTH_CONFLICT": 1, "rate_limit RATE_LIMIT_EXCEEDED": 1},
    }
    text = metrics.render({"n": figures}, "n", {"entries": 1, "bytes": 2}).decode()
    assert set(re.findall(r"^(tidewire_\w+)\{", text, re.MULTILINE)) == metrics.names()


def test_a_node_of_another_version_that_says_less_is_shown_all_the_same() -> None:
    text = metrics.render({"old": {"ready": True}}).decode()
    assert 'tidewire_ready{node="old"} 1.0' in text
    assert 'tidewire_resident_memory_bytes{node="old"}' not in text
