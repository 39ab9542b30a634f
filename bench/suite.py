"""What the benches of the server have in common: their turns, and how they end."""

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TypeVar

from bench.load import LoadError, Run
from bench.servers import Kind
from bench.table import Row, note, pair_ended

_T = TypeVar("_T")


def rounds(pairs: int, things: Sequence[_T], measure: Callable[[_T], None]) -> None:
    """Measures all of them in turn, as often as there are pairs; each time another begins."""
    for number in range(pairs):
        first = number % len(things)
        for thing in (*things[first:], *things[:first]):
            name = getattr(thing, "name", thing)
            note(f"pair {number + 1} of {pairs}: {name}")
            measure(thing)
        pair_ended(number)


def chosen(kinds: Sequence[Kind], names: str) -> list[Kind]:
    """The first, and of the others those that are named; all, if none is."""
    if not names:
        return list(kinds)
    wanted = {name.strip() for name in names.split(",")}
    unknown = wanted - {kind.name for kind in kinds}
    if unknown:
        raise SystemExit(f"no such peers here: {', '.join(unknown)}")
    return [kinds[0], *(kind for kind in kinds[1:] if kind.name in wanted)]


def told(kinds: Sequence[Kind]) -> list[str]:
    """How each server is configured."""
    return [f"{kind.name}: {kind.about}" for kind in kinds]


def busy(row: Row, series: str, run: Run) -> None:
    """Notes how much of its core the load tool took."""
    row.add(series, run.load_share)


def command(main: Callable[[], None]) -> None:
    """Runs a bench. What it has started is ended with it, also where it is interrupted."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except LoadError as error:
        sys.exit(f"The bench has failed: {error}.")
