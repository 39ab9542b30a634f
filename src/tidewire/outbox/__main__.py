"""``python -m tidewire.outbox``: a relay as a process of its own."""

import asyncio
import logging
import signal
import sys
from typing import Annotated

import typer
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from tidewire.client import Publisher
from tidewire.core.errors import ConfigurationError
from tidewire.outbox import Outbox, Relay
from tidewire.outbox.table import NAME


def relay(
    database: Annotated[
        str, typer.Option(help="Where the table is: postgresql+asyncpg://…, sqlite+aiosqlite:///…")
    ],
    url: Annotated[
        str,
        typer.Option(
            help="Where to publish: a server, or the log in Redis.", envvar="TIDEWIRE_URL"
        ),
    ] = "http://127.0.0.1:8000",
    token: Annotated[
        str | None,
        typer.Option(help="A token that permits to publish.", envvar="TIDEWIRE_TOKEN"),
    ] = None,
    table: Annotated[str, typer.Option(help="The table.")] = NAME,
    schema: Annotated[str | None, typer.Option(help="Its schema.")] = None,
) -> None:
    """Publish what stands in an outbox, until it is told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        outbox = Outbox(MetaData(), name=table, schema=schema)
        with Publisher(url, token=token) as publisher:
            asyncio.run(_until_told(database, publisher, outbox))
    except ConfigurationError as error:
        typer.echo(error.detail, err=True)
        sys.exit(2)


async def _until_told(database: str, publisher: Publisher, outbox: Outbox) -> None:
    engine = create_async_engine(database, pool_size=2)
    running = asyncio.create_task(Relay(engine, publisher, outbox=outbox).run())
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass
    finally:
        await engine.dispose()


if __name__ == "__main__":
    typer.run(relay)
