"""How fast events are taken over HTTP, and what each costs the server.

One publisher and 32 at once, each with a connection of its own that waits for each answer; single
events, and batches of 100 where a server takes them. One stream reads all of them, and must get
each once.

    .venv/bin/python -m bench.publish --pairs 5
"""

from typing import Final

from bench.load import loading
from bench.servers import Kind, nchan, sse_starlette, starlette, tidewire
from bench.suite import chosen, command, rounds, told
from bench.table import arguments, measured

BATCH: Final = 100
RATES: Final = "publish=100000/second"
"""All publishers are one user here, who by default might publish 100 times a second."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--publishers", type=int, default=32)
    parser.add_argument("--events", type=int, default=4_000, help="single events of each run")
    parser.add_argument("--batched", type=int, default=50_000, help="events in batches")
    parser.add_argument("--peers", default="", help="only these, divided by commas")
    options = parser.parse_args()
    kinds = chosen(
        [tidewire(TIDEWIRE_RATE_LIMITS=RATES), nchan(), sse_starlette(), starlette()],
        options.peers,
    )
    cases = [
        (f"{name}, {what}", connections, batch, events)
        for what, batch, events in (
            ("single events", 1, options.events),
            (f"batches of {BATCH}", BATCH, options.batched),
        )
        for name, connections in (
            ("1 publisher", 1),
            (f"{options.publishers} publishers", options.publishers),
        )
    ]
    with measured("publish", options, told(kinds)) as table:
        rates = {name: table.row(name, "events/s") for name, *_ in cases}
        costs = {name: table.row(f"{name}: the server's CPU", "µs per event") for name, *_ in cases}
        busy = table.row("the most of the load tool's CPU", "% of its core", compared=False)

        def measure(kind: Kind) -> None:
            share = 0.0
            with kind.start() as server, loading(server, 1) as load:
                load.open(0, 1)
                for name, connections, batch, events in cases:
                    if batch > 1 and not kind.batches:
                        continue
                    load.run(events=10 * batch, batch=batch, connections=connections)
                    run = load.run(events=events, batch=batch, connections=connections)
                    rates[name].add(kind.name, run.sent / run.answer_seconds)
                    costs[name].add(kind.name, 1e6 * run.server_cpu / run.sent)
                    share = max(share, run.load_share)
            busy.add(kind.name, share)

        rounds(options.pairs, kinds, measure)


if __name__ == "__main__":
    command(main)
