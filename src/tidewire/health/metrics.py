"""The figures of all nodes as Prometheus text.

Any node answers for all of them, each with its name as a label: whoever scrapes needs one
address, and a process behind it that takes part.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

Nodes = Mapping[str, Mapping[str, Any]]

_GAUGES: Final = {
    "users": ("tidewire_users", "Users with an open stream or held poll."),
    "spooled": ("tidewire_spool_events", "Events accepted here that are not yet in the log."),
    "degraded": ("tidewire_log_degraded", "1 while the log is away and a spool stands in."),
    "ready": ("tidewire_ready", "1 while the node accepts and delivers."),
}
_COUNTERS: Final = {
    "published": ("tidewire_events_published", "Events accepted by the node."),
    "heard": ("tidewire_events_heard", "Events heard by the node, its own included."),
    "written": ("tidewire_writes", "Writes to streams and held polls."),
}
_LABELLED: Final = {
    "states": ("tidewire_connections", "Open streams and held polls by state.", "state"),
    "transports": ("tidewire_transports", "Streams and held polls by transport.", "transport"),
}


class _Figures(Collector):
    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def collect(self) -> Iterable[Metric]:
        yield from self._plain(_GAUGES, GaugeMetricFamily)
        yield from self._plain(_COUNTERS, CounterMetricFamily)
        for field, (name, text, label) in _LABELLED.items():
            family = GaugeMetricFamily(name, text, labels=["node", label])
            for node, figures in self._nodes.items():
                for value, count in figures.get(field, {}).items():
                    family.add_metric([node, value], count)
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
    ) -> Iterator[Metric]:
        for field, (name, text) in names.items():
            family = make(name, text, labels=["node"])
            for node, figures in self._nodes.items():
                family.add_metric([node], float(figures.get(field, 0)))
            yield family


def render(nodes: Nodes) -> bytes:
    """The figures of nodes, by their names, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Figures(nodes))
    return generate_latest(registry)
