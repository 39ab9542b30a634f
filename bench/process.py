"""What the system tells of a process and of its sockets."""

import contextlib
import os
import re
import resource
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVER_CPU: Final = 0
LOAD_CPU: Final = min(1, (os.cpu_count() or 1) - 1)
END_SECONDS: Final = 5


def cpu_seconds(pid: int) -> float:
    """What a process has spent of its processor, user and system time of all its threads.

    The scheduler's own count, in nanoseconds: utime and stime of ``/proc/PID/stat`` are the same
    time in ticks of 10 ms.
    """
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # One may end at this very moment.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def write_calls(pid: int) -> int:
    """How often a process has called ``write`` or ``writev``; ``send`` and its like are not among
    them (see `bench.fanout`, which counts both with strace)."""
    found = re.search(r"syscw: ([0-9]+)", Path(f"/proc/{pid}/io").read_text())
    assert found is not None
    return int(found[1])


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(frozen=True)
class KernelMemory:
    """Bytes that the kernel holds: for data of TCP, and in slabs, where its sockets are."""

    tcp: int
    slab: int

    @classmethod
    def now(cls) -> "KernelMemory":
        pages = re.search(r"^TCP:.* mem ([0-9]+)", _read("/proc/net/sockstat"), re.MULTILINE)
        slab = re.search(r"^Slab: +([0-9]+) kB", _read("/proc/meminfo"), re.MULTILINE)
        assert pages is not None
        assert slab is not None
        return cls(int(pages[1]) * resource.getpagesize(), int(slab[1]) * 1024)


def _read(path: str) -> str:
    return Path(path).read_text()


def address(server: subprocess.Popen[str]) -> str:
    """Where a server listens, which it says on its standard output."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"http://[0-9.]+:[0-9]+", line):
            return found[0]
    raise AssertionError("the server did not start")


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, cpu: int = SERVER_CPU
) -> Iterator[subprocess.Popen[str]]:
    """A process on its own core, whose standard output is read here; ended with the block."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
