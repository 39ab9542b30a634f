"""The figures of all nodes as Prometheus text.

Any node answers for all of them, each with its name as a label: whoever scrapes needs one
address, and a process behind it that takes part.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from tidewire.health.window import OCTAVES, PER_OCTAVE, bound_of

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

Nodes = Mapping[str, Mapping[str, Any]]

_GAUGES: Final = {
    "users": ("tidewire_users", "Users with an open stream or held poll."),
    "live": ("tidewire_readers_live", "Readers that have all that the node has heard."),
    "capacity": ("tidewire_connections_limit", "How many connections there may be; 0 = any."),
    "spooled": ("tidewire_spool_events", "Events accepted here that are not yet in the log."),
    "degraded": ("tidewire_log_degraded", "1 while the log is away and a spool stands in."),
    "accepts": ("tidewire_log_accepts", "1 while the log, or the spool, takes events."),
    "hearing": ("tidewire_log_hearing", "1 while the node hears the log."),
    "ready": ("tidewire_ready", "1 while the node accepts and delivers."),
    "draining": ("tidewire_draining", "1 while the node goes down."),
    "rss": ("tidewire_resident_memory_bytes", "Resident memory of the node's process."),
    "openFiles": ("tidewire_open_files", "Files and sockets that the process has open."),
    "fileLimit": ("tidewire_open_files_limit", "How many it may have open."),
}
_SECONDS: Final = {
    "canaryAge": (
        "tidewire_canary_age_seconds",
        "For how long nothing has shown that the node hears what the log holds.",
    ),
    "loopLag": ("tidewire_loop_lag_seconds", "How late the event loop came to its last tick."),
}
"""Gauges that are in milliseconds among the figures."""

_COUNTERS: Final = {
    "published": ("tidewire_events_published", "Events accepted by the node."),
    "heard": ("tidewire_events_heard", "Events heard by the node, its own included."),
    "written": ("tidewire_writes", "Writes to streams and held polls."),
    "requests": ("tidewire_requests", "Requests that were answered, but for probes."),
    "failed": ("tidewire_requests_failed", "Requests that were answered with 400 or above."),
    "attempts": ("tidewire_auth_attempts", "Authentications."),
}
_LABELLED: Final = {
    "states": ("tidewire_connections", "Open streams and held polls by state.", "state"),
    "transports": ("tidewire_transports", "Streams and held polls by transport.", "transport"),
}
_LABELLED_COUNTERS: Final = {
    "gaps": ("tidewire_gaps", "Gaps that readers were told, by reason.", "reason"),
    "endings": ("tidewire_connections_closed", "Streams that have ended, by reason.", "reason"),
}
_HISTOGRAMS: Final = {
    "responseTimes": ("tidewire_response_seconds", "Time to the first byte of an answer."),
    "publishLatency": ("tidewire_publish_seconds", "How long the log took to accept."),
    "deliveryLatency": (
        "tidewire_delivery_seconds",
        "From the beginning of a publish until all live readers of the node are written to; some "
        "of all.",
    ),
}
_BEHIND: Final = {
    "readers": ("tidewire_readers_behind", "Readers that were live and are behind."),
    "events": ("tidewire_readers_behind_events", "How far the last of them is behind."),
}
_LOG: Final = {
    "entries": ("tidewire_log_entries", "Events in the log, as the node that was asked sees it."),
    "bytes": ("tidewire_log_bytes", "Bytes of events in the log."),
}

ERRORS: Final = ("tidewire_errors", "Errors by category and code.")
AUTH_FAILURES: Final = ("tidewire_auth_failures", "Refused credentials by code.")
RATE_REFUSALS: Final = ("tidewire_rate_limit_refusals", "Requests that were too many, by code.")

OCTAVES_SHOWN: Final = range(2, OCTAVES, 1)
"""A histogram shows every octave from 62.5 microseconds on."""


class _Figures(Collector):
    def __init__(self, nodes: Nodes, here: str, log: Mapping[str, Any] | None) -> None:
        self._nodes = nodes
        self._here = here
        self._log = log

    def collect(self) -> Iterable[Metric]:
        yield from self._plain(_GAUGES, GaugeMetricFamily, lambda figures, name: figures.get(name))
        yield from self._plain(_SECONDS, GaugeMetricFamily, _seconds)
        yield from self._plain(_BEHIND, GaugeMetricFamily, _behind)
        yield from self._plain(
            _COUNTERS, CounterMetricFamily, lambda figures, name: figures.get(name)
        )
        yield from self._labelled(_LABELLED, GaugeMetricFamily)
        yield from self._labelled(_LABELLED_COUNTERS, CounterMetricFamily)
        yield from self._errors()
        yield from self._histograms()
        for field, (name, text) in _LOG.items():
            family = GaugeMetricFamily(name, text, labels=["node"])
            if self._log is not None:
                family.add_metric([self._here], self._log[field])
            yield family
        info = GaugeMetricFamily(
            "tidewire_node_info", "Nodes that are there.", labels=["node", "host", "version"]
        )
        for node, figures in self._nodes.items():
            info.add_metric(
                [node, str(figures.get("host", "")), str(figures.get("version", ""))], 1
            )
        yield info

    def _plain(
        self,
        names: Mapping[str, tuple[str, str]],
        make: type[GaugeMetricFamily] | type[CounterMetricFamily],
        value: Callable[[Mapping[str, Any], str], Any],
    ) -> Iterator[Metric]:
        for field, (name, text) in names.items():
            family = make(name, text, labels=["node"])
            for node, figures in self._nodes.items():
                told = value(figures, field)
                # What a system does not say is no zero.
                if told is not None:
                    family.add_metric([node], float(told))
            yield family

    def _labelled(
        self,
        names: Mapping[str, tuple[str, str, str]],
        make: type[GaugeMetricFamily] | type[CounterMetricFamily],
    ) -> Iterator[Metric]:
        for field, (name, text, label) in names.items():
            family = make(name, text, labels=["node", label])
            for node, figures in self._nodes.items():
                for value, count in figures.get(field, {}).items():
                    family.add_metric([node, value], count)
            yield family

    def _errors(self) -> Iterator[Metric]:
        errors = CounterMetricFamily(*ERRORS, labels=["node", "category", "code"])
        by_category = {
            "authentication": CounterMetricFamily(*AUTH_FAILURES, labels=["node", "code"]),
            "rate_limit": CounterMetricFamily(*RATE_REFUSALS, labels=["node", "code"]),
        }
        for node, figures in self._nodes.items():
            for kind, count in figures.get("errors", {}).items():
                category, _, code = kind.partition(" ")
                errors.add_metric([node, category, code], count)
                if category in by_category:
                    by_category[category].add_metric([node, code], count)
        yield errors
        yield from by_category.values()

    def _histograms(self) -> Iterator[Metric]:
        for field, (name, text) in _HISTOGRAMS.items():
            family = HistogramMetricFamily(name, text, labels=["node"])
            for node, figures in self._nodes.items():
                told = figures.get(field)
                if told is not None:
                    buckets = {int(bucket): count for bucket, count in told["buckets"].items()}
                    family.add_metric([node], cumulated(buckets), told["ms"] / 1000)
            yield family


def _seconds(figures: Mapping[str, Any], name: str) -> float | None:
    ms = figures.get(name)
    return None if ms is None else float(ms) / 1000


def _behind(figures: Mapping[str, Any], name: str) -> int | None:
    told: Mapping[str, int] = figures.get("behind", {})
    return told.get(name)


def cumulated(buckets: Mapping[int, int]) -> list[tuple[str, float]]:
    """The buckets of a tally as those of Prometheus: upper bounds in seconds, each with how many
    were no longer than that."""
    shown: list[tuple[str, float]] = []
    for octave in OCTAVES_SHOWN:
        last = octave * PER_OCTAVE
        count = sum(n for bucket, n in buckets.items() if bucket <= last)
        shown.append((f"{bound_of(last) / 1000:g}", count))
    return [*shown, ("+Inf", sum(buckets.values()))]


def render(nodes: Nodes, here: str = "", log: Mapping[str, Any] | None = None) -> bytes:
    """The figures of nodes, by their names, in the text format of Prometheus.

    Args:
        nodes: the figures.
        here: the node that is asked.
        log: how full the log is, as that node sees it; None if it does not know.
    """
    registry = CollectorRegistry()
    registry.register(_Figures(nodes, here, log))
    return generate_latest(registry)


def names() -> set[str]:
    """All metrics that there are, by the names that queries use."""
    registry = CollectorRegistry()
    registry.register(_Figures({}, "", None))
    found = set()
    for family in registry.collect():
        if family.type == "histogram":
            found |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
        else:
            found.add(f"{family.name}_total" if family.type == "counter" else family.name)
    return found
