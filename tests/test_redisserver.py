"""The redis-server of the tests does what the fault suite asks of it."""

from pathlib import Path

import pytest

from tests.redisserver import Redis, ReplyError, redis_server
from tests.waiting import wait_until


def test_what_it_wrote_with_a_synced_log_outlives_kill(tmp_path: Path) -> None:
    with redis_server(tmp_path, persistence="always") as redis:
        redis.command("SET", "key", "a value\r\nof two lines")
        redis.kill()
        redis.start()
        assert redis.command("GET", "key") == "a value\r\nof two lines"
        redis.kill()
        redis.wipe()
        redis.start()
        assert redis.command("GET", "key") is None


def test_without_persistence_it_comes_back_empty_on_its_port(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        url = redis.url
        redis.command("SET", "key", "value")
        redis.kill()
        redis.start()
        assert redis.url == url
        assert redis.command("EXISTS", "key") == 0


def test_frozen_it_answers_nothing_until_it_is_thawed(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.freeze()
        with pytest.raises(TimeoutError):
            redis.command("PING", timeout=0.2)
        redis.thaw()
        assert redis.command("PING") == "PONG"


def test_answers_come_as_python_has_them_and_errors_are_raised(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        assert redis.command("RPUSH", "list", "a", "b") == 2
        assert redis.command("LRANGE", "list", "0", "-1") == ["a", "b"]
        assert redis.command("BLPOP", "none", "0.01") is None
        assert redis.command("CONFIG", "SET", "maxmemory", "1") == "OK"
        with pytest.raises(ReplyError, match=r"^OOM "):
            redis.command("SET", "key", "value")


def test_a_replica_copies_and_can_become_a_primary(tmp_path: Path) -> None:
    folder = tmp_path / "replica"
    folder.mkdir()
    with redis_server(tmp_path) as primary, redis_server(folder, replica_of=primary) as replica:
        primary.command("SET", "key", "value")
        wait_until(lambda: replica.has_copied(primary))
        with pytest.raises(ReplyError, match=r"^READONLY "):
            replica.command("SET", "key", "other")
        replica.command("REPLICAOF", "NO", "ONE")
        primary.command("SET", "late", "lost")
        assert replica.command("SET", "key", "other") == "OK"
        assert replica.command("GET", "late") is None


def test_a_cluster_of_one_takes_every_key_and_refuses_two_slots_in_one_command(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path, cluster=True, persistence="always") as redis:
        assert redis.command("MSET", "{a}x", "1", "{a}y", "2") == "OK"
        with pytest.raises(ReplyError, match=r"^CROSSSLOT "):
            redis.command("MSET", "{a}x", "1", "{b}x", "2")
        redis.kill()
        redis.start()
        assert redis.command("MGET", "{a}x", "{a}y") == ["1", "2"]


def test_ended_twice_or_never_started_it_is_ended(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    server.end()
    server.start()
    server.end()
    server.end()
