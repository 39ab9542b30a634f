"""How long a client that comes back waits for what it missed, from a small and a large log.

Two servers, each with its log in memory, are filled over HTTP. Then one client after the other,
each a user of its own, opens a stream with a cursor 100 events before the head; the time is from
its request until it has read the 100th event. A figure is the median of all clients of a turn.

    .venv/bin/python -m bench.replay --pairs 5
"""

import http.client
import json
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from bench.load import Load, loading
from bench.servers import Server, tidewire
from bench.suite import command, told
from bench.table import Target, arguments, measured, note, pair_ended

MISSED: Final = 100
BATCH: Final = 1_000
FILL_SECONDS: Final = 300


def fill(server: Server, events: int) -> str:
    """Fills a log; returns the cursor that lies `MISSED` events before its head."""
    with loading(server, 1) as load:
        load.run(events=events - MISSED, batch=BATCH, depth=2, within=FILL_SECONDS)
        cursor = head(server)
        load.run(events=MISSED, batch=MISSED)
    return cursor


def head(server: Server) -> str:
    """The cursor at the head of the log."""
    # Any user may ask; a user's token stands in the head of its stream.
    fields = dict(line.split(": ", 1) for line in server.wire.stream(0).split("\r\n")[1:] if line)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/api/realtime/cursor", headers=fields)
    told = json.loads(connection.getresponse().read())
    connection.close()
    return str(told["cursor"])


def at(server: Server, cursor: str) -> Server:
    """The same server, whose streams begin after a cursor."""
    stream = server.wire.stream

    def resumed(number: int) -> str:
        return stream(number).removesuffix("\r\n") + f"Last-Event-ID: {cursor}\r\n\r\n"

    return replace(server, wire=replace(server.wire, stream=resumed))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--small", type=int, default=10_000, help="events in one log")
    parser.add_argument("--large", type=int, default=1_000_000, help="events in the other")
    parser.add_argument("--clients", type=int, default=500, help="of each turn")
    options = parser.parse_args()
    kind = tidewire(
        TIDEWIRE_RETENTION_EVENTS=str(2 * options.large),
        TIDEWIRE_RETENTION_BYTES=str(1 << 33),
        TIDEWIRE_RETENTION_SECONDS="86400",
    )
    sizes = {f"of {count:,}": count for count in (options.large, options.small)}
    large, small = sizes
    with measured("replay", options, told([kind])) as table, ExitStack() as stack:
        bound = Target(1.5, at_most=True, against=small)
        middle = table.row("100 events from a log, p50", "ms", bound, subject=large)
        late = table.row("100 events from a log, p99", "ms", subject=large)
        loads: dict[str, Load] = {}
        for name, count in sizes.items():
            note(f"filling a log {name} events")
            server = stack.enter_context(kind.start())
            server = at(server, fill(server, count))
            loads[name] = stack.enter_context(loading(server, options.clients * options.pairs))
        for number in range(options.pairs):
            for name in (small, large) if number % 2 else (large, small):
                first = number * options.clients
                run = loads[name].open(
                    first,
                    first + options.clients,
                    concurrency=1,
                    ready_after=MISSED,
                    leave=True,
                )
                middle.add(name, run.opens.p50)
                late.add(name, run.opens.p99)
            pair_ended(number)


if __name__ == "__main__":
    command(main)
