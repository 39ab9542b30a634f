import secrets

import pytest

from tests.nodes.cluster import Cluster
from tests.redisserver import Redis
from tidewire.core import keeper as keeper_module
from tidewire.core import lease as lease_module
from tidewire.http import life as life_module
from tidewire.logs import fallback as fallback_module
from tidewire.logs import hearing as hearing_module


@pytest.fixture
def cluster(redis: Redis) -> Cluster:
    """Nodes that share a log of their own."""
    return Cluster(redis.port, secrets.token_hex(8))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens as often as it may, so that a test need not wait."""
    monkeypatch.setattr(keeper_module, "TICK_SECONDS", 0.005)
    monkeypatch.setattr(lease_module, "ATTEND_SECONDS", 0.02)
    monkeypatch.setattr(hearing_module, "RETRY_LAST", 0.05)
    monkeypatch.setattr(fallback_module, "TRY_FIRST", 0.01)
    monkeypatch.setattr(fallback_module, "TRY_LAST", 0.05)
    monkeypatch.setattr(life_module, "START_AGAIN_SECONDS", 0.1)
