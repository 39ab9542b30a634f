from collections.abc import AsyncIterator

import pytest

from tests.http.server import Live, live, make_tidewire


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    """A development server that is served on a free port."""
    async with live(make_tidewire()) as running:
        yield running
