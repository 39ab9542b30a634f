"""Every test runs on SQLite and on PostgreSQL by both drivers, unless it says otherwise."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.outbox.databases import KINDS, Database, sqlite, within
from tests.outbox.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            made = sqlite(tmp_path)
        else:
            server: Postgres = request.getfixturevalue("cluster")
            name = f"shop_{secrets.token_hex(6)}"
            made = stack.enter_context(within(server, name, request.param))
        try:
            yield made
        finally:
            await made.close()
