"""The ways to say where Redis is, each with a real server behind it."""

import asyncio
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contracts.log import event, events, offsets
from tests.doctor.certificates import certify
from tests.fakes import FakeJournal
from tests.redisserver import Redis, free_port, redis_server
from tests.waiting import until, until_told
from tidewire.core.errors import ConfigurationError, LogAway
from tidewire.core.log import Degradable
from tidewire.core.position import Edge
from tidewire.logs import Retention, is_shared, open_log
from tidewire.logs.fallback import FallbackLog
from tidewire.logs.link import Link, connector
from tidewire.logs.redis import RedisLog


def at(url: str) -> FallbackLog:
    log = open_log(url, name=secrets.token_hex(8), journal=FakeJournal())
    assert isinstance(log, FallbackLog)
    return log


async def test_tls_is_spoken_and_the_certificate_is_checked(tmp_path: Path) -> None:
    port = free_port()
    made = certify(tmp_path, began=timedelta(hours=1), ends=timedelta(hours=1))
    public, private = made.certfile, made.keyfile
    options = ["--tls-port", str(port), "--tls-cert-file", public, "--tls-key-file", private]
    options += ["--tls-ca-cert-file", public, "--tls-auth-clients", "no"]
    with redis_server(tmp_path, options=options):
        address = f"rediss://127.0.0.1:{port}/0?ssl_check_hostname=false"
        log = at(f"{address}&ssl_ca_certs={public}")
        await log.open()
        [position] = await log.append([event()])
        assert position.offset == 1
        await log.close()
        stranger = at(address)
        with pytest.raises(LogAway):
            await stranger.open()
        await stranger.close()


async def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    with redis_server(tmp_path, options=["--unixsocket", str(tmp_path / "redis.sock")]):
        log = at(f"unix://{tmp_path / 'redis.sock'}")
        await log.open()
        assert len(await log.append(events(2))) == 2
        await log.close()


async def test_a_password_is_used_and_never_told(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.command("CONFIG", "SET", "requirepass", "open-sesame")
        log = at(f"redis://:open-sesame@127.0.0.1:{redis.port}")
        await log.open()
        assert len(await log.append([event()])) == 1
        await log.close()
        wrong = at(f"redis://:open-says-me@127.0.0.1:{redis.port}")
        with pytest.raises(LogAway) as raised:
            await wrong.open()
        assert "open-says-me" not in f"{raised.value!r} {raised.value.detail}"
        await wrong.close()


@contextmanager
def sentinel(folder: Path, primary: Redis) -> Iterator[int]:
    """One sentinel that decides alone; yields its port."""
    port = free_port()
    configuration = folder / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor events 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds events 1000\n"
        "sentinel failover-timeout events 2000\n"
    )
    process = subprocess.Popen(["redis-sentinel", str(configuration)], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


async def opened(log: FallbackLog) -> None:
    """Opens a log. A sentinel that has little time says now and then that it knows nobody."""

    async def is_open() -> bool:
        with suppress(LogAway):
            await log.open()
            return True
        return False

    await until_told(is_open)


async def test_after_a_failover_sentinel_says_where_the_log_is(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("primary", "replica", "sentinel")]
    for folder in folders:
        folder.mkdir()
    with (
        redis_server(folders[0]) as primary,
        redis_server(folders[1], replica_of=primary) as replica,
        sentinel(folders[2], primary) as port,
    ):
        await until(lambda: replica.has_copied(primary))
        log = at(f"redis+sentinel://127.0.0.1:{port}/events/0")
        # The sentinel needs a moment to hear of the replica.
        await until(lambda: _knows_a_replica(port))
        await opened(log)
        before = await log.append(events(3))
        await until(lambda: replica.has_copied(primary))
        primary.kill()
        spooled = await log.append(events(2))
        assert log.condition.degraded
        await until(lambda: not log.condition.degraded)
        after = await log.append([event()])
        page = await log.read(Edge.EARLIEST)
        assert [entry.id for entry in page.entries] == [
            str(position) for position in (*before, *spooled, *after)
        ]
        assert offsets(page) == [1, 2, 3, 4, 5, 6]
        await log.close()


async def test_a_sentinel_that_hangs_keeps_nobody_from_asking_the_next(tmp_path: Path) -> None:
    (tmp_path / "sentinel").mkdir()
    with (
        redis_server(tmp_path) as primary,
        sentinel(tmp_path / "sentinel", primary) as port,
        socket.create_server(("127.0.0.1", 0)) as hung,
    ):
        await until(lambda: _answers(port))
        first = hung.getsockname()[1]
        log = at(f"redis+sentinel://127.0.0.1:{first},127.0.0.1:{port}/events/0")
        await opened(log)
        assert len(await log.append([event()])) == 1
        await log.close()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
        peer.sendall(b"PING\r\n")
        return peer.recv(100) == b"+PONG\r\n"
    return False


def _knows_a_replica(port: int) -> bool:
    asked = subprocess.run(
        ["redis-cli", "-p", str(port), "SENTINEL", "replicas", "events"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "name" in asked.stdout


async def test_on_a_cluster_all_keys_of_a_log_are_in_one_slot(tmp_path: Path) -> None:
    with redis_server(tmp_path, cluster=True) as redis:
        log = at(redis.url)
        await log.open()
        first = await log.append(events(3))
        assert [position.offset for position in first] == [1, 2, 3]
        assert offsets(await log.read(Edge.EARLIEST)) == [1, 2, 3]
        await log.close()


async def test_a_cluster_node_that_has_not_the_slot_is_as_good_as_away(tmp_path: Path) -> None:
    """The address must lead to the node that has the slot of the log's name: what another one
    answers (MOVED) is said, and events wait."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    with redis_server(folders[0], cluster=True) as one:
        log = RedisLog(connector(one.url), Retention(), name="events")
        fallback = FallbackLog(log, journal=FakeJournal())
        await fallback.open()
        await fallback.append([event()])
        slot = one.command("CLUSTER", "KEYSLOT", "{events}:log")
        with redis_server(folders[1], cluster=True) as other:
            # By its own book, the slot is at the other one now.
            identity = str(other.command("CLUSTER", "MYID"))
            one.command("CLUSTER", "MEET", "127.0.0.1", str(other.port), str(_bus_port(other)))
            await until(lambda: identity in str(one.command("CLUSTER", "NODES")))
            # A node gives away no slot that holds something.
            one.command("FLUSHALL")
            one.command("CLUSTER", "SETSLOT", str(slot), "NODE", identity)
            await fallback.append([event()])
            assert fallback.condition.degraded
            assert "MovedError" in fallback.condition.reason
        await fallback.close()


def _bus_port(redis: Redis) -> int:
    return int(str(redis.command("CONFIG", "GET", "cluster-port")).split("'")[3])


async def test_where_nobody_listens_is_said_at_once_and_without_the_address() -> None:
    port = free_port()
    link = Link(connector(f"redis://:secret@127.0.0.1:{port}"))
    began = time.monotonic()
    with pytest.raises(LogAway) as raised:
        await link.call("PING")
    assert time.monotonic() - began < 1
    assert not raised.value.in_doubt
    assert "secret" not in raised.value.detail
    await link.close()


async def test_whoever_waits_behind_one_that_is_not_answered_does_not_wait_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        link = Link(connector(f"redis://127.0.0.1:{hung.getsockname()[1]}"))
        began = time.monotonic()
        asked = [link.call("PING", seconds=0.2) for _ in range(30)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(error, LogAway) for error in found)
        assert time.monotonic() - began < 5
        await link.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://redis.example",
        "unix:///run/redis.sock",
        "valkey://127.0.0.1",
        "dragonfly://127.0.0.1",
        "redis+sentinel://a:1,b:2/name/0",
    ],
)
def test_these_addresses_are_of_logs_that_are_shared(url: str) -> None:
    assert is_shared(url)
    assert isinstance(open_log(url), Degradable)


@pytest.mark.parametrize("url", ["redis+sentinel://host", "redis+sentinel:///name", "redis://h:x"])
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address of the log"):
        open_log(url)


@pytest.mark.parametrize("name", ["", "a b", "{a}", "ä", "x" * 65])
def test_a_name_that_would_spoil_the_keys_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="TIDEWIRE_LOG_NAME"):
        open_log("redis://127.0.0.1", name=name)
