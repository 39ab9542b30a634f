"""How late an event is, at an easy pace: from the publishing request to the read of each stream.

broadcast   10 events a second to 1,000 streams, beside the peers
targeted    100 events a second, each for one user, among few streams and among many; the ratio is
            of many to few on the same server

  .venv/bin/python -m bench.latency --pairs 9
"""

from bench.load import loading
from bench.servers import FLOOR, Kind, nchan, sse_starlette, starlette, tidewire
from bench.suite import chosen, command, rounds, told
from bench.table import Row, Target, arguments, measured


def main() -> None:
    parser = arguments(__doc__, pairs=9)
    parser.add_argument("--subscribers", type=int, default=1_000, help="of the broadcast")
    parser.add_argument("--rate", type=float, default=10, help="broadcast events a second")
    parser.add_argument("--seconds", type=float, default=10, help="of each run")
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--targeted-rate", type=float, default=100, help="targeted events a second")
    parser.add_argument("--peers", default="", help="only these, divided by commas")
    options = parser.parse_args()
    kinds = chosen([tidewire(), nchan(), sse_starlette(), starlette(), FLOOR], options.peers)
    targeting = [tidewire(), *(nchan(apart=True) for kind in kinds if kind.name == "nchan")]
    few, many = (f"among {count:,}" for count in (options.few, options.many))
    with measured("latency", options, told(kinds)) as table:
        middle = table.row("broadcast, p50", "ms")
        late = table.row("broadcast, p99", "ms", Target(1.1, at_most=True, against="nchan"))
        busy = table.row("broadcast: the load tool's CPU", "% of its core", compared=False)
        targeted: dict[str, tuple[Row, Row]] = {}
        for kind in targeting:
            bound = Target(1.5, at_most=True, against=few)
            targets = (bound,) if kind is targeting[0] else ()
            targeted[kind.name] = (
                table.row(f"{kind.name}: targeted, p50", "ms", subject=many),
                table.row(f"{kind.name}: targeted, p99", "ms", *targets, subject=many),
            )

        def broadcast(kind: Kind) -> None:
            with kind.start() as server, loading(server, options.subscribers) as load:
                load.open(0, options.subscribers)
                load.run(events=5, rate=options.rate)
                run = load.run(events=int(options.seconds * options.rate), rate=options.rate)
            middle.add(kind.name, run.late.p50)
            late.add(kind.name, run.late.p99)
            busy.add(kind.name, run.load_share)

        def to_one(kind: Kind) -> None:
            events = int(options.seconds * options.targeted_rate)
            with kind.start() as server, loading(server, options.many, to_one=True) as load:
                for first, end, name in ((0, options.few, few), (options.few, options.many, many)):
                    load.open(first, end, within=120)
                    load.run(hold=1)
                    run = load.run(events=events, rate=options.targeted_rate, depth=64)
                    for row, value in zip(
                        targeted[kind.name], (run.late.p50, run.late.p99), strict=True
                    ):
                        row.add(name, value)

        def measure(kind: Kind) -> None:
            broadcast(kind)
            for each in targeting:
                if each.name == kind.name:
                    to_one(each)

        rounds(options.pairs, kinds, measure)


if __name__ == "__main__":
    command(main)
