"""A process that appends to a Redis log or follows it, for tests with several of them."""

import asyncio
import json
import sys
from contextlib import aclosing

from tidewire.core.event import Event
from tidewire.core.position import Edge
from tidewire.logs import open_log
from tidewire.logs.fallback import FallbackLog


async def write(log: FallbackLog, name: str, count: int) -> None:
    """Appends so many events, three at a time, ten callers at once."""

    async def caller(numbers: range) -> None:
        for n in numbers:
            await log.append([Event("tick", {"by": name, "n": n, "part": part}) for part in "abc"])

    await asyncio.gather(*(caller(range(first, count, 10)) for first in range(10)))


async def listen(log: FallbackLog, count: int) -> None:
    """Prints what it hears, from the beginning on."""
    start = (await log.read(Edge.EARLIEST, limit=0)).start
    heard = 0
    print("listening", flush=True)  # noqa: T201 - for the test
    async with aclosing(log.follow(start)) as pages:
        async for page in pages:
            assert page.gap is None
            for entry in page.entries:
                print(entry.id, json.dumps(entry.event().data))  # noqa: T201
            heard += len(page.entries)
            if heard >= count:
                return


async def main(role: str, url: str, name: str, who: str, count: str) -> None:
    log = open_log(url, name=name)
    assert isinstance(log, FallbackLog)
    await log.open()
    await (write(log, who, int(count)) if role == "write" else listen(log, int(count)))
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
