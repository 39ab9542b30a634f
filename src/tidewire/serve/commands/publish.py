"""`tidewire publish`: one event, or lines of them; prints the ids."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from tidewire.client.errors import Refused, Unreachable
from tidewire.client.publisher import DEADLINE_SECONDS, Publisher, batches
from tidewire.core.errors import InvalidParameter, LogAway, RequestError, TidewireError
from tidewire.core.event import Event, Priority
from tidewire.core.target import Target
from tidewire.serve.console import err
from tidewire.serve.endpoint import streams_at
from tidewire.serve.jsonlines import lines, parse_json


def publish(
    type_: str,
    data: str | None,
    *,
    target: Target,
    priority: str,
    source: str,
    url: str,
    token: str,
    deadline: float = DEADLINE_SECONDS,
) -> None:
    """Publishes what stands on the command line, or comes by standard input.

    Args:
        type_: the type; ``-``: whole events come by standard input.
        data: the payload, JSON; ``-``: they come by standard input.
        target: for whom.
        priority: of all that is no whole event.
        source: of the same.
        url: of the server, with the path where Tidewire is mounted; or of its streams.
        token: with the permission ``publish``.
        deadline: seconds in which a publish is tried again. More than one answer may take, or a
            slow server is never asked what became of it.

    Raises:
        RequestError: what is to be published is not valid.
        Refused: the server does not take it, or is not Tidewire.
        Unreachable: there is no server; the error says whether it may have been published.
    """

    def event(payload: Any) -> Event:
        return Event(type_, payload, cast(Priority, priority), source, target=target)

    with Publisher(
        streams_at(url), token=token, deadline=deadline, on_retry=_tell_retry
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
    # The interpreter's type for it does not say so.
    given: TextIO | None = sys.stdin
    if given is None:
        raise InvalidParameter("Standard input is closed, and '-' reads from there.")
    count = 0
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("waiting for lines")
        for group in lines(given.fileno()):
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
    from tidewire.http.bodies import parse_event

    return parse_event(value)


def _publish(publisher: Publisher, events: Sequence[Event]) -> None:
    """Publishes what goes together, and prints the ids."""
    try:
        ids = publisher.publish(events)
    except TidewireError as error:
        if isinstance(error, Unreachable | LogAway) and error.in_doubt:
            error.detail = f"{error.detail.rstrip('.')}. It may have been published all the same."
        if isinstance(error, Unreachable | Refused):
            raise
        raise Refused(error.problem(), error.status) from error
    sys.stdout.write("".join(f"{id_}\n" for id_ in ids))
    sys.stdout.flush()


def _tell_retry(error: TidewireError, seconds: float) -> None:
    err.print(f"[yellow]{escape(error.detail)}; trying again in {seconds:.1f} s[/]")
