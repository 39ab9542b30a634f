"""Which worker to start, to drain or to kill, and when: decided without a process or a clock."""

import enum
import itertools
import math
import signal
from dataclasses import dataclass
from typing import Final

STALLED_SECONDS: Final = 5.0
"""Who looks again only after so long was stopped, perhaps with its workers."""

TWICE_SECONDS: Final = 1.0
"""Terminals and wrappers send one request to stop several times; a later one is another."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what, in seconds."""

    start: float = 120
    """Until a worker that was started serves."""
    ping: float = 1
    """Between an answer and the next question."""
    silence: float = 30
    """For the answer of a worker that serves."""
    leave: float = 5
    """For the answer of one that drains; and for the end of one that did not serve yet."""
    steady: float = 10
    """Who ends sooner after it began to serve would end again soon."""
    backoff: float = 0.5
    """Before the first start after such an end; doubled for each that follows."""
    backoff_most: float = 30


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process under this number."""

    worker: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask it whether its event loop runs."""

    worker: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Let it send its clients away and end."""

    worker: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End it, whatever it does."""

    worker: int


@dataclass(frozen=True, slots=True)
class Announce:
    """Say that the server can be used."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Say what happened, to a worker if it is one that it happened to."""

    text: str
    worker: int | None = None
    is_warning: bool = False


Order = Start | Ping | Drain | Kill | Announce | Tell


class Phase(enum.Enum):
    """How far a worker has come."""

    STARTING = enum.auto()
    SERVING = enum.auto()
    LEAVING = enum.auto()


@dataclass(slots=True)
class _Worker:
    number: int
    started: float
    phase: Phase = Phase.STARTING
    served: float | None = None
    heard: float = 0
    asked: float | None = None
    left: float = 0
    killed: bool = False
    refusal: Exception | None = None


class Supervisor:
    """Keeps a number of workers serving.

    What happened is told to it; `decide` then says what to do about it, and about the time that
    has passed.

    Attributes:
        refusal: why no worker could start, if that is what ended it.
    """

    def __init__(self, count: int, patience: Patience | None = None) -> None:
        self.refusal: Exception | None = None
        self._count = count
        self._patience = patience or Patience()
        self._workers: dict[int, _Worker] = {}
        self._numbers = itertools.count(1)
        self._orders: list[Order] = []
        self._has_served = False
        self._refusals = 0
        self._failures = 0
        self._failed = -math.inf
        self._start_after = -math.inf
        self._is_restarting = False
        self._outgoing: list[int] = []
        self._successor: int | None = None
        self._stopped: float | None = None
        self._looked: float | None = None

    @property
    def finished(self) -> bool:
        """Whether it was stopped and the last worker has ended."""
        return self._stopped is not None and not self._workers

    # What happens

    def ready(self, number: int, now: float) -> None:
        """A worker serves."""
        worker = self._workers[number]
        if worker.phase is Phase.STARTING:
            worker.phase = Phase.SERVING
            worker.served = worker.heard = now
            self._orders.append(Tell("serves", number))
            if not self._has_served:
                self._has_served = True
                self._orders.append(Announce())

    def answered(self, number: int, now: float) -> None:
        """A worker has answered a ping."""
        worker = self._workers[number]
        worker.heard, worker.asked = now, None

    def refused(self, number: int, reason: Exception) -> None:
        """A worker cannot serve as it is configured; it is about to end."""
        self._workers[number].refusal = reason

    def ended(self, number: int, code: int, now: float) -> None:
        """A worker's process has ended, with a code as `subprocess` gives it."""
        worker = self._workers.pop(number)
        if worker.phase is Phase.LEAVING:
            return
        if worker.refusal is not None and not self._has_served:
            self._refuse(worker.refusal, now)
            return
        why = _why(code, worker.refusal)
        if number == self._successor:
            self._successor = None
            self._is_restarting = False
            text = f"could not start: {why}. The restart is given up, the others go on"
            self._orders.append(Tell(text, number, is_warning=True))
            return
        # One that is being started anyway takes the place.
        self._successor = None
        if worker.served is None or now - worker.served < self._patience.steady:
            self._back_off(now)
        wait = max(0.0, self._start_after - now)
        when = f"in {wait:.1f} s" if wait else "at once"
        text = f"has ended by itself: {why}. Another is started {when}"
        self._orders.append(Tell(text, number, is_warning=True))

    def restart(self, now: float) -> None:
        """Every worker shall be replaced, one after the other."""
        if self._stopped is None:
            self._is_restarting = True
            self._outgoing = [
                number
                for number, worker in self._workers.items()
                if worker.phase is not Phase.LEAVING
            ]
            # Perhaps what made workers end has been mended.
            self._failures, self._start_after = 0, now
            self._orders.append(Tell("every worker is replaced, one after the other"))

    def stop(self, now: float) -> None:
        """All shall drain and end; asked again, all shall end at once."""
        if self._stopped is None:
            self._stopped = now
            self._is_restarting = False
            for worker in self._workers.values():
                self._leave(worker, now)
        elif now - self._stopped >= TWICE_SECONDS:
            for worker in self._workers.values():
                self._kill(worker)

    # What to do

    def decide(self, now: float) -> list[Order]:
        """What to do now, in this order."""
        self._watch(now)
        if self._stopped is None:
            self._roll(now)
            self._fill(now)
        orders, self._orders = self._orders, []
        return orders

    def wait(self, now: float) -> float:
        """How long nothing is to be decided unless something happens."""
        waits = [self._patience.ping]
        if self._missing and self._stopped is None:
            waits.append(max(0.0, self._start_after - now))
        return min(waits)

    @property
    def _missing(self) -> int:
        staying = sum(worker.phase is not Phase.LEAVING for worker in self._workers.values())
        return self._count + (self._successor is not None) - staying

    def _watch(self, now: float) -> None:
        looked, self._looked = self._looked, now
        has_stalled = looked is not None and now - looked > self._patience.ping + STALLED_SECONDS
        for worker in self._workers.values():
            if has_stalled and worker.asked is not None:
                worker.asked = now
            if not worker.killed:
                self._watch_one(worker, now)

    def _watch_one(self, worker: _Worker, now: float) -> None:
        patience = self._patience
        if worker.served is None:
            is_leaving = worker.phase is Phase.LEAVING
            since, limit = (
                (worker.left, patience.leave) if is_leaving else (worker.started, patience.start)
            )
            if now - since >= limit:
                self._give_up(worker, f"does not serve after {limit:g} s")
        elif worker.asked is None:
            if now - worker.heard >= patience.ping:
                worker.asked = now
                self._orders.append(Ping(worker.number))
        else:
            limit = patience.leave if worker.phase is Phase.LEAVING else patience.silence
            if now - max(worker.asked, worker.left) >= limit:
                self._give_up(worker, f"does not answer for {limit:g} s")

    def _give_up(self, worker: _Worker, why: str) -> None:
        self._orders.append(Tell(f"{why}, and is killed", worker.number, is_warning=True))
        self._kill(worker)

    def _roll(self, now: float) -> None:
        if not self._is_restarting:
            return
        if self._successor is not None:
            if self._workers[self._successor].phase is Phase.SERVING:
                self._successor = None
                self._leave(self._workers[self._outgoing.pop(0)], now)
            return
        serving = [
            number for number, worker in self._workers.items() if worker.phase is Phase.SERVING
        ]
        if len(serving) < self._count or len(self._workers) > self._count:
            return
        # Those that ended by themselves were replaced already.
        self._outgoing = [number for number in self._outgoing if number in self._workers]
        if self._outgoing:
            self._successor = self._start(now)
        else:
            self._is_restarting = False
            self._orders.append(Tell("every worker was replaced"))

    def _fill(self, now: float) -> None:
        if now >= self._start_after:
            for _ in range(self._missing):
                self._start(now)

    def _start(self, now: float) -> int:
        number = next(self._numbers)
        self._workers[number] = _Worker(number, started=now)
        self._orders.append(Start(number))
        return number

    def _leave(self, worker: _Worker, now: float) -> None:
        if worker.phase is not Phase.LEAVING:
            worker.phase, worker.left = Phase.LEAVING, now
            self._orders.append(Drain(worker.number))

    def _kill(self, worker: _Worker) -> None:
        if not worker.killed:
            worker.killed = True
            self._orders.append(Kill(worker.number))

    def _refuse(self, reason: Exception, now: float) -> None:
        self._refusals += 1
        if self._refusals >= self._count:
            self.refusal = reason
            self.stop(now)
        else:
            self._back_off(now)

    def _back_off(self, now: float) -> None:
        if now < self._start_after:
            # Several that end together are one failure.
            return
        patience = self._patience
        if now - self._failed > 2 * patience.backoff_most:
            self._failures = 0
        doublings = min(self._failures, 16)
        self._failures += 1
        self._failed = now
        self._start_after = now + min(patience.backoff * 2**doublings, patience.backoff_most)


def _why(code: int, refusal: Exception | None) -> str:
    if refusal is not None:
        return str(refusal).rstrip(".")
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
