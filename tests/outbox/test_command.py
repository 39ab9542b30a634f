"""A relay as a process of its own: `python -m tidewire.outbox`."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tests.http.server import live, make_tidewire
from tests.outbox.databases import Database
from tests.outbox.test_crashes import publisher_token, told
from tests.serve.processes import clean_environment, running
from tidewire import Event

COMMAND = [sys.executable, "-m", "tidewire.outbox", "--database"]


@pytest.mark.parametrize("database", ["sqlite", "asyncpg"], indirect=True)
async def test_it_relays_to_a_server_until_it_is_told_to_stop(
    database: Database, tmp_path: Path
) -> None:
    async with live(make_tidewire(rate_limits="off")) as server:
        env = clean_environment(tmp_path, TIDEWIRE_URL=server.url, TIDEWIRE_TOKEN=publisher_token())
        with running([*COMMAND, database.async_url], tmp_path, env) as process:
            for number in range(3):
                with Session(database.engine) as session, session.begin():
                    database.outbox.add(session, Event("number", number))
                await database.emptied()
            await asyncio.to_thread(process.stop)
        assert await told(server) == [0, 1, 2]
    assert process.popen.returncode == 0, process.output
    assert process.output == ""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_wrong_is_said_in_a_line(database: Database, tmp_path: Path) -> None:
    database.metadata.drop_all(database.engine)
    with running([*COMMAND, database.async_url], tmp_path, clean_environment(tmp_path)) as process:
        assert process.popen.wait(20) == 2
    assert process.output.startswith("The database has no table tidewire_outbox.")
    assert process.output.count("\n") == 1
