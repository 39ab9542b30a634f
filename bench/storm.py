"""A crowd that is cut off comes back at once, each with its own user, token and cursor.

Some live clients stay, and events pass all the time. First, for some seconds, all are there and it
is quiet; then the load tool closes the crowd's connections, all at once, and opens them again, each
with the id of the last event that it read. Every client, of the crowd or live, must get every event
once and in order, or the bench fails; the floor has no log, so there only the live ones must.
Who is live, and what is published, is the matter of a load tool of its own, which goes before the
one of the crowd on their core: what that one takes is not the server's time.

  connections/s    from the first connect until the last stream has its first block
  all caught up    until the last of the crowd has read all that it missed
  live, p99        from publishing to reading, for those who stayed: meanwhile against before

The rates are as configured by default: they are a user's, so a crowd of users passes. The peers in
Python have no log to come back to, and so no part in this. What limits the floor here is the load
tool, which has more to do for a connect than a server for an accept.

    .venv/bin/python -m bench.storm --pairs 5
"""

from typing import Any, Final

from bench.load import Run, loading
from bench.servers import FLOOR, Kind, nchan, tidewire
from bench.suite import chosen, command, rounds, told
from bench.table import Target, arguments, measured

MOST_SECONDS: Final = 120


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--clients", type=int, default=10_000, help="who come back")
    parser.add_argument("--live", type=int, default=1_000, help="who stay")
    parser.add_argument("--rate", type=float, default=10, help="events a second")
    parser.add_argument("--quiet", type=float, default=5, help="seconds before the storm")
    parser.add_argument("--concurrency", type=int, default=2_000, help="connects under way at once")
    parser.add_argument("--peers", default="", help="only these, divided by commas")
    options = parser.parse_args()
    kinds = chosen([tidewire(), FLOOR, nchan()], options.peers)
    count, live = options.clients + options.live, options.live
    with measured("storm", options, told(kinds)) as table:
        rate = table.row("come back", "connections/s", Target(0.5, against="floor"))
        before = table.row("opened at first, no events", "connections/s")
        caught = table.row("all caught up", "s", compared=False)
        times = {
            kind.name: table.row(
                f"{kind.name}: live, p99",
                "ms",
                *((Target(3, at_most=True, against="quiet"),) if kind.name == "Tidewire" else ()),
                subject="in the storm",
            )
            for kind in kinds
        }
        busy = table.row("the load tool's CPU in the storm", "% of its core", compared=False)

        def measure(kind: Kind) -> None:
            crowd = f"{live}-{count}"
            follows: dict[str, Any] = {"must": "none", "whole": False, "follow": kind.resumes}
            quiet: list[Run] = []
            storm: list[Run] = []
            beats: dict[str, Any] = {
                "events": MOST_SECONDS * 100,
                "rate": options.rate,
                "watch": f"0-{live}",
            }
            with (
                kind.start() as server,
                loading(server, live, first=True) as watch,
                loading(server, count) as load,
            ):
                watch.open(0, live, within=MOST_SECONDS)
                opened = load.open(
                    live, count, concurrency=options.concurrency, within=MOST_SECONDS
                )
                with watch.publishing(quiet, within=MOST_SECONDS, **beats):
                    load.run(**follows, hold=options.quiet, within=MOST_SECONDS)
                with watch.publishing(storm, within=MOST_SECONDS, **beats):
                    came = load.run(
                        **follows,
                        close=crowd,
                        open=crowd,
                        concurrency=options.concurrency,
                        within=MOST_SECONDS,
                    )
                if kind.resumes:
                    sent = quiet[0].sent + storm[0].sent
                    late = load.run(**follows, reach=sent, within=MOST_SECONDS)
                    caught.add(kind.name, came.wall + late.wall)
            before.add(kind.name, opened.opened / opened.open_seconds)
            rate.add(kind.name, came.opened / came.open_seconds)
            times[kind.name].add("in the storm", storm[0].late_watched.p99)
            times[kind.name].add("quiet", quiet[0].late_watched.p99)
            busy.add(kind.name, came.load_share)

        rounds(options.pairs, kinds, measure)


if __name__ == "__main__":
    command(main)
