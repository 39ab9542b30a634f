"""The proxy fails exactly as it is told to, seen from both of its sides."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redisserver import Redis, redis_server
from tests.tcpproxy import Proxy, tcp_proxy
from tests.waiting import wait_until

SHORT = 0.2
"""Seconds after which what has not come is not expected."""


class Peer:
    """A client of Redis that speaks inline commands and looks at bytes."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode() + b"\r\n")

    def ask(self, text: str) -> bytes:
        self.send(text)
        return self.sock.recv(65536)

    def hears_nothing(self) -> bool:
        self.sock.settimeout(SHORT)
        try:
            self.sock.recv(1)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            self.sock.settimeout(5)

    def was_reset(self) -> bool:
        try:
            self.sock.recv(65536)
        except ConnectionResetError:
            return True
        return False


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(Path(tmp_path_factory.mktemp("redis"))) as redis:
        yield redis


@pytest.fixture
def proxy(redis: Redis) -> Iterator[Proxy]:
    redis.command("FLUSHALL")
    with tcp_proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
def peer(proxy: Proxy) -> Iterator[Peer]:
    peer = Peer(proxy.port)
    assert peer.ask("PING") == b"+PONG\r\n"
    yield peer
    peer.sock.close()


def test_everything_passes_at_first(proxy: Proxy, peer: Peer) -> None:
    assert peer.ask("SET key " + "x" * 10_000) == b"+OK\r\n"
    assert peer.ask("STRLEN key") == b":10000\r\n"
    peer.sock.close()
    wait_until(lambda: proxy.connections == 0)


def test_refusing_resets_what_is_open_and_takes_no_more(proxy: Proxy, peer: Peer) -> None:
    proxy.refuse()
    assert peer.was_reset()
    with pytest.raises(ConnectionRefusedError):
        Peer(proxy.port)
    proxy.pass_on()
    with Peer(proxy.port).sock as sock:
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"


def test_a_black_hole_closes_nothing_and_passes_nothing(
    redis: Redis, proxy: Proxy, peer: Peer
) -> None:
    proxy.black_hole()
    peer.send("SET old 1")
    new = Peer(proxy.port)
    new.send("SET new 1")
    assert peer.hears_nothing()
    assert new.hears_nothing()
    assert redis.command("EXISTS", "old", "new") == 0
    proxy.pass_on()
    assert peer.sock.recv(100) == b"+OK\r\n"
    assert new.sock.recv(100) == b"+OK\r\n"
    new.sock.close()


def test_what_was_given_up_in_a_black_hole_may_still_arrive_later(
    redis: Redis, proxy: Proxy, peer: Peer
) -> None:
    proxy.black_hole()
    peer.send("SET late 1")
    peer.sock.close()
    proxy.pass_on()
    wait_until(lambda: redis.command("EXISTS", "late") == 1)


def test_swallowed_answers_never_come_though_the_request_had_its_effect(
    redis: Redis, proxy: Proxy, peer: Peer
) -> None:
    proxy.swallow_answers()
    peer.send("SET key 1")
    new = Peer(proxy.port)
    new.send("INCR key")
    wait_until(lambda: redis.command("GET", "key") == "2")
    assert peer.hears_nothing()
    assert new.hears_nothing()
    proxy.pass_on()
    assert peer.was_reset()
    assert new.was_reset()
    new.sock.close()


def test_a_cut_answer_passes_in_part_and_then_the_connection_is_reset(
    proxy: Proxy, peer: Peer
) -> None:
    peer.ask("SET key " + "x" * 1000)
    proxy.cut_answers(longer_than=500, times=1)
    assert peer.ask("PING") == b"+PONG\r\n"
    part = peer.ask("GET key")
    assert part.startswith(b"$1000\r\nxxx")
    assert 400 < len(part) < 600
    assert peer.was_reset()
    assert proxy.cuts == 1
    with Peer(proxy.port).sock as sock:
        sock.sendall(b"STRLEN key\r\n")
        assert sock.recv(100) == b":1000\r\n"


def test_the_whole_answer_to_a_certain_request_can_be_lost(
    redis: Redis, proxy: Proxy, peer: Peer
) -> None:
    proxy.cut_answers(request=b"number", keep=0, times=2)
    assert peer.ask("PING") == b"+PONG\r\n"
    # The word comes in two pieces.
    peer.sock.sendall(b"INCR num")
    peer.sock.sendall(b"ber\r\n")
    assert peer.was_reset()
    again = Peer(proxy.port)
    again.send("INCR number")
    assert again.was_reset()
    again.sock.close()
    wait_until(lambda: redis.command("GET", "number") == "2")
    third = Peer(proxy.port)
    assert third.ask("INCR number") == b":3\r\n"
    third.sock.close()
    assert proxy.cuts == 2


def test_a_switch_resets_and_leads_to_the_other_server(
    tmp_path: Path, proxy: Proxy, peer: Peer
) -> None:
    with redis_server(tmp_path) as other:
        other.command("SET", "who", "other")
        proxy.switch(other.port)
        assert peer.was_reset()
        with Peer(proxy.port).sock as sock:
            sock.sendall(b"GET who\r\n")
            assert sock.recv(100) == b"$5\r\nother\r\n"


def test_a_server_that_is_gone_shows_as_a_reset(proxy: Proxy) -> None:
    proxy.switch(1)
    with pytest.raises(ConnectionResetError), Peer(proxy.port).sock as sock:
        sock.recv(1)
