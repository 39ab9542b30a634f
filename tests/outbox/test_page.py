"""What docs/outbox.md shows is run as it stands there."""

import asyncio
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.http.server import client
from tests.outbox.databases import Database
from tests.serve.processes import COMMAND, clean_environment, running, url_in
from tests.serve.streams import open_stream

PAGE = (Path(__file__).parents[2] / "docs" / "outbox.md").read_text()


def block(language: str, number: int = 0) -> str:
    return str(re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)[number])


@pytest.mark.parametrize("database", ["sqlite", "asyncpg"], indirect=True)
async def test_the_shop_of_the_page_tells_of_what_it_has_saved(
    database: Database, tmp_path: Path
) -> None:
    # It makes them itself.
    database.metadata.drop_all(database.engine)
    (tmp_path / "shop.py").write_text(block("python"))
    env = clean_environment(tmp_path, DATABASE_URL=database.async_url)
    command = [COMMAND, "serve", "shop:app", "--port", "0"]
    with running(command, tmp_path, env, cwd=tmp_path) as server:
        url = await asyncio.to_thread(url_in, server)
        async with open_stream(url, "/api/sse?userId=alice") as stream, client(url) as http:
            await stream.until(b"event: connected")
            answer = await http.post("/orders?customer=alice")
            assert answer.status_code == 200, server.output
            await stream.until(b'"title":"Thank you"')
        await asyncio.to_thread(server.stop)
    assert "Traceback" not in server.output


def test_its_statements_are_sql(database: Database) -> None:
    insert, examine = block("sql"), block("sql", 1)
    with database.engine.begin() as connection:
        # A colon is a parameter to SQLAlchemy, and none here.
        connection.exec_driver_sql(insert.strip().rstrip(";"))
        for statement in examine.strip().splitlines():
            connection.execute(text(statement.partition(";")[0]))
        connection.execute(text(inline("SELECT count(*), min")))
    assert database.waiting() == 1


def inline(begin: str) -> str:
    found = re.search(rf"`({re.escape(begin)}[^`]*)`", PAGE)
    assert found is not None
    return found[1]
