"""For all tests: a clock that they move, one real Redis. None is about how fast this machine is."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.fakes import FakeClock, FakeJournal
from tests.redisserver import Redis, redis_server
from tests.tcpproxy import Proxy, tcp_proxy

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

MARKS = {
    "both_sinks": "runs once as under plain uvicorn, and once as under `tidewire serve`",
    "both_loops": "runs on the event loop of the standard library, and on uvloop's",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("both_sinks"):
        # What serves in a test is chosen by its loop: see `tests.http.server.serving`.
        return {"portable": asyncio.new_event_loop, "direct": uvloop.new_event_loop}
    if item.get_closest_marker("both_loops"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A real Redis, where each test has a log name of its own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def proxy(redis: Redis) -> Iterator[Proxy]:
    """A way to Redis that the test closes and opens."""
    with tcp_proxy(redis.port) as proxy:
        yield proxy
