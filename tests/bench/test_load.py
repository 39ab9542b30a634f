"""The load tool of the benches finds what it is there to find."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import getpid

import pytest

from bench.load import LoadError, loading
from bench.servers import FLOOR, Server, paths

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n"


@contextmanager
def answering(frames: Callable[[bytes], bytes]) -> Iterator[Server]:
    """A server of one stream and one publisher that writes what it is told for each body."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            stream, _ = listener.accept()
            stream.recv(65536)
            stream.sendall(HEAD)
            publisher, _ = listener.accept()
            while request := publisher.recv(65536):
                stream.sendall(frames(request.partition(b"\r\n\r\n")[2]))
                publisher.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            publisher.close()
            stream.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield Server("fake", getpid(), listener.getsockname()[1], paths(apart=False))
        thread.join(10)


def once(body: bytes) -> bytes:
    return b"data: " + body + b"\nid: 7\n\n"


def run(frames: Callable[[bytes], bytes]) -> None:
    with answering(frames) as server, loading(server, 1) as load:
        load.open(0, 1)
        load.run(events=3, within=1)


def test_what_comes_once_is_right() -> None:
    run(once)


def test_an_event_that_comes_twice_is_found() -> None:
    with pytest.raises(LoadError, match="3 events repeated"):
        run(lambda body: once(body) * 2)


def test_an_event_that_does_not_come_is_found() -> None:
    with pytest.raises(LoadError, match="3 events lost"):
        run(lambda body: b": nothing\n\n")


def test_the_floor_delivers_everything_and_counts_its_writes() -> None:
    with FLOOR.start() as server, loading(server, 50) as load:
        assert load.open(0, 50).opened == 50
        told = load.run(events=20, batch=10, depth=2)
        assert told.deliveries == 50 * 20
        assert told.writes >= told.deliveries
        again = load.run(close="0-20", open="0-20", hold=0)
        assert again.opened == 20
