from collections.abc import AsyncIterator

import pytest

from tests.fakes import FakeClock
from tests.http.server import Live, live, make_tidewire


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    """A development server that is served on a free port."""
    async with live(make_tidewire()) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def timed(clock: FakeClock) -> AsyncIterator[Live]:
    """As `server`, with a clock that the test moves; pings are rare."""
    async with live(make_tidewire(clock=clock, ping_interval=1000)) as running:
        yield running
