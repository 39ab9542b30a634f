"""What administrators see of all nodes: their clients, their errors, the log, and why somebody got
an event or did not."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from tidewire.core.control import Forget
from tidewire.core.errors import LogAway, NotConfigured, NotFound
from tidewire.core.frame import entry_json
from tidewire.core.log import Clearable, Entry, Measured, Page
from tidewire.core.position import Cursor, Edge, Position, Since
from tidewire.health import explain as explaining
from tidewire.health import system
from tidewire.health.explain import Memory, Subject
from tidewire.health.journal import merged
from tidewire.health.measures import Measures
from tidewire.http.inspection import Choice, memory_of
from tidewire.http.life import Node

SHOWN_ERRORS: Final = 50

LOOK_ENTRIES: Final = 5_000
"""Entries of the log that one request looks at, at most."""


async def clients(node: Node, choice: Choice) -> dict[str, Any]:
    """The clients of all nodes, by their ids: a page of them."""
    answers = await node.keeper.inquiries.ask_all("clients", **choice._asdict())
    found = [client for one in answers.told.values() for client in one["clients"]]
    found.sort(key=lambda client: client["clientId"])
    page = found[: choice.limit]
    return {
        "clients": page,
        "total": sum(one["total"] for one in answers.told.values()),
        "next": page[-1]["clientId"] if len(found) > choice.limit else None,
        "nodes": answers.nodes,
        "missing": answers.missing,
    }


async def client(node: Node, client_id: str) -> dict[str, Any]:
    """One client, and what became of it; on whichever node it is.

    Raises:
        NotFound: no node knows of it.
    """
    answers = await node.keeper.inquiries.ask_all("client", clientId=client_id)
    if not answers.told:
        raise NotFound(f"No node that answered knows of a client {client_id!r}.")
    live = [one["client"] for one in answers.told.values() if one["client"] is not None]
    timeline = [record for one in answers.told.values() for record in one["timeline"]]
    timeline.sort(key=lambda record: record["timestamp"])
    return {"client": live[0] if live else None, "timeline": timeline}


async def pinged(node: Node, client_id: str | None = None) -> dict[str, Any]:
    """Pings one client, or all streams of all nodes, now."""
    asked = {} if client_id is None else {"clientId": client_id}
    answers = await node.keeper.inquiries.ask_all("ping", **asked)
    if client_id is not None:
        return {"pinged": any(one["pinged"] for one in answers.told.values())}
    return {
        "pinged": sum(one["pinged"] for one in answers.told.values()),
        "nodes": len(answers.nodes),
        "missing": answers.missing,
    }


async def errors(node: Node, limit: int = SHOWN_ERRORS) -> dict[str, Any]:
    """The errors of all nodes."""
    answers = await node.keeper.inquiries.ask_all("errors", limit=limit)
    return merged(list(answers.told.values()), limit)


async def clear_errors(node: Node) -> dict[str, Any]:
    """Forgets the errors of all nodes."""
    answers = await node.keeper.inquiries.ask_all("clearErrors")
    cleared = sum(one["cleared"] for one in answers.told.values())
    return {"cleared": cleared, "missing": answers.missing}


async def clean_up(node: Node) -> dict[str, Any]:
    """Looks at all connections of all nodes, and closes those that are stale."""
    answers = await node.keeper.inquiries.ask_all("cleanUp")
    told = answers.told.values()
    return {
        "closed": sum(one["closed"] for one in told),
        "looked": sum(one["looked"] for one in told),
        "missing": answers.missing,
    }


async def clear_events(node: Node) -> int:
    """Trims the whole log, for all nodes; returns how many entries that were.

    Raises:
        NotConfigured: this log cannot forget on demand.
        LogAway: it cannot be reached.
    """
    if not isinstance(node.log, Clearable):
        raise NotConfigured("This log cannot be cleared.")
    cleared = await node.log.clear()
    await node.bus.send(Forget())
    return cleared


async def details(node: Node, measures: Measures) -> dict[str, Any]:
    """What only administrators are told of the health of this node; the errors are those of
    all."""
    log = await log_figures(node)
    keeper = node.keeper
    figures = node.figures.own()
    components = node.figures.components()
    if log is not None:
        components["storage"]["log"] = log
    published = measures.publishes.recent()
    return {
        "components": components,
        "metrics": {
            "requests": figures["requests"],
            "failed": figures["failed"],
            "published": figures["published"],
            "heard": figures["heard"],
            "written": figures["written"],
            "deliveryLatency": measures.deliveries.recent().percentiles(),
            "publishLatency": published.percentiles(),
            "behind": figures["behind"],
        },
        "events": {
            "published": figures["published"],
            "perMinute": published.amount / 5,
            "head": None if log is None else log["head"],
            "floor": None if log is None else log["floor"],
        },
        "errors": await errors(node),
        "system": {
            "node": keeper.presence.node,
            **system.about(),
            "version": figures["version"],
            "rss": figures["rss"],
            "openFiles": figures["openFiles"],
            "fileLimit": figures["fileLimit"],
            "loopLag": figures["loopLag"],
        },
    }


async def log_figures(node: Node) -> dict[str, Any] | None:
    """How full the log is; None where nobody can say now."""
    if isinstance(node.log, Measured):
        with contextlib.suppress(LogAway):
            stats = await node.log.stats()
            return {
                "entries": stats.entries,
                "bytes": stats.bytes,
                "floor": str(stats.floor),
                "head": str(stats.head),
            }
    return None


async def events(
    node: Node, since: Since | None, *, limit: int, type_: str | None
) -> dict[str, Any]:
    """Events with their targets: the newest, newest first; or those after a place, oldest
    first. A request looks at `LOOK_ENTRIES` at most.

    Raises:
        LogAway: the log cannot be read.
    """
    whole = await node.log.read(Edge.EARLIEST, limit=0)
    if since is None:
        wanted = limit if type_ is None else LOOK_ENTRIES
        pages = _pages(node, Edge.EARLIEST, newest=wanted)
    else:
        pages = _pages(node, since)
    found: list[Entry] = []
    cursor = whole.head
    async for page in pages:
        cursor = page.end
        for entry in page.entries:
            if type_ in (None, entry.type):
                found.append(entry)
                if since is not None and len(found) == limit:
                    cursor = entry.position
                    break
        if since is not None and len(found) == limit:
            break
    shown = found if since is not None else found[-limit:][::-1]
    return {
        "events": [_event(entry) for entry in shown],
        "cursor": str(cursor),
        "floor": str(whole.start),
        "head": str(whole.head),
    }


async def _pages(node: Node, since: Since, newest: int | None = None) -> AsyncIterator[Page]:
    """Pages from a place on to the head, `LOOK_ENTRIES` in all at most."""
    page = await node.log.read(since, newest=newest)
    looked = 0
    while True:
        yield page
        looked += len(page.entries)
        if not page.more or looked >= LOOK_ENTRIES:
            return
        page = await node.log.read(Cursor(page.end))


def _event(entry: Entry) -> dict[str, Any]:
    target = entry.target
    named = {"userIds": target.users, "roles": target.roles, "topics": target.topics}
    targets = {name: sorted(names) for name, names in named.items()}
    return {**json.loads(entry_json(entry)), "targets": targets}


async def explain(node: Node, event_id: str, user: str) -> dict[str, Any]:
    """Why a user got an event, or did not.

    Raises:
        InvalidCursor: that is no id of an event.
        LogAway: the log cannot be read.
    """
    subject = await _subject(node, Position.parse(event_id))
    answers = await node.keeper.inquiries.ask_all("memory", user=user)
    memories = [memory_of(user, one) for one in answers.told.values()]
    # Of those who did not answer nothing is known; nor of those who went, up to then.
    memories += [Memory(node.keeper.clock.now() + 1, (), ()) for _ in answers.missing]
    if node.keeper.presence.parted_at:
        memories.append(Memory(node.keeper.presence.parted_at, (), ()))
    verdict, reason, delivered, evidence = explaining.explain(subject, user, memories)
    return {
        "event": event_id,
        "user": user,
        "verdict": verdict,
        "delivered": delivered,
        "reason": reason,
        "evidence": evidence,
        "nodes": answers.nodes,
        "missing": answers.missing,
    }


async def _subject(node: Node, position: Position) -> Subject:
    if (afloat := node.hub.afloat(position)) is not None:
        # It waits for the log, which may be away.
        return Subject(position, afloat, node.hub.position, node.hub.position)
    whole = await node.log.read(Edge.EARLIEST, limit=0)
    return Subject(position, await _find(node, position), whole.start, whole.head)


async def _find(node: Node, position: Position) -> Entry | None:
    event_id = str(position)
    async for page in _pages(node, position.ms):
        for entry in page.entries:
            if entry.id == event_id:
                return entry
            if entry.position.epoch == position.epoch and entry.position.offset >= position.offset:
                return None
    return None
