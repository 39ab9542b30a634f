from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.client.network import Network, network
from tests.client.server import Server
from tests.redisserver import Redis, redis_server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of a module, with a log in memory. It may be killed and started."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def server(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture
async def net(server: Server) -> AsyncIterator[Network]:
    """A network in front of the server."""
    async with network(server.port) as made:
        yield made


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def redis_backed(tmp_path: Path, redis: Redis) -> Iterator[Server]:
    """A server with a log of its own in Redis."""
    name = tmp_path.name.replace("[", "-").replace("]", "")[-60:]
    server = Server(tmp_path, redis.url, TIDEWIRE_LOG_NAME=name)
    server.start()
    try:
        yield server
    finally:
        server.kill()
