"""`tidewire publish`: one event, or lines of them; prints the ids."""

import sys
from typing import Any

import httpx
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from tidewire.core.errors import InvalidParameter
from tidewire.core.target import Target
from tidewire.serve import publishing
from tidewire.serve.console import err
from tidewire.serve.errors import Unreachable


def publish(
    type_: str,
    data: str | None,
    *,
    target: Target,
    priority: str,
    source: str,
    url: str,
    token: str,
) -> None:
    """Publishes what stands on the command line, or comes by standard input.

    Raises:
        Refused: the server does not take it.
        Unreachable: there is no server.
    """
    metadata = target.to_metadata()
    common = {"priority": priority, "source": source, "metadata": metadata}
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
            if "-" not in (type_, data):
                payload = None if data is None else publishing.parse_json(data, "DATA")
                event = {"type": type_, "data": payload, **common}
                _print_ids(publishing.publish(http, [event], on_retry=_tell_retry))
                return
            if type_ == "-" and (metadata or data is not None):
                raise InvalidParameter(
                    "With '-' as TYPE each line is a whole event, with its own targets in "
                    "'metadata'."
                )
            _publish_lines(http, None if type_ == "-" else {"type": type_, **common})
    except httpx.TransportError as error:
        raise Unreachable(str(error)) from error


def _publish_lines(http: httpx.Client, common: dict[str, Any] | None) -> None:
    count = number = 0
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("waiting for lines")
        for group in publishing.lines(sys.stdin.fileno()):
            events = []
            for line in group:
                number += 1
                value = publishing.parse_json(line, f"Line {number}")
                events.append(value if common is None else {**common, "data": value})
            for batch in publishing.batches(events):
                _print_ids(publishing.publish(http, batch, on_retry=_tell_retry))
                count += len(batch)
                progress.update(task, description=f"{count:,} published")
    err.print(f"{count:,} published")


def _print_ids(ids: list[str]) -> None:
    sys.stdout.write("".join(f"{id_}\n" for id_ in ids))
    sys.stdout.flush()


def _tell_retry(reason: str, seconds: float) -> None:
    err.print(f"[yellow]{escape(reason)}; trying again in {seconds:.1f} s[/]")
