"""Every reader gets exactly what is its own, or a gap that covers the rest: on a real Redis."""

import secrets

from tests.contracts.delivery import deliveries
from tests.redisserver import Redis
from tidewire.core.clock import Clock
from tidewire.core.log import EventLog
from tidewire.logs import Retention
from tidewire.logs.link import connector
from tidewire.logs.redis import RedisLog


def test_every_reader_gets_exactly_what_it_may_see_or_a_gap_that_covers_the_rest(
    redis: Redis,
) -> None:
    async def make_log(retention: Retention, clock: Clock) -> EventLog:
        name = secrets.token_hex(8)
        return RedisLog(connector(redis.url), retention, name=name, clock=clock)

    deliveries(make_log, calm=100, rough=20).check()
