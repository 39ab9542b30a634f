"""One real Redis for all tests of logs; each test has a log name of its own."""

from collections.abc import Iterator

import pytest

from tests.redisserver import Redis, redis_server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server
