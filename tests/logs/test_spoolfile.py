"""A spool on disk: read back whole, torn or foreign; taken over by one process, and brought home
once."""

import errno
import fcntl
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.log import event
from tests.fakes import FakeJournal
from tests.redisserver import Redis
from tests.tcpproxy import Proxy
from tests.waiting import until
from tidewire.core.errors import ConfigurationError, LogAway, SpoolFull
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey
from tidewire.core.position import Edge, Position
from tidewire.core.target import Target
from tidewire.logs import Retention
from tidewire.logs.fallback import FallbackLog, State
from tidewire.logs.link import connector
from tidewire.logs.redis import RedisLog
from tidewire.logs.spool import Bound
from tidewire.logs.spoolfile import SpoolFile, abandoned, prepare
from tidewire.logs.writer import Batch

KEY = IdempotencyKey("ann:\N{SNOWMAN} k", "digest")

AT = 1_764_000_000_000


def batch(first: int, count: int = 1, *, pad: int = 0, key: IdempotencyKey | None = None) -> Batch:
    return Batch([event(first + n, pad) for n in range(count)], first, AT + first, key)


def shown(batches: list[Batch]) -> list[tuple[Any, ...]]:
    return [
        (
            one.first,
            one.accepted_at,
            one.key,
            [(e.type, e.body, e.target, e.session_id, e.id, e.size) for e in one.events],
        )
        for one in batches
    ]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SpoolFile]:
    file = SpoolFile.create(tmp_path, "sproducer")
    yield file
    file.close(remove=False)


def path_of(file: SpoolFile, folder: Path) -> Path:
    return folder / f"{file.producer}.spool"


@contextmanager
def taken_over(folder: Path) -> Iterator[list[SpoolFile]]:
    found = abandoned(folder)
    try:
        yield found
    finally:
        for one in found:
            one.close(remove=False)


def left_by_the_dead(folder: Path, producer: str, batches: list[Batch]) -> Path:
    """The file of a process that has ended."""
    file = SpoolFile.create(folder, producer)
    file.add(batches)
    file.close(remove=False)
    return folder / f"{producer}.spool"


# One file


def test_what_is_added_is_read_back(file: SpoolFile) -> None:
    everything = Event(
        "custom \N{SNOWMAN}",
        {"text": "a\u2028b\r\n\x00\x1e\x1f\\", "list": [1, 2.5, None, True]},
        priority="critical",
        source="tests",
        metadata={"userId": "actor", "sessionId": "s\x1e1", "correlationId": "c"},
        target=Target.of(["a b", "\x1f"], ["A\\e"], ["t"]),
    )
    first = [batch(1, 3), Batch([everything], 4, AT, KEY)]
    second = [batch(5, 2, pad=70_000), batch(7, key=KEY)]
    file.add(first)
    file.add(second)
    assert shown(file.read()) == shown([*first, *second])
    assert all(one.spooled for one in file.read())
    assert file.read()[1].events[0].data == everything.data


def test_an_empty_file_holds_nothing(file: SpoolFile) -> None:
    assert file.read() == []


def test_what_was_brought_home_is_gone_and_what_comes_later_is_read(file: SpoolFile) -> None:
    file.add([batch(1, 5)])
    file.empty()
    assert file.read() == []
    file.add([batch(6)])
    assert shown(file.read()) == shown([batch(6)])


def test_only_the_owner_may_look_into_it(file: SpoolFile, tmp_path: Path) -> None:
    assert stat.S_IMODE(path_of(file, tmp_path).stat().st_mode) == 0o600


def test_a_folder_that_is_made_is_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "spool"
    prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "folder", Path("/proc/nothing")):
        with pytest.raises(ConfigurationError, match="TIDEWIRE_SPOOL_DIR"):
            prepare(folder)


# Torn


def test_a_torn_tail_of_any_length_is_left_out_and_nothing_before_it(tmp_path: Path) -> None:
    path = left_by_the_dead(tmp_path, "storn", [batch(1, 2), batch(3, key=KEY)])
    whole = path.read_bytes()
    last = len(whole)
    longer = left_by_the_dead(tmp_path, "slonger", [batch(1, 2), batch(3, key=KEY), batch(4, 2)])
    data = longer.read_bytes()
    assert data.startswith(whole)
    longer.unlink()
    for end in range(last, len(data)):
        path.write_bytes(data[:end])
        with taken_over(tmp_path) as [file]:
            assert shown(file.read()) == shown([batch(1, 2), batch(3, key=KEY)]), end


def test_a_tail_that_was_never_written_is_left_out(tmp_path: Path) -> None:
    path = left_by_the_dead(tmp_path, "szero", [batch(1)])
    for zeros in (1, 7, 8, 9, 4096):
        whole = path.read_bytes()
        path.write_bytes(whole + bytes(zeros))
        with taken_over(tmp_path) as [file]:
            assert shown(file.read()) == shown([batch(1)]), zeros
        path.write_bytes(whole)


def test_a_bad_checksum_ends_it(tmp_path: Path) -> None:
    path = left_by_the_dead(tmp_path, "sbad", [batch(1), batch(2), batch(3)])
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    for at in (third + 8, third + 40, 2 * third - 1):
        data[at] ^= 1
        path.write_bytes(data)
        with taken_over(tmp_path) as [file]:
            assert shown(file.read()) == shown([batch(1)]), at
        data[at] ^= 1


@pytest.mark.parametrize("failing", ["pwrite", "fdatasync"])
def test_a_write_that_fails_leaves_the_file_as_it_was(
    file: SpoolFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    file.add([batch(1)])
    before = path_of(file, tmp_path).read_bytes()
    pwrite = os.pwrite

    def half(descriptor: int, data: Any, at: int) -> int:
        if at > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, bytes(data)[: len(data) // 2], at)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, half if failing == "pwrite" else fail)
        with pytest.raises(OSError, match=r"space|error"):
            file.add([batch(2, 3)])
    assert path_of(file, tmp_path).read_bytes() == before
    file.add([batch(5)])
    assert shown(file.read()) == shown([batch(1), batch(5)])


def test_a_write_that_comes_in_pieces_is_whole(
    file: SpoolFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, bytes(data)[:7], at))
    file.add([batch(1, 3)])
    assert shown(file.read()) == shown([batch(1, 3)])


# Whose it is


HOLDING = """
import sys
from pathlib import Path
from tidewire.logs.spoolfile import SpoolFile, abandoned
folder = Path(sys.argv[1])
held = SpoolFile.create(folder, "sother") if sys.argv[2] == "make" else abandoned(folder)
print(len(held) if isinstance(held, list) else held.producer, flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path, does: str) -> Iterator[str]:
    """One that makes a file, or takes over what there is; yields what it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder), does],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_process_that_lives_keeps_its_file_and_one_that_was_killed_loses_it(
    tmp_path: Path,
) -> None:
    with another_process(tmp_path, "make") as said:
        assert said == "sother"
        with taken_over(tmp_path) as found:
            assert found == []
    with taken_over(tmp_path) as [file]:
        assert file.producer == "sother"


def test_two_processes_never_take_over_the_same_file(tmp_path: Path) -> None:
    left_by_the_dead(tmp_path, "sdead", [batch(1)])
    with another_process(tmp_path, "take over") as said:
        assert said == "1"
        with taken_over(tmp_path) as found:
            assert found == []


def test_one_process_does_not_take_over_its_own_file(file: SpoolFile, tmp_path: Path) -> None:
    with taken_over(tmp_path) as found:
        assert found == []


def test_what_was_removed_while_it_was_looked_at_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left_by_the_dead(tmp_path, "sgone", [batch(1)])
    flock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        path.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with taken_over(tmp_path) as found:
        assert found == []


def test_a_file_that_is_no_longer_needed_is_removed(tmp_path: Path) -> None:
    for remove in (False, True):
        SpoolFile.create(tmp_path, f"s{remove}").close(remove=remove)
    assert [path.name for path in tmp_path.iterdir()] == ["sFalse.spool"]


def test_a_file_whose_making_was_interrupted_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "shalf.new").touch()
    with taken_over(tmp_path) as found:
        assert found == []
    SpoolFile.create(tmp_path, "sother").close(remove=True)


# Brought home


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
def name() -> str:
    return secrets.token_hex(8)


def log_at(port: int, name: str, folder: Path | None, **more: Any) -> FallbackLog:
    shared = RedisLog(connector(f"redis://127.0.0.1:{port}"), Retention(), name=name)
    return FallbackLog(shared, journal=FakeJournal(), folder=folder, **more)


async def held(log: FallbackLog) -> list[tuple[str, int]]:
    page = await log.read(Edge.EARLIEST, max_bytes=1 << 30)
    return [(entry.id, entry.event().data["n"]) for entry in page.entries]


async def home(log: FallbackLog) -> None:
    await until(lambda: log.state is State.SHARED and log.log.hearing.away is None)


def places(producer: str, batches: list[Batch]) -> list[str]:
    return [str(place) for one in batches for place in one.places(producer)]


async def test_what_a_dead_process_left_comes_home_once_with_its_ids(
    redis: Redis, name: str, tmp_path: Path
) -> None:
    left = [batch(1, 2), batch(3, key=KEY)]
    left_by_the_dead(tmp_path, "sdead001", left)
    log = log_at(redis.port, name, tmp_path)
    await log.open()
    await home(log)
    expected = list(zip(places("sdead001", left), (1, 2, 3), strict=True))
    assert await held(log) == expected
    assert await log.append([event(3)], key=KEY) == left[1].places("sdead001")
    await log.close()
    assert files(tmp_path) == []
    again = log_at(redis.port, name, tmp_path)
    await again.open()
    assert again.state is State.SHARED
    assert await held(again) == expected
    await again.close()


@pytest.mark.parametrize("already", range(4))
async def test_a_spool_of_which_a_part_had_come_home_before_the_crash_comes_home_once(
    redis: Redis, name: str, tmp_path: Path, already: int
) -> None:
    left = [batch(1, 2), batch(3, key=KEY), batch(4, 3)]
    left_by_the_dead(tmp_path, "sdead002", left)
    dying = RedisLog(connector(redis.url), Retention(), name=name)
    if already:
        for one in left[:already]:
            one.spooled = True
        await dying.commit("sdead002", left[:already])
    await dying.close()
    log = log_at(redis.port, name, tmp_path)
    await log.open()
    await home(log)
    assert await held(log) == list(zip(places("sdead002", left), range(1, 7), strict=True))
    await log.close()


async def test_what_several_dead_processes_left_keeps_the_order_of_each(
    redis: Redis, name: str, tmp_path: Path
) -> None:
    for producer in ("sdead003", "sdead004"):
        left_by_the_dead(tmp_path, producer, [batch(1, 300), batch(301, 5)])
    log = log_at(redis.port, name, tmp_path)
    await log.open()
    await home(log)
    found = await held(log)
    for producer in ("sdead003", "sdead004"):
        mine = [n for id_, n in found if id_.endswith(producer)]
        assert mine == list(range(1, 306))
    await log.close()


async def test_two_processes_that_start_at_once_bring_it_home_once(
    redis: Redis, name: str, tmp_path: Path
) -> None:
    left_by_the_dead(tmp_path, "sdead005", [batch(1, 5)])
    logs = [log_at(redis.port, name, tmp_path) for _ in range(3)]
    for log in logs:
        await log.open()
    for log in logs:
        await home(log)
    assert [n for _, n in await held(logs[0])] == [1, 2, 3, 4, 5]
    for log in logs:
        await log.close()


async def test_what_was_accepted_is_on_disk_before_the_publisher_is_told(
    proxy: Proxy, name: str, tmp_path: Path
) -> None:
    log = log_at(proxy.port, name, tmp_path)
    await log.open()
    proxy.refuse()
    [place] = await log.append([event(1)], key=KEY)
    # What another process would find, had this one been killed now.
    [path] = files(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    with taken_over(tmp_path / "copy") as [file]:
        [found] = file.read()
        assert (found.places(file.producer), found.key) == ([place], KEY)
    proxy.pass_on()
    await home(log)
    assert path.stat().st_size == 0
    assert await held(log) == [(str(place), 1)]
    await log.close()
    assert not path.exists()


async def test_a_process_that_ends_while_redis_is_away_leaves_its_spool_to_the_next(
    proxy: Proxy, name: str, tmp_path: Path
) -> None:
    log = log_at(proxy.port, name, tmp_path)
    await log.open()
    proxy.refuse()
    known = await log.append([event(1), event(2)])
    await log.close()
    proxy.pass_on()
    following = log_at(proxy.port, name, tmp_path)
    await following.open()
    await home(following)
    assert await held(following) == [(str(known[0]), 1), (str(known[1]), 2)]
    await following.close()


async def test_a_disk_that_is_full_refuses_with_a_full_spool_and_loses_nothing(
    proxy: Proxy, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(proxy.port, name, tmp_path)
    await log.open()
    proxy.refuse()
    known: list[Position] = await log.append([event(1)])

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(SpoolFull):
            await log.append([event(2)], key=KEY)
        assert log.condition.spooled == 1
    known += await log.append([event(3)], key=KEY)
    proxy.pass_on()
    await home(log)
    assert await held(log) == [(str(known[0]), 1), (str(known[1]), 3)]
    await log.close()


async def test_an_inherited_spool_counts_against_the_bound(
    proxy: Proxy, name: str, tmp_path: Path
) -> None:
    left_by_the_dead(tmp_path, "sdead006", [batch(1, 5)])
    log = log_at(proxy.port, name, tmp_path, bound=Bound(events=5))
    await log.open()
    proxy.refuse()
    if log.state is not State.SHARED:
        with pytest.raises(SpoolFull):
            await log.append([event(6)])
    proxy.pass_on()
    await home(log)
    await log.append([event(6)])
    assert [n for _, n in await held(log)] == [1, 2, 3, 4, 5, 6]
    await log.close()


async def test_where_redis_is_away_at_the_start_nothing_is_taken_over_yet(
    proxy: Proxy, name: str, tmp_path: Path
) -> None:
    path = left_by_the_dead(tmp_path, "sdead007", [batch(1)])
    proxy.refuse()
    log = log_at(proxy.port, name, tmp_path)
    with pytest.raises(LogAway):
        await log.open()
    await log.close()
    with taken_over(tmp_path) as [file]:
        assert shown(file.read()) == shown([batch(1)])
    assert path.exists()
