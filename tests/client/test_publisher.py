"""Publishing from code that is not asynchronous, with the real server and a real Redis."""

import asyncio
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.elsewhere import ACCEPTED, Answer, elsewhere
from tests.client.network import Network
from tests.client.server import Server, publisher_token, token
from tests.redisserver import Redis, redis_server
from tests.tcpproxy import Proxy, tcp_proxy
from tests.waiting import until
from tidewire.client import Client, Publisher, Token, Unreachable
from tidewire.client.errors import Refused
from tidewire.client.posting import ANSWER_SECONDS
from tidewire.client.publisher import BATCH_BYTES, DEADLINE_SECONDS
from tidewire.core.errors import (
    ConfigurationError,
    Forbidden,
    IdempotencyConflict,
    InvalidToken,
    LogAway,
    TidewireError,
)
from tidewire.core.event import Event
from tidewire.core.payloads import notification
from tidewire.logs import Retention


def counted(numbers: range) -> list[Event]:
    return [Event("counted", {"n": n}) for n in numbers]


async def numbers_after(server: Server, cursor: str) -> list[int]:
    return [event["data"]["n"] for event in await server.events(cursor)]


def entries(redis: Redis, name: str) -> int:
    return int(str(redis.command("XLEN", f"{{{name}}}:log")))


def producers(redis: Redis, name: str) -> int:
    """How many the log remembers."""
    fields = redis.command("HKEYS", f"{{{name}}}:meta")
    assert isinstance(fields, list)
    return sum(str(field).startswith("p:") for field in fields)


@pytest.fixture
def name() -> str:
    """Of a log of one's own."""
    return secrets.token_hex(8)


class TestOverHTTP:
    async def test_what_is_published_arrives_with_all_that_it_has(self, server: Server) -> None:
        event = notification(
            "Hello",
            "漢字 \u2028",
            users=["alice"],
            priority="high",
            source="worker",
            metadata={"correlationId": "c", "sessionId": "s"},
        )
        async with Client(server.url, token=token(), since=await server.cursor()) as client:
            with Publisher(server.base, token=publisher_token()) as publisher:
                id_ = await asyncio.to_thread(publisher.publish, event)
            received = await anext(client)
        assert received.id == id_
        assert received.data == {"title": "Hello", "message": "漢字 \u2028", "type": "info"}
        assert (received.priority, received.source) == ("high", "worker")
        assert received.metadata == {"correlationId": "c"}

    async def test_many_keep_their_order_over_all_their_batches(self, server: Server) -> None:
        since = await server.cursor()
        with Publisher(server.url, token=publisher_token()) as publisher:
            ids = await asyncio.to_thread(publisher.publish, iter(counted(range(1_201))))
        assert await numbers_after(server, since) == [*range(1_201)]
        assert ids == [event["id"] for event in await server.events(since)]

    async def test_a_batch_has_a_size_that_a_server_takes(self, server: Server) -> None:
        big = [Event("counted", {"n": n, "text": "x" * 200_000}) for n in range(25)]
        assert sum(event.size for event in big) > 4 * BATCH_BYTES
        since = await server.cursor()
        with Publisher(server.base, token=publisher_token()) as publisher:
            await asyncio.to_thread(publisher.publish, big)
        assert await numbers_after(server, since) == [*range(25)]

    @pytest.mark.parametrize("lost", [1, 3])
    async def test_what_was_published_and_whose_answer_was_lost_is_made_once(
        self, server: Server, net: Network, lost: int
    ) -> None:
        since = await server.cursor()
        net.loses_answers = lost
        with Publisher(net.url, token=publisher_token()) as publisher:
            ids = await asyncio.to_thread(publisher.publish, counted(range(5)))
        assert net.count("POST /api/realtime/publish") == lost + 1
        assert ids == [event["id"] for event in await server.events(since)]
        assert len(ids) == 5

    async def test_a_server_that_comes_back_in_time_gets_it(self, server: Server) -> None:
        server.kill()
        told: list[TidewireError] = []

        def on_retry(error: TidewireError, seconds: float) -> None:
            assert 0 <= seconds <= 5
            told.append(error)

        with Publisher(server.base, token=publisher_token(), on_retry=on_retry) as publisher:
            publishing = asyncio.create_task(
                asyncio.to_thread(publisher.publish, counted(range(1)))
            )
            await until(lambda: len(told) >= 2)
            assert not publishing.done()
            server.start()
            await publishing
        assert {type(error) for error in told} == {Unreachable}
        assert [event["data"] for event in await server.events()] == [{"n": 0}]

    def test_a_server_that_is_not_there_is_a_typed_error_before_the_deadline(self) -> None:
        began = time.monotonic()
        with (
            Publisher("http://127.0.0.1:9", deadline=0.8) as publisher,
            pytest.raises(Unreachable) as raised,
        ):
            publisher.publish(Event("t"))
        assert time.monotonic() - began < 1.5
        assert not raised.value.in_doubt

    async def test_what_may_have_been_done_is_said_to_be_in_doubt(
        self, server: Server, net: Network
    ) -> None:
        net.loses_answers = 1_000
        with (
            Publisher(net.url, token=publisher_token(), deadline=0.8) as publisher,
            pytest.raises(Unreachable) as raised,
        ):
            await asyncio.to_thread(publisher.publish, Event("t"))
        assert raised.value.in_doubt

    async def test_what_the_server_refuses_is_the_error_that_it_was_there(
        self, server: Server, net: Network
    ) -> None:
        with Publisher(net.url, token=token()) as publisher, pytest.raises(Forbidden):
            await asyncio.to_thread(publisher.publish, Event("t"))
        with Publisher(net.url, token="nonsense") as publisher, pytest.raises(InvalidToken):
            await asyncio.to_thread(publisher.publish, Event("t"))
        assert len(net.requests) == 2

    async def test_a_token_is_got_when_it_is_due_and_once_after_a_401(
        self, server: Server, net: Network
    ) -> None:
        good = publisher_token()
        given: list[str | Token] = ["nonsense", Token(good, time.time() * 1000), good, "nonsense"]
        asked: list[str | Token] = []

        def get() -> str | Token:
            asked.append(given[min(len(asked), 3)])
            return asked[-1]

        with Publisher(net.url, token=get) as publisher:
            for _ in range(3):
                await asyncio.to_thread(publisher.publish, Event("t"))
        assert asked == given[:3]
        assert net.count("publish") == 4
        with (
            Publisher(net.url, token=lambda: "nonsense") as publisher,
            pytest.raises(InvalidToken),
        ):
            await asyncio.to_thread(publisher.publish, Event("t"))
        assert net.count("publish") == 6

    async def test_a_key_of_ones_own_makes_a_repeat_harmless(self, server: Server) -> None:
        since = await server.cursor()

        def publish() -> list[list[str]]:
            with Publisher(server.base, token=publisher_token()) as publisher:
                return [publisher.publish(counted(range(600)), key="task-7") for _ in range(2)]

        first, second = await asyncio.to_thread(publish)
        assert first == second
        assert len(await server.events(since)) == 600
        with (
            Publisher(server.base, token=publisher_token()) as publisher,
            pytest.raises(IdempotencyConflict),
        ):
            await asyncio.to_thread(lambda: publisher.publish(counted(range(1)), key="task-7"))

    async def test_what_was_published_before_a_failure_is_told(self, server: Server) -> None:
        since = await server.cursor()
        # The second batch is refused: its key was used for something else.
        with Publisher(server.base, token=publisher_token()) as publisher:
            await asyncio.to_thread(lambda: publisher.publish(Event("t"), key="key/1"))
            with pytest.raises(TidewireError) as raised:
                await asyncio.to_thread(lambda: publisher.publish(counted(range(501)), key="key"))
        published = raised.value.extra["published"]
        assert published == [event["id"] for event in await server.events(since)][1:]
        assert len(published) == 500

    async def test_several_threads_may_use_one(self, server: Server) -> None:
        since = await server.cursor()
        with Publisher(server.base, token=publisher_token()) as publisher:
            done = await asyncio.gather(
                *(
                    asyncio.to_thread(publisher.publish, counted(range(n, n + 3)))
                    for n in range(0, 60, 3)
                )
            )
        assert sorted(await numbers_after(server, since)) == [*range(60)]
        assert len({id_ for ids in done for id_ in ids}) == 60


class TestWhereAnotherServerAnswers:
    @pytest.mark.parametrize("status", [400, 403, 404, 405, 413])
    def test_it_is_said_to_be_one_and_not_asked_again(self, status: int) -> None:
        with (
            elsewhere(Answer(status)) as other,
            Publisher(f"{other.url}/api/sse?token=secret", token="any") as publisher,
            pytest.raises(Refused) as raised,
        ):
            publisher.publish(Event("t"))
        error = raised.value
        assert (error.status, error.recovery, error.answer) == (status, "none", {})
        assert f"HTTP {status}: What answers at {other.url}/api/realtime/publish " in error.detail
        assert "secret" not in error.detail
        assert len(other.requests) == 1

    def test_an_application_without_tidewire_is_one(self) -> None:
        plain = Answer(404, '{"detail":"Not Found"}', {"Content-Type": "application/json"})
        with (
            elsewhere(plain) as other,
            Publisher(other.url, token="any") as publisher,
            pytest.raises(Refused, match="another server than Tidewire"),
        ):
            publisher.publish(Event("t"))

    @pytest.mark.parametrize("status", [408, 425, 429, 502, 504])
    def test_what_passes_is_tried_again(self, status: int) -> None:
        with (
            elsewhere(Answer(status), ACCEPTED) as other,
            Publisher(other.url, token="any") as publisher,
        ):
            assert publisher.publish(Event("t")) == "1-1-abcd"
        assert len(other.requests) == 2

    @pytest.mark.parametrize("status", [301, 302, 303])
    def test_a_way_on_which_a_post_becomes_something_else_is_told_and_not_gone(
        self, status: int
    ) -> None:
        moved = Answer(status, headers={"Location": "/elsewhere?token=secret"})
        with (
            elsewhere(moved, ACCEPTED) as other,
            Publisher(other.url, token="any") as publisher,
            pytest.raises(Refused) as raised,
        ):
            publisher.publish(Event("t"))
        assert raised.value.status == status
        assert f"/api/realtime/publish leads to {other.url}/elsewhere, " in raised.value.detail
        assert other.requests == ["POST /api/realtime/publish"]

    @pytest.mark.parametrize("status", [307, 308])
    def test_a_way_on_which_it_stays_one_is_gone(self, status: int) -> None:
        with (
            elsewhere(Answer(status, headers={"Location": "/there"}), ACCEPTED) as other,
            Publisher(other.url, token="any") as publisher,
        ):
            assert publisher.publish(Event("t")) == "1-1-abcd"
        assert other.requests == ["POST /api/realtime/publish", "POST /there"]
        assert len({*other.keys}) == 1

    def test_a_way_that_leads_nowhere_is_no_server_of_ours(self) -> None:
        with (
            elsewhere(Answer(304)) as other,
            Publisher(other.url, token="any") as publisher,
            pytest.raises(Refused, match="HTTP 304"),
        ):
            publisher.publish(Event("t"))


def test_an_answer_that_takes_too_long_leaves_time_to_ask_again() -> None:
    assert DEADLINE_SECONDS >= 2 * ANSWER_SECONDS


@pytest.fixture
def proxy(redis: Redis) -> Iterator[Proxy]:
    with tcp_proxy(redis.port) as made:
        yield made


class TestStraightIntoTheLog:
    async def test_what_is_published_reaches_the_clients_of_a_server(
        self, redis_backed: Server, redis: Redis
    ) -> None:
        server = redis_backed
        async with Client(server.url, token=token(), since=await server.cursor()) as client:
            with Publisher(redis.url, name=server.name) as publisher:
                ids = await asyncio.to_thread(publisher.publish, counted(range(700)))
            received = [await anext(client) for _ in range(700)]
        assert [event.id for event in received] == ids
        assert [event.data["n"] for event in received] == [*range(700)]

    def test_what_was_appended_and_whose_answer_was_lost_is_made_once(
        self, redis: Redis, proxy: Proxy, name: str
    ) -> None:
        with Publisher(f"redis://127.0.0.1:{proxy.port}", name=name) as publisher:
            publisher.publish(Event("t"))
            for _ in range(3):
                proxy.cut_answers(request=b"EVALSHA", keep=0, times=2)
                publisher.publish(Event("t"))
        assert proxy.cuts >= 3
        assert entries(redis, name) == 4

    def test_redis_that_does_not_answer_for_a_while_gets_it_once(
        self, redis: Redis, proxy: Proxy, name: str
    ) -> None:
        with Publisher(f"redis://127.0.0.1:{proxy.port}", name=name) as publisher:
            publisher.publish(Event("t"))
            proxy.swallow_answers()
            healing = threading.Timer(1.5, proxy.pass_on)
            healing.start()
            publisher.publish(Event("t"))
            healing.join()
        assert entries(redis, name) == 2

    def test_redis_that_is_not_there_is_a_typed_error_before_the_deadline(self) -> None:
        with (
            Publisher("redis://127.0.0.1:9", deadline=0.5) as publisher,
            pytest.raises(LogAway) as raised,
        ):
            publisher.publish(Event("t"))
        assert not raised.value.in_doubt

    def test_nothing_is_left_when_it_is_closed(self, redis: Redis, name: str) -> None:
        before = threading.active_count()
        connected = str(redis.command("CLIENT", "LIST")).count("\n")
        publisher = Publisher(redis.url, name=name)
        publisher.publish(Event("t"))
        assert threading.active_count() == before + 1
        publisher.close()
        publisher.close()
        assert threading.active_count() == before
        assert str(redis.command("CLIENT", "LIST")).count("\n") == connected
        with pytest.raises(RuntimeError, match="closed"):
            publisher.publish(Event("t"))

    def test_the_log_is_trimmed_as_its_servers_say(
        self, redis: Redis, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TIDEWIRE_LOG_NAME", name)
        monkeypatch.setenv("TIDEWIRE_RETENTION_EVENTS", "5")
        with Publisher(redis.url) as publisher:
            publisher.publish(counted(range(10)))
        assert entries(redis, name) == 5
        with Publisher(redis.url, retention=Retention(events=7)) as publisher:
            publisher.publish(counted(range(10)))
        assert entries(redis, name) == 7

    def test_one_that_is_told_no_retention_trims_nothing(
        self, redis: Redis, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for what in ("EVENTS", "SECONDS", "BYTES"):
            monkeypatch.delenv(f"TIDEWIRE_RETENTION_{what}", raising=False)
        # The usual bounds are such that they would be trimmed: by their size, and by their age.
        monkeypatch.setattr(Retention.__init__, "__defaults__", (5, 1e-3, 100))
        with Publisher(redis.url, name=name) as publisher:
            for number in range(3):
                publisher.publish(counted(range(number * 10, number * 10 + 10)))
        assert entries(redis, name) == 30

    def test_one_that_closes_leaves_nothing_of_itself_in_the_log_but_events(
        self, redis: Redis, name: str
    ) -> None:
        for number in range(20):
            with Publisher(redis.url, name=name) as publisher:
                publisher.publish(Event("t", number))
        assert entries(redis, name) == 20
        assert producers(redis, name) == 0

    def test_one_that_was_not_answered_is_remembered_when_it_closes(
        self, redis: Redis, proxy: Proxy, name: str
    ) -> None:
        url = f"redis://127.0.0.1:{proxy.port}"
        with Publisher(url, name=name, deadline=0.5) as publisher:
            publisher.publish(Event("t"))
            proxy.swallow_answers()
            with pytest.raises(LogAway):
                publisher.publish(Event("t"))
            proxy.pass_on()
        assert producers(redis, name) == 1

    def test_a_setting_that_is_none_is_refused_at_once(
        self, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TIDEWIRE_RETENTION_SECONDS", "an hour")
        with pytest.raises(ConfigurationError, match="TIDEWIRE_RETENTION"):
            Publisher(redis.url)

    def test_a_key_of_ones_own_makes_a_repeat_harmless(self, redis: Redis, name: str) -> None:
        with Publisher(redis.url, name=name) as publisher:
            first = publisher.publish(Event("t", 1), key="task-7")
            assert publisher.publish(Event("t", 1), key="task-7") == first
            with pytest.raises(IdempotencyConflict):
                publisher.publish(Event("t", 2), key="task-7")
        assert entries(redis, name) == 1


def test_redis_that_is_killed_and_comes_back_with_what_it_had_gets_it_once(
    tmp_path: Path, name: str
) -> None:
    with redis_server(tmp_path, persistence="always") as redis:
        failed = 0

        def on_retry(error: TidewireError, seconds: float) -> None:
            nonlocal failed
            failed += 1
            if failed == 2:
                redis.start()

        with Publisher(redis.url, name=name, on_retry=on_retry) as publisher:
            publisher.publish(Event("t"))
            redis.kill()
            publisher.publish(Event("t"))
        assert entries(redis, name) == 2


FORKING = """
import os, sys
from tidewire.client import Publisher
from tidewire.core.event import Event

target, token, name, first = sys.argv[1:]
publisher = Publisher(target, token=token or None, name=name)
if first == "used":
    publisher.publish(Event("counted", {"n": 0}))
children = []
for n in (1, 2):
    child = os.fork()
    if child == 0:
        publisher.publish(Event("counted", {"n": n}))
        publisher.close()
        os._exit(0)
    children.append(child)
# All at once; and what a child closes is not the parent's.
publisher.publish(Event("counted", {"n": 3}))
ended = [os.waitpid(child, 0)[1] for child in children]
publisher.publish(Event("counted", {"n": 4}))
publisher.close()
print(ended)
"""


@pytest.mark.parametrize("first", ["used", "unused"])
@pytest.mark.parametrize("way", ["http", "log"])
def test_one_that_was_made_before_a_fork_works_after_it_in_both_processes(
    redis_backed: Server, redis: Redis, way: str, first: str
) -> None:
    server = redis_backed
    target = (server.base, publisher_token()) if way == "http" else (redis.url, "")
    # Whatever a newer Python says of forks.
    python = [sys.executable, "-W", "ignore::DeprecationWarning"]
    done = subprocess.run(
        [*python, "-c", FORKING, *target, server.name, first],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[0, 0]\n", "")
    found = sorted(event["data"]["n"] for event in asyncio.run(server.events()))
    assert found == ([0, 1, 2, 3, 4] if first == "used" else [1, 2, 3, 4])


WRONG: dict[str, Callable[[], object]] = {
    "no event": lambda: Publisher("http://127.0.0.1:9").publish([]),
    "one from a log": lambda: Publisher("http://127.0.0.1:9").publish(Event("t", id="1-1-abcd")),
    "an empty key": lambda: Publisher("http://127.0.0.1:9").publish(Event("t"), key=""),
    "a long key": lambda: Publisher("http://127.0.0.1:9").publish(Event("t"), key="k" * 241),
    "no time": lambda: Publisher("http://127.0.0.1:9", deadline=0),
}


@pytest.mark.parametrize("do", WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_refused_at_once(do: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"must|takes"):
        do()


@pytest.mark.parametrize("target", ["", "memory:", "kafka://host", "/api/sse", "http://"])
def test_where_nothing_can_be_published_to_is_refused_at_once(target: str) -> None:
    with pytest.raises(ConfigurationError):
        Publisher(target)
