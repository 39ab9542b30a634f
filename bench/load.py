"""The load tool, ``native/load.c``: many streams, a few publishers, one line for each run."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from bench.compiled import compiled
from bench.process import LOAD_CPU, cpu_seconds, running
from bench.servers import Server

EVENT_BYTES = 100
MARK_BYTES = 33


class LoadError(Exception):
    """The load tool could not go on: a server did not answer as it should."""


@dataclass(frozen=True)
class Times:
    """Milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Run:
    """What a run was: see the words of ``native/load.c``.

    Attributes:
        opens: from the request of a stream until it was ready.
        late: from publishing until an event was read, over all streams.
        late_watched: the same for those that were watched.
        answer_seconds: from the start until the last publishing request was answered.
        delivery_seconds: from the start until the last event was read.
        disordered: events that came after one that was published later.
        strangers: events for one stream that came to another.
        missed: events of somebody else that a stream that follows them has not seen.
        server_cpu: seconds that the server has spent meanwhile.
        writes: how often it has written meanwhile, as far as can be seen.
    """

    opens: Times
    late: Times
    late_watched: Times
    ended: bool
    wall: float
    cpu: float
    members: int
    opened: int
    open_seconds: float
    sent: int
    requests: int
    answer_seconds: float
    deliveries: int
    expected: int
    delivery_seconds: float
    watched_deliveries: int
    repeated: int
    disordered: int
    strangers: int
    missed: int
    cut: int
    reads: int
    bytes: int
    server_cpu: float
    writes: int

    @classmethod
    def of(cls, told: Mapping[str, Any], *, server_cpu: float, writes: int) -> "Run":
        times = {name: Times(**told[name]) for name in ("opens", "late", "late_watched")}
        return cls(**{**told, **times}, server_cpu=server_cpu, writes=writes)

    def check(self, *, whole: bool = True) -> "Run":
        """Itself; fails if a stream was cut, or an event lost, repeated or out of order."""
        wrong = {
            "events repeated": self.repeated,
            "events out of order": self.disordered,
            "events for somebody else": self.strangers,
            "streams cut": self.cut,
            "events missed": self.missed,
            "events lost": self.expected - self.deliveries if whole else 0,
        }
        told = ", ".join(f"{count} {what}" for what, count in wrong.items() if count)
        if told or not self.ended:
            raise LoadError(told or "the run took too long")
        return self

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.delivery_seconds

    @property
    def load_share(self) -> float:
        """Percent of its core that the load tool took."""
        return 100 * self.cpu / self.wall


class Load:
    """A load tool that runs. Streams stay open from run to run."""

    def __init__(self, process: Popen[str], server: Server, *, to_one: bool) -> None:
        self._process = process
        self._server = server
        self._always: dict[str, object] = {"to": "one" if to_one else "all"}

    def run(self, *, whole: bool = True, **words: object) -> Run:
        """Lets it do a run, and checks that every stream got what it should."""
        told, server_cpu, writes = self._ask(words)
        return Run.of(told, server_cpu=server_cpu, writes=writes).check(whole=whole)

    def open(self, first: int, end: int, **words: int) -> Run:
        """Opens streams; each of them was answered."""
        return self.run(whole=True, open=f"{first}-{end}", **words)

    @contextmanager
    def publishing(self, into: "list[Run]", **words: object) -> Iterator[None]:
        """Lets it publish as long as the context lasts; then there is one run more."""
        began = self._begin({**words, "until_told": True})
        yield
        # Whatever comes next tells it to stop; this is a run that is over at once.
        self._begin({"must": "none"})
        told, server_cpu, writes = self._finish(began)
        self._finish(began)
        into.append(Run.of(told, server_cpu=server_cpu, writes=writes).check())

    def _ask(self, words: Mapping[str, object]) -> tuple[Any, float, int]:
        return self._finish(self._begin(words))

    def _begin(self, words: Mapping[str, object]) -> tuple[float, int]:
        assert self._process.stdin is not None
        words = self._always | dict(words)
        line = " ".join(f"{name}={_word(value)}" for name, value in words.items())
        before = cpu_seconds(self._server.pid), self._server.writes()
        print(line, file=self._process.stdin, flush=True)
        return before

    def _finish(self, before: tuple[float, int]) -> tuple[Any, float, int]:
        assert self._process.stdout is not None
        cpu, writes = before
        answer = self._process.stdout.readline()
        if not answer:
            raise LoadError("the load tool has ended")
        told = json.loads(answer)
        if "error" in told:
            raise LoadError(f"{self._server.name}: {told['error']}")
        return told, cpu_seconds(self._server.pid) - cpu, self._server.writes() - writes


def _word(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


@contextmanager
def loading(
    server: Server, streams: int, *, to_one: bool = False, first: bool = False
) -> Iterator[Load]:
    """A load tool for this server on the other core, with as many streams, none of them open.

    With ``to_one`` what it publishes is for one stream each, else for all. With ``first`` it
    goes before another one on the same core, where the system allows that.
    """
    wire = server.wire
    padding = "x" * (EVENT_BYTES - MARK_BYTES)
    event = (wire.event_to if to_one else wire.event).replace("@DATA@", f"@MARK@{padding}")
    texts = (
        "".join(wire.stream(number) for number in range(streams)),
        wire.publish_to if to_one else wire.publish,
        event,
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in zip(("streams", "publish", "event"), texts, strict=True):
            path = Path(folder) / name
            path.write_bytes(text.encode())
            paths.append(str(path))
        command = [compiled("load"), str(server.port), *paths, *wire.batch]
        with running(command, environment=dict(os.environ), cpu=LOAD_CPU) as process:
            if first:
                with contextlib.suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, process.pid, -15)
            yield Load(process, server, to_one=to_one)
