"""The Redis log: the contract of every log, and what is its own."""

import secrets
from collections.abc import AsyncIterator

import pytest

from tests.contracts.log import LogContract, MakeLog
from tests.redisserver import Redis
from tidewire.core.clock import Clock
from tidewire.core.log import EventLog
from tidewire.logs import Retention
from tidewire.logs.link import connector
from tidewire.logs.redis import RedisLog


class TestRedisLog(LogContract):
    @pytest.fixture
    async def make_log(self, redis: Redis) -> AsyncIterator[MakeLog]:
        logs: list[RedisLog] = []

        async def make(retention: Retention, clock: Clock) -> EventLog:
            name = secrets.token_hex(8)
            log = RedisLog(connector(redis.url), retention, name=name, clock=clock)
            logs.append(log)
            return log

        yield make
        for log in logs:
            await log.close()
