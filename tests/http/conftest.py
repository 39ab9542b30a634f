from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.http.server import Live, live, make_tidewire


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    """A development server that is served on a free port."""
    async with live(make_tidewire()) as running:
        yield running


@pytest.fixture
async def timed(clock: FakeClock) -> AsyncIterator[Live]:
    """As `server`, with a clock that the test moves; pings are rare."""
    async with live(make_tidewire(clock=clock, ping_interval=1000)) as running:
        yield running


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes have been read since the test began, one for each time."""
    found: list[Path] = []
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        found.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    return found
