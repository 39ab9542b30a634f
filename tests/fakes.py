"""Stand-ins for what tests must own: time, a peer who may not read, a journal to look into."""

from collections.abc import Callable

from tidewire.core.frame import NAMED, Control, Encoding
from tidewire.core.hub import Hub
from tidewire.core.log import Entry
from tidewire.core.reader import HIGH_WATER, Reader


class FakeClock:
    """Both times, moved by hand."""

    def __init__(self, now: int = 1_764_000_000_000) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1000)
        self._monotonic += seconds

    def jump(self, ms: int) -> None:
        """Moves only the wall clock, as an operator or NTP would."""
        self._now += ms


class FakeSink:
    """A sink whose peer takes bytes only when the test says so.

    ``taken`` is what the peer has read; what is written beyond that waits, and counts against
    the high water.
    """

    def __init__(self, encoding: Encoding = NAMED, *, reading: bool = True) -> None:
        self.encoding = encoding
        self.on_room: Callable[[], None] | None = None
        self.reading = reading
        self.taken = b""
        self.waiting = b""
        self.closed = False
        self.was_aborted = False
        self.blocked: float | None = None

    def offer(self, data: bytes) -> bool:
        if not self.room():
            return False
        self.write(data)
        return True

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to after it was closed"
        if self.reading:
            self.taken += data
        else:
            self.waiting += data

    def room(self) -> bool:
        return len(self.waiting) < HIGH_WATER

    def blocked_since(self) -> float | None:
        return self.blocked

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.was_aborted = True

    def stop_reading(self) -> None:
        self.reading = False

    def read_on(self) -> None:
        """The peer takes all that waits, and reads from now on."""
        was_full = not self.room()
        self.reading = True
        self.taken += self.waiting
        self.waiting = b""
        if was_full and self.on_room is not None:
            self.on_room()


def live_readers(hub: Hub) -> list[Reader]:
    """Who has all that the hub has heard."""
    return [reader for cohort in hub._cohorts for reader in cohort.index]


class FakeJournal:
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        self.notes.append(what)


class CountingEncoding:
    """Counts how often it encodes."""

    def __init__(self) -> None:
        self.calls = 0

    def entry(self, entry: Entry, cursor: str) -> bytes:
        self.calls += 1
        return NAMED.entry(entry, cursor)

    def control(self, control: Control) -> bytes:
        raise AssertionError
