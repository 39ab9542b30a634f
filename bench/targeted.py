"""What an event for one user costs the server, among few streams and among many.

Events are published as fast as they go, each for one user who is drawn by chance, and must reach
that user and nobody else. The CPU time is the server's, user and system time, over the events; the
ratio is of many to few on the same server.

    .venv/bin/python -m bench.targeted --pairs 5
"""

from bench.load import loading
from bench.servers import Kind, nchan, sse_starlette, starlette, tidewire
from bench.suite import chosen, command, rounds, told
from bench.table import Target, arguments, measured


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=2_500, help="of each run")
    parser.add_argument("--peers", default="", help="only these, divided by commas")
    options = parser.parse_args()
    kinds = chosen(
        [
            tidewire(),
            nchan(apart=True),
            sse_starlette(apart=True),
            starlette(apart=True),
        ],
        options.peers,
    )
    few, many = (f"one of {count:,}" for count in (options.few, options.many))
    with measured("targeted", options, told(kinds)) as table:
        cost, rate = (
            {
                kind.name: table.row(
                    f"{kind.name}: {name}",
                    unit,
                    *((target,) if target and kind is kinds[0] else ()),
                    subject=many,
                )
                for kind in kinds
            }
            for name, unit, target in (
                ("CPU for each event", "µs", Target(1.2, at_most=True, against=few)),
                ("one publisher", "events/s", None),
            )
        )

        def measure(kind: Kind) -> None:
            with kind.start() as server, loading(server, options.many, to_one=True) as load:
                for first, end, name in ((0, options.few, few), (options.few, options.many, many)):
                    load.open(first, end, within=120)
                    load.run(hold=1)
                    load.run(events=50)
                    run = load.run(events=options.events, depth=8)
                    cost[kind.name].add(name, 1e6 * run.server_cpu / run.deliveries)
                    rate[kind.name].add(name, run.deliveries / run.delivery_seconds)

        rounds(options.pairs, kinds, measure)


if __name__ == "__main__":
    command(main)
