"""`tidewire tail`: a stream, line by line."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import httpx
from rich.markup import escape

from tidewire.client.stream import Message, follow
from tidewire.serve.console import err, out

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
    """Prints events until the server sends the client away, or the user."""
    params = {"clientType": "tidewire-tail"}
    if types is not None:
        params["types"] = types
    if topics:
        params["topics"] = ",".join(topics)
    show = _show_json if as_json else _show

    async def run() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as http:
            messages = follow(http, params=params, since=since, on_wait=_tell_wait)
            async with contextlib.aclosing(messages):
                async for message in messages:
                    show(message)

    asyncio.run(run())


def _tell_wait(reason: str, seconds: float) -> None:
    err.print(f"[yellow]{escape(reason)}; connecting again in {seconds:.1f} s[/]")


def _show_json(message: Message) -> None:
    if "id" in message.envelope or message.event == "gap":
        sys.stdout.write(json.dumps(message.envelope, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _show(message: Message) -> None:
    envelope = message.envelope
    data = json.dumps(envelope["data"], ensure_ascii=False)
    moment = datetime.fromtimestamp(envelope["timestamp"] / 1000, UTC).astimezone()
    clock = f"[dim]{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}[/]"
    if "id" in envelope:
        colour = _COLOURS[envelope["priority"]]
        out.print(f"{clock} [{colour}]{escape(envelope['type'])}[/] {escape(data)}")
    elif message.event == "gap":
        out.print(f"{clock} [bold red]gap[/] {escape(data)}")
    elif message.event != "ping":
        out.print(f"{clock} [dim]{escape(message.event)} {escape(data)}[/]")
