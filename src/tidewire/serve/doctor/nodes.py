"""Whether those who answer at one address share a log, and what they run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidewire.core.errors import InvalidCursor
from tidewire.core.position import Cursor
from tidewire.serve.doctor.authentication import CURSOR
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.wire import NoAnswer, Wire
from tidewire.version import __version__

LOG: Final = "nodes.log"
VERSION: Final = "nodes.version"

ASKED: Final = 12
"""So many times the address is asked, one after the other: whoever shares it gets some of them.
At once would not do: a process that shares a socket takes all that wait there together."""

MONITOR: Final = "/api/realtime/monitor"

SHARE: Final = (
    "Give all of them one log, TIDEWIRE_LOG_URL=redis://…, or run one process. `tidewire serve "
    "--workers` refuses a log in memory; `uvicorn --workers`, gunicorn and several containers "
    "cannot know of it. Different TIDEWIRE_LOG_NAME are different logs, too."
)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Who answers.

    Attributes:
        epochs: of the logs that were spoken of, each once.
        asked: how often one was.
        figures: of the nodes, by their names; empty without an administrator's role.
    """

    epochs: frozenset[str]
    asked: int
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def share_a_log(self) -> bool:
        """Whether nothing speaks against it."""
        return len(self.epochs) <= 1


async def ask(wire: Wire, credential: Credential) -> Nodes:
    """Asks several times, each by a connection of its own.

    Raises:
        NoAnswer: to one there was no answer.
    """
    for _ in range(ASKED):
        await wire.ask("GET", CURSOR, credential)
    figures: dict[str, Mapping[str, Any]] = {}
    try:
        monitor = await wire.ask("GET", MONITOR, credential)
        told = monitor.json.get("allInstancesMetrics")
        figures = told if isinstance(told, dict) else {}
    except NoAnswer:
        pass
    return hear(wire, figures)


def hear(wire: Wire, figures: Mapping[str, Mapping[str, Any]]) -> Nodes:
    """What all answers and streams until now say of the logs behind them."""
    cursors = [
        answer.json[name]
        for answer in wire.answers
        for name in ("cursor", "eventId")
        if name in answer.json
    ]
    cursors += [watch.blocks[-1].cursor for watch in wire.watches if watch.blocks]
    epochs = [epoch for epoch in map(_epoch, cursors) if epoch is not None]
    return Nodes(frozenset(epochs), len(epochs), figures)


def judge(seen: Nodes, server_version: str | None, *, degraded: bool) -> list[Finding]:
    """Their log, and their versions.

    Args:
        seen: who answers.
        server_version: what the one that held our stream says.
        degraded: whether their log is away, so that each has a spool of its own.
    """
    return [_log(seen, degraded=degraded), _version(seen, server_version)]


def _epoch(cursor: object) -> str | None:
    try:
        return Cursor.parse(cursor).position.epoch if isinstance(cursor, str) else None
    except InvalidCursor:
        return None


def _log(seen: Nodes, *, degraded: bool) -> Finding:
    kinds = sorted({str(one.get("log")) for one in seen.figures.values()} - {"None"})
    measured = {"epochs": len(seen.epochs), "asked": seen.asked, "nodes": len(seen.figures) or None}
    if degraded:
        return skipped(LOG, "While Redis is away each node has a spool of its own.")
    if not seen.epochs:
        return skipped(LOG, "The heads of their logs cannot be read.")
    if not seen.share_a_log:
        return failed(
            LOG,
            f"Behind {seen.asked} answers there are {len(seen.epochs)} different logs: several "
            "processes answer here, each with events that the others do not have.",
            SHARE,
            measured,
        )
    kind = f" It is in {kinds[0].capitalize()}." if len(kinds) == 1 else ""
    many = f" {len(seen.figures)} nodes share it." if len(seen.figures) > 1 else ""
    return passed(LOG, f"Behind {seen.asked} answers there is one log.{kind}{many}", measured)


def _version(seen: Nodes, server_version: str | None) -> Finding:
    versions = {str(one["version"]) for one in seen.figures.values() if "version" in one}
    if server_version is not None:
        versions.add(server_version)
    measured = {"here": __version__, "there": sorted(versions)}
    if not versions:
        return skipped(VERSION, "No version was told.")
    if len(versions) > 1:
        return warned(
            VERSION,
            f"Different versions serve: {', '.join(sorted(versions))}.",
            "If no rolling restart is under way, one was not finished: restart the older ones.",
            measured,
        )
    [there] = versions
    if there != __version__:
        return warned(
            VERSION,
            f"The server is version {there}, this command is {__version__}.",
            "Bring both to one version, and the browser client of your pages, too.",
            measured,
        )
    return passed(VERSION, f"The server is version {there}, as this command.", measured)
