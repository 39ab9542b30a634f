"""Two processes of `tidewire serve` that share a Redis hold one rate together."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.redisserver import Redis, redis_server
from tests.serve.processes import COMMAND, Process, clean_environment, running, url_in


class Pair:
    """Two servers and their Redis."""

    def __init__(self, redis: Redis, processes: list[Process]) -> None:
        self.redis = redis
        self.processes = processes
        self.urls = [url_in(process) for process in processes]

    def connect(self, number: int, user: str = "alice") -> httpx.Response:
        with httpx.stream(
            "GET", f"{self.urls[number]}/api/sse", params={"userId": user}, trust_env=False
        ) as answer:
            return answer

    def fail(self, number: int) -> int:
        url = f"{self.urls[number]}/api/realtime/cursor"
        return httpx.get(url, params={"token": "bad"}, trust_env=False).status_code


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with redis_server(tmp_path) as redis, ExitStack() as stack:
        env = clean_environment(
            tmp_path,
            RATE_LIMIT_REDIS_URL=redis.url,
            TIDEWIRE_RATE_LIMITS="connect=5/hour,auth=5/hour",
        )
        command = [COMMAND, "serve", "--dev", "--port", "0"]
        processes = [stack.enter_context(running(command, tmp_path, env)) for _ in range(2)]
        yield Pair(redis, processes)


def test_one_rate_of_a_user_holds_over_both(pair: Pair) -> None:
    answers = [pair.connect(number % 2) for number in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    left = [int(answer.headers["ratelimit-remaining"]) for answer in answers]
    assert left == [4, 3, 2, 1, 0, 0, 0, 0]
    assert all(3540 <= int(answer.headers["retry-after"]) <= 3600 for answer in answers[5:])
    assert pair.connect(0, "bob").status_code == 200


def test_failed_authentications_count_over_both(pair: Pair) -> None:
    assert [pair.fail(number % 2) for number in range(8)] == [401] * 5 + [429] * 3


def test_when_their_redis_dies_each_counts_alone_and_says_so(pair: Pair) -> None:
    for number in range(5):
        pair.connect(number % 2)
    pair.redis.end()
    for node in (0, 1):
        statuses = [pair.connect(node).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]
    for process in pair.processes:
        output = process.until("the Redis of the rate limits is away; this node counts alone")
        assert output.count("is away") == 1
