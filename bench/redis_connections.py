"""How many connections to Redis a server has, with few clients and with many.

Each client is a stream of a user of its own; each must get an event that is published while all of
them are there.

    .venv/bin/python -m bench.redis_connections
"""

import argparse
import asyncio
import os
import platform
import time

from bench.paired import redis, serving
from bench.stopped_readers import Options, Reader, connect, publish
from tests.redisserver import Redis
from tidewire.serve.server import raise_file_limit

UNCAPPED = {"TIDEWIRE_MAX_CONNECTIONS_PER_USER": "0"}
WAYS = {"off": "without rates", "connect=100000/minute": "rates counted in the same Redis"}
LOOKS, LOOK_SECONDS = 20, 0.25


def connections(server: Redis) -> int:
    """Of others than this question."""
    listed = str(server.command("CLIENT", "LIST")).strip().splitlines()
    return sum("cmd=client|list" not in line for line in listed)


async def most(server: Redis) -> int:
    """The most of several looks, while streams are pinged and presence is told."""
    found = 0
    for _ in range(LOOKS):
        found = max(found, connections(server))
        await asyncio.sleep(LOOK_SECONDS)
    return found


async def measure(server: Redis, url: str, counts: list[int]) -> None:
    clients: list[Reader] = []
    alone = await most(server)
    print(
        f"{'clients':>8} {'connections to Redis':>22} {'connected in':>14} {'one event to all':>18}"
    )
    print(f"{0:8} {alone:22}")
    for count in counts:
        began = time.monotonic()
        while len(clients) < count:
            few = range(len(clients), min(count, len(clients) + 50))
            clients += await asyncio.gather(*(connect(url, f"user-{n}") for n in few))
        took = time.monotonic() - began
        during = asyncio.create_task(most(server))
        began = time.monotonic()
        for client in clients:
            client.expected = 0  # every event that is published here is the first of its kind
        one = Options(pairs=1, stopped=0, reading=0, events=1, size=100, rate=1, batch=1)
        await publish(url, one)
        await asyncio.gather(*(client.read(until=1, timed=False) for client in clients))
        reached = time.monotonic() - began
        print(f"{count:8} {await during:22} {took:12.2f} s {reached:16.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 2_000])
    options = parser.parse_args()
    raise_file_limit()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for rates, name in WAYS.items():
        with redis() as server:
            limits = {"TIDEWIRE_RATE_LIMITS": rates, "RATE_LIMIT_REDIS_URL": server.url}
            with serving(server.url, UNCAPPED | limits) as url:
                print(name)
                asyncio.run(measure(server, url, sorted(options.clients)))


if __name__ == "__main__":
    main()
