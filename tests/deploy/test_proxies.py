"""nginx, Caddy and HAProxy with the files that are shipped, before the real server."""

import asyncio
import itertools
import re
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.certificate import Certificate
from tests.deploy.exchange import Exchange, Refused, fetch, open_stream
from tests.deploy.followers import Follower
from tests.deploy.multiplex import multiplexed
from tests.deploy.proxies import (
    CADDY,
    DEPLOY,
    HAPROXY,
    KINDS,
    NGINX_ALONE,
    Kind,
    Proxy,
    checked,
    standing,
)
from tests.deploy.server import PUBLISHER, Server, serving
from tests.faults.cluster import bearer, token
from tests.faults.history import Who
from tests.redisserver import free_port, redis_server
from tests.waiting import until, until_told

ALICE: Final = Who("alice")
AT_ONCE: Final = 10.0
"""Seconds. No ping comes for thirty, which could push out what a proxy holds back."""

STOP_SECONDS: Final = 10.0

CROWD: Final = 1_000
TABS: Final = 50

STANDALONE: Final = (NGINX_ALONE, CADDY, HAPROXY)


@dataclass(frozen=True)
class Front:
    """A proxy and the server behind it."""

    kind: Kind
    proxy: Proxy
    server: Server

    @asynccontextmanager
    async def stream(self, follower: Follower) -> AsyncIterator[Exchange]:
        """A stream from the cursor of a follower, who takes what comes."""
        headers = {**bearer(ALICE), "Last-Event-ID": follower.cursor}
        stream = await open_stream(
            self.proxy.url, follower.take, headers=headers, tls=self.proxy.tls
        )
        try:
            yield stream
        finally:
            stream.drop()
            await stream.gone

    async def follower(self) -> Follower:
        """One that begins at the head of the log."""
        since = await self.server.cursor()
        return Follower(ALICE.user, self.proxy.url, self.proxy.tls, since)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def front(
    request: pytest.FixtureRequest,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    make = tmp_path_factory.mktemp
    settings = {"TIDEWIRE_RATE_LIMITS": "off", "TIDEWIRE_MAX_CONNECTIONS_PER_USER": "0"}
    with (
        serving(make("server"), **settings) as server,
        standing(request.param, [server.port], certificate, make("proxy")) as proxy,
    ):
        yield Front(request.param, proxy, server)


async def until_open(server: Server, count: int) -> None:
    """Waits until the server has so many streams and held polls."""
    await until_told(server.connections, lambda found: found == count)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_proxy_accepts_its_file(kind: Kind, certificate: Certificate, tmp_path: Path) -> None:
    told = checked(kind, certificate, tmp_path)
    assert told.returncode == 0, told.stderr
    if kind is not CADDY:
        # Caddy warns that the certificate of the test is no real one.
        assert not re.search("warn|deprecat", told.stderr, re.IGNORECASE), told.stderr


def test_the_file_of_caddy_is_formatted_as_caddy_does() -> None:
    file = DEPLOY / "caddy/Caddyfile"
    told = subprocess.run(["caddy", "fmt", str(file)], check=True, capture_output=True, text=True)
    assert told.stdout == file.read_text()


async def test_what_is_published_comes_at_once(front: Front) -> None:
    follower = await front.follower()
    began = time.monotonic()
    async with front.stream(follower):
        assert time.monotonic() - began < AT_ONCE
        for number in range(1, 6):
            await front.server.publish([number])
            await until(partial(follower.has_seen, number), AT_ONCE)
    assert follower.seen == [1, 2, 3, 4, 5]


async def test_a_stream_that_was_cut_goes_on_from_its_cursor(front: Front) -> None:
    follower = await front.follower()
    async with front.stream(follower):
        await front.server.publish([1, 2])
        await until(lambda: follower.has_seen(2))
    await front.server.publish([3, 4])
    async with front.stream(follower):
        await front.server.publish([5])
        await until(lambda: follower.has_seen(5))
    assert follower.seen == [1, 2, 3, 4, 5]
    assert follower.gaps == []
    assert follower.resumed == [True, True]


async def test_a_poll_is_held_and_answered_at_once(front: Front) -> None:
    await until_open(front.server, 0)
    since = await front.server.cursor()

    async def poll(wait: float) -> list[int]:
        path = f"/api/realtime/polling?since={since}&wait={wait}"
        answer = await fetch(front.proxy.url, path, headers=bearer(ALICE), tls=front.proxy.tls)
        return [event["data"]["n"] for event in answer["events"]]

    began = time.monotonic()
    assert await poll(1.5) == []
    assert time.monotonic() - began >= 1.5
    held = asyncio.create_task(poll(30))
    await until_open(front.server, 1)
    await front.server.publish([1])
    async with asyncio.timeout(AT_ONCE):
        assert await held == [1]


async def test_a_client_that_leaves_is_gone(front: Front) -> None:
    await until_open(front.server, 0)
    for way in (Exchange.leave, Exchange.drop):
        async with front.stream(await front.follower()) as stream:
            await until_open(front.server, 1)
            way(stream)
            # The next ping would come after thirty seconds.
            await until_open(front.server, 0)


async def test_a_client_is_known_by_its_own_address(front: Front) -> None:
    headers = {**bearer(Who("somebody")), "X-Forwarded-For": "192.0.2.7"}
    path = "/api/realtime/cursor"
    await fetch(front.proxy.url, path, headers=headers, tls=front.proxy.tls, source="127.0.0.2")
    await until(lambda: "somebody" in front.server.output)
    line = next(line for line in front.server.output.splitlines() if "somebody" in line)
    assert "127.0.0.2 somebody" in line
    assert "192.0.2.7" not in line


async def test_tabs_share_a_connection_of_http_2(front: Front) -> None:
    if front.proxy.tls is None:
        return
    told: Counter[str] = Counter()
    async with multiplexed(
        front.proxy.url,
        TABS,
        lambda _, block: told.update([block.event]),
        headers=bearer(ALICE),
        tls=front.proxy.tls,
    ) as shared:
        await until(lambda: told["connected"] == TABS)
        await front.server.publish([1])
        await until(lambda: told["tick"] == TABS, AT_ONCE)
    assert [*shared.statuses.values()] == ["200"] * TABS
    assert shared.ended == []


async def test_the_access_log_has_no_query(front: Front) -> None:
    secret = token(Who("whoever"))
    for path in (f"/api/realtime/cursor?token={secret}", "/api/realtime/polling?token=wrong.wrong"):
        with_page = {"Referer": "https://shop.example/page?token=wrong.wrong"}
        try:
            await fetch(front.proxy.url, path, headers=with_page, tls=front.proxy.tls)
        except Refused as refused:
            assert refused.status == 401  # noqa: PT017 - only one of them is good
    await until(lambda: "/api/realtime/polling" in front.proxy.log)
    assert "/api/realtime/cursor" in front.proxy.log
    for word in ("?", "token=", secret, "wrong.wrong"):
        assert word not in front.proxy.log


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_the_log_of_a_failure_has_no_query(
    kind: Kind, certificate: Certificate, tmp_path: Path
) -> None:
    with standing(kind, [free_port()], certificate, tmp_path) as proxy:
        with pytest.raises(Refused, match=r"50[234]"):
            await fetch(proxy.url, "/api/sse?token=wrong.wrong", headers={}, tls=proxy.tls)
        await until(lambda: "/api/sse" in proxy.log)
        assert "wrong" not in proxy.log
        assert "token" not in proxy.log


async def test_a_thousand_clients_are_open_at_once(front: Front) -> None:
    await until_open(front.server, 0)
    since = await front.server.cursor()
    tls = front.proxy.tls
    crowd = [Follower(f"user-{n}", front.proxy.url, tls, since) for n in range(CROWD)]
    turn = asyncio.Semaphore(50)
    async with AsyncExitStack() as streams:

        async def come(follower: Follower) -> None:
            async with turn:
                await streams.enter_async_context(front.stream(follower))

        await asyncio.gather(*map(come, crowd))
        await until_open(front.server, CROWD)
        for number in (1, 2, 3):
            await front.server.publish([number])
        await until(lambda: all(follower.has_seen(3) for follower in crowd))
        assert all(follower.seen == [1, 2, 3] and not follower.gaps for follower in crowd)
    await until_open(front.server, 0)


# Two nodes behind proxies


class Publishing:
    """Publishes one event after the other, through each proxy in turn, and what got no 2xx
    through the next."""

    def __init__(self, proxies: Sequence[Proxy]) -> None:
        self.count = 0
        self._turns = itertools.cycle(proxies)
        self._headers = bearer(PUBLISHER, permissions=["publish"])

    async def run(self) -> None:
        while True:
            await self._publish(self.count + 1)
            self.count += 1
            # The pace of whoever publishes.
            await asyncio.sleep(0.02)

    async def _publish(self, number: int) -> None:
        event = {"type": "tick", "data": {"n": number}}
        headers = {**self._headers, "Idempotency-Key": f"tick-{number}"}
        path = "/api/realtime/publish"
        for proxy in self._turns:
            try:
                await fetch(proxy.url, path, headers=headers, tls=proxy.tls, body=event, seconds=8)
            except Refused as refused:
                if refused.status not in (0, 409, 502, 503, 504):
                    raise
            except OSError:
                pass
            else:
                return
            # As a client does that was refused.
            await asyncio.sleep(0.05)


@asynccontextmanager
async def going_on(*runs: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs these meanwhile; what fails in one of them fails here."""
    tasks = [asyncio.ensure_future(run()) for run in runs]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_lost_when_node_after_node_is_drained_and_started_again(
    certificate: Certificate, tmp_path: Path
) -> None:
    def place(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(place("redis")))
        log = f"{redis.url}/0"
        nodes = [stack.enter_context(serving(place(name), log)) for name in ("a", "b")]
        ports = [node.port for node in nodes]
        proxies = {
            kind.name: stack.enter_context(standing(kind, ports, certificate, place(kind.name)))
            for kind in STANDALONE
        }
        since = await nodes[0].cursor()
        followers = {
            (name, number): Follower(
                f"user-{number}", proxy.url, proxy.tls, since, polls=number % 4 == 3
            )
            for name, proxy in proxies.items()
            for number in range(8)
        }
        publishing = Publishing([*proxies.values()])

        def behind(wanted: int) -> list[tuple[str, int]]:
            return [who for who, each in followers.items() if len(each.seen) < wanted]

        async def all_go_on() -> None:
            wanted = publishing.count + 10
            await until(lambda: not behind(wanted), what=lambda: f"events for {behind(wanted)}")

        async with going_on(*(each.run for each in followers.values())):
            async with going_on(publishing.run):
                await all_go_on()
                for node in nodes:
                    await asyncio.to_thread(node.stop)
                    await all_go_on()
                    await asyncio.to_thread(node.start)
                    await all_go_on()
            last = publishing.count
            await until(lambda: not behind(last), what=lambda: f"the rest for {behind(last)}")
        for who, follower in followers.items():
            assert follower.gaps == [], who
            assert follower.seen == list(range(1, len(follower.seen) + 1)), who
        # Each stream was told at least once; cut off were none without that.
        assert all(each.sent_away for (_, number), each in followers.items() if number % 4 != 3)


def test_a_stop_of_caddy_does_not_wait_for_streams(
    certificate: Certificate, tmp_path: Path
) -> None:
    async def open_one(proxy: Proxy) -> None:
        stream = await open_stream(proxy.url, lambda _: None, headers=bearer(ALICE), tls=proxy.tls)
        began = time.monotonic()
        proxy.process.popen.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            await stream.gone
        await until(lambda: proxy.process.popen.poll() is not None, STOP_SECONDS)
        assert time.monotonic() - began < STOP_SECONDS

    (tmp_path / "server").mkdir()
    with (
        serving(tmp_path / "server") as server,
        standing(CADDY, [server.port], certificate, tmp_path) as proxy,
    ):
        asyncio.run(open_one(proxy))
