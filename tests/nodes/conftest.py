import secrets
from collections.abc import Iterator

import pytest

from tests.fakes import FakeClock
from tests.nodes.cluster import Cluster
from tests.redisserver import Redis, redis_server
from tests.tcpproxy import Proxy, tcp_proxy
from tidewire.core import keeper as keeper_module
from tidewire.core import lease as lease_module
from tidewire.http import life as life_module
from tidewire.logs import fallback as fallback_module
from tidewire.logs import hearing as hearing_module


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def proxy(redis: Redis) -> Iterator[Proxy]:
    """A way to Redis that the test closes and opens."""
    with tcp_proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
def cluster(redis: Redis) -> Cluster:
    """Nodes that share a log of their own."""
    return Cluster(redis.port, secrets.token_hex(8))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens as often as it may, so that a test need not wait."""
    monkeypatch.setattr(keeper_module, "TICK_SECONDS", 0.005)
    monkeypatch.setattr(lease_module, "ATTEND_SECONDS", 0.02)
    monkeypatch.setattr(hearing_module, "RETRY_LAST", 0.05)
    monkeypatch.setattr(fallback_module, "TRY_FIRST", 0.01)
    monkeypatch.setattr(fallback_module, "TRY_LAST", 0.05)
    monkeypatch.setattr(life_module, "START_AGAIN_SECONDS", 0.1)
