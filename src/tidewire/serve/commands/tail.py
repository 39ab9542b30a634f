"""`tidewire tail`: events, line by line."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.markup import escape

from tidewire.client.client import Client
from tidewire.client.errors import Refused, SentAway
from tidewire.client.messages import Control, Envelope, Gap, Item
from tidewire.client.status import Status
from tidewire.core.errors import TidewireError
from tidewire.serve.console import err, out
from tidewire.serve.endpoint import streams_at

_COLOURS: Final = {"low": "dim", "normal": "cyan", "high": "yellow", "critical": "bold red"}


def tail(
    *,
    url: str,
    token: str,
    topics: Sequence[str],
    since: str | None,
    types: str | None,
    as_json: bool,
) -> None:
    """Prints events until the server sends the client away, or the user.

    Raises:
        Refused: the server does not let it.
    """
    show = _show_json if as_json else _show

    async def run() -> None:
        client = Client(
            streams_at(url),
            token=token,
            types=None if types is None else [types],
            topics=topics or None,
            since="latest" if since is None else since,
            client_type="tidewire-tail",
            on_status=_tell_wait,
        )
        async with client:
            async for item in client.items():
                show(item)

    try:
        asyncio.run(run())
    except SentAway:
        return
    except TidewireError as error:
        raise Refused(error.problem(), error.status) from error


def _tell_wait(status: Status) -> None:
    if status.retry_in is None:
        return
    reason = status.reason if status.error is None else status.error.detail
    err.print(
        f"[yellow]{escape(reason or '')}; connecting again in {status.retry_in / 1000:.1f} s[/]"
    )


def _show_json(item: Item) -> None:
    if isinstance(item, Envelope | Gap):
        sys.stdout.write(json.dumps(_raw(item), ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _show(item: Item) -> None:
    envelope = _raw(item)
    data = escape(json.dumps(envelope["data"], ensure_ascii=False))
    at = envelope.get("timestamp")
    moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at / 1000, UTC)
    clock = f"[dim]{moment.astimezone():%H:%M:%S}.{moment.microsecond // 1000:03d}[/]"
    match item:
        case Envelope():
            colour = _COLOURS.get(item.priority, "cyan")
            out.print(f"{clock} [{colour}]{escape(item.type)}[/] {data}")
        case Gap():
            out.print(f"{clock} [bold red]gap[/] {data}")
        case Control() if item.raw:
            out.print(f"{clock} [dim]{escape(item.type)} {data}[/]")


def _raw(item: Item) -> Mapping[str, Any]:
    """What came for it, as JSON."""
    if item.raw or isinstance(item, Envelope):
        return item.raw
    if isinstance(item, Control):
        return {"type": item.type, "data": item.data}
    data = {"from": item.from_, "to": item.to, "reason": item.reason}
    return {"type": "gap", "data": data}
