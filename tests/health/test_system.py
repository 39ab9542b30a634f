"""What the system says of this process is so."""

import os
import resource
import socket

from tidewire.health import system


def test_memory_is_that_of_this_process() -> None:
    before = system.resident()
    assert before is not None
    held = bytearray(os.urandom(1024)) * 32 * 1024
    after = system.resident()
    assert after is not None
    assert after - before > len(held) // 2


def test_every_socket_that_is_open_is_counted() -> None:
    before = system.open_files()
    assert before is not None
    with socket.socket(), socket.socket():
        assert system.open_files() == before + 2
    assert system.open_files() == before


def test_the_limit_of_files_is_that_of_the_system() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert system.file_limit() in (limit, None)


def test_it_says_where_and_what_it_is() -> None:
    told = system.about()
    assert told["pid"] == os.getpid()
    assert all(told.values())
