"""`tidewire publish`: one event, or lines of them; prints the ids."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from tidewire.client.errors import Refused, Unreachable
from tidewire.client.publisher import Publisher, batches
from tidewire.core.errors import InvalidParameter, RequestError, TidewireError
from tidewire.core.event import Event, Priority
from tidewire.core.target import Target
from tidewire.serve.console import err
from tidewire.serve.jsonlines import lines, parse_json

DEADLINE_SECONDS: Final = 10.0
"""How long a publish is tried again: somebody waits for it, and a restart takes a moment."""


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
        RequestError: what is to be published is not valid.
        Refused: the server does not take it.
        Unreachable: there is no server.
    """

    def event(payload: Any) -> Event:
        return Event(type_, payload, cast(Priority, priority), source, target=target)

    address = f"{url.rstrip('/')}/api/sse"
    with Publisher(
        address, token=token, deadline=DEADLINE_SECONDS, on_retry=_tell_retry
    ) as publisher:
        if type_ == "-":
            if data is not None or not target.everyone:
                raise InvalidParameter(
                    "With '-' as TYPE each line is a whole event, with its own targets in "
                    "'metadata'."
                )
            _publish_lines(publisher, _whole)
        elif data == "-":
            _publish_lines(publisher, event)
        else:
            _publish(publisher, [event(None if data is None else parse_json(data, "DATA"))])


def _publish_lines(publisher: Publisher, made: Callable[[Any], Event]) -> None:
    count = 0
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("waiting for lines")
        for group in lines(sys.stdin.fileno()):
            events = []
            for number, line in group:
                value = parse_json(line, f"Line {number}")
                try:
                    events.append(made(value))
                except RequestError as error:
                    error.detail = f"Line {number}: {error.detail}"
                    raise
            for batch in batches(events):
                _publish(publisher, batch)
                count += len(batch)
                progress.update(task, description=f"{count:,} published")
    err.print(f"{count:,} published")


def _whole(value: Any) -> Event:
    """An event as publishers write it."""
    # Of all that this command does only this takes what reads bodies at the server.
    from tidewire.http.bodies import parse_events

    [event] = parse_events(json.dumps({"events": [value]}).encode())
    return event


def _publish(publisher: Publisher, events: Sequence[Event]) -> None:
    """Publishes what goes together, and prints the ids."""
    try:
        ids = publisher.publish(events)
    except Unreachable:
        raise
    except TidewireError as error:
        raise Refused(error.problem(), error.status) from error
    sys.stdout.write("".join(f"{id_}\n" for id_ in ids))
    sys.stdout.flush()


def _tell_retry(error: TidewireError, seconds: float) -> None:
    err.print(f"[yellow]{escape(error.detail)}; trying again in {seconds:.1f} s[/]")
