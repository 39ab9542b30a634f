"""What readers who stop reading cost: the server's memory, and the other readers' latency.

Pairs of runs, in turn: some readers read while events pass; the same again beside readers who
have stopped. After each pass the stopped ones read on, and must get every event in order.

    .venv/bin/python -m bench.stopped_readers --pairs 5
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.process import LOAD_CPU, SERVER_CPU
from bench.servers import COMMAND

EVENT = re.compile(rb'"n":([0-9]+),"t":([0-9]+)')
PUBLISHER = "userId=publisher&permissions=publish"


@dataclass
class Options:
    pairs: int
    stopped: int
    reading: int
    events: int
    size: int
    rate: int
    batch: int


@dataclass
class Reader:
    """One stream; counts events, checks their order, and times those that are read at once."""

    sock: socket.socket
    expected: int = 0
    rest: bytes = b""
    latencies: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By the second in which they came, milliseconds."""

    async def read(self, *, until: int, timed: bool) -> None:
        loop = asyncio.get_running_loop()
        while self.expected < until:
            data = await loop.sock_recv(self.sock, 1 << 18)
            assert data, "the server closed a stream"
            now = time.monotonic_ns()
            # A chunk of the answer holds whole events, so its framing stands within none.
            text = self.rest + data
            end = 0
            for match in EVENT.finditer(text):
                assert int(match[1]) == self.expected, f"{int(match[1])} came, not {self.expected}"
                self.expected += 1
                end = match.end()
                if timed:
                    second = now // 1_000_000_000
                    self.latencies[second].append((now - int(match[2])) / 1e6)
            self.rest = text[end:][-128:]


async def connect(url: str, user: str, receive_buffer: int | None = None) -> Reader:
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (address.hostname, address.port))
    request = f"GET /api/sse?userId={user} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n"
    await loop.sock_sendall(sock, request.encode())
    received = b""
    while b"event: connected" not in received:
        received += await loop.sock_recv(sock, 65536)
    return Reader(sock)


async def publish(url: str, options: Options) -> None:
    """Publishes at the given rate over one connection, batch by batch."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    padding = "x" * options.size
    began = time.monotonic()
    for first in range(0, options.events, options.batch):
        await asyncio.sleep(max(0, began + first / options.rate - time.monotonic()))
        stamp = time.monotonic_ns()
        events = [
            {"type": "bench", "data": {"n": n, "t": stamp, "p": padding}}
            for n in range(first, min(first + options.batch, options.events))
        ]
        body = json.dumps({"events": events}, separators=(",", ":")).encode()
        writer.write(
            f"POST /api/realtime/publish?{PUBLISHER} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        length = re.search(rb"content-length: ([0-9]+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def kernel_bytes(readers: list[Reader]) -> int:
    """Bytes that the kernel holds for these streams: sent and not yet read, both ends."""
    ports = {reader.sock.getsockname()[1] for reader in readers}
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        if {int(local.split(":")[1], 16), int(remote.split(":")[1], 16)} & ports:
            sending, receiving = queues.split(":")
            held += int(sending, 16) + int(receiving, 16)
    return held


@dataclass
class Result:
    grown: int
    kernel: int
    typical: float
    overall: float


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """A development server on its own core: its address and its process id."""
    server = subprocess.Popen(
        [COMMAND, "serve", "--dev", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the access log
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CPU}),
    )
    try:
        assert server.stdout is not None
        url = None
        while url is None:
            url = re.search(r"http://[0-9.]+:[0-9]+", server.stdout.readline())
        yield url[0], server.pid
    finally:
        server.terminate()
        server.communicate()


async def measure(url: str, pid: int, options: Options, stopped: int) -> Result:
    sleepers = [await connect(url, f"sleeper-{n}", 65536) for n in range(stopped)]
    readers = [await connect(url, f"reader-{n}") for n in range(options.reading)]
    before = memory(pid)
    await asyncio.gather(
        publish(url, options),
        *(reader.read(until=options.events, timed=True) for reader in readers),
    )
    grown = memory(pid) - before
    kernel = kernel_bytes(sleepers)
    # Each must get all of it, in order; read() fails otherwise.
    await asyncio.gather(*(s.read(until=options.events, timed=False) for s in sleepers))
    seconds: dict[int, list[float]] = defaultdict(list)
    for reader in readers:
        for second, values in reader.latencies.items():
            seconds[second] += values
    for reader in readers + sleepers:
        reader.sock.close()
    # The first and the last second are not whole.
    whole = [seconds[second] for second in sorted(seconds)[1:-1]]
    typical = statistics.median(p99(values) for values in whole)
    return Result(grown, kernel, typical, p99([v for values in whole for v in values]))


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def run(options: Options, stopped: int) -> Result:
    with serving() as (url, pid):
        return asyncio.run(measure(url, pid, options, stopped))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in Options(5, 50, 5, 20_000, 1024, 2_000, 10).__dict__.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = Options(**vars(parser.parse_args()))
    os.sched_setaffinity(0, {LOAD_CPU})
    gc.disable()  # pauses of the load tool would count as the server's
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{options.events:,} events of {options.size} bytes at {options.rate:,}/s to "
        f"{options.reading} readers; with {options.stopped} stopped readers against none"
    )
    print("p99: of the typical second (the median of all seconds' p99), and of the whole run")
    print("pair   RSS/stopped   kernel/stopped   with      without   ratio   whole run: ratio")
    rows = []
    for pair in range(options.pairs):
        without = run(options, 0)
        beside = run(options, options.stopped)
        rows.append(
            (
                (beside.grown - without.grown) / options.stopped / 1024,
                beside.kernel / options.stopped / 1024,
                beside.typical,
                without.typical,
                beside.typical / without.typical,
                beside.overall / without.overall,
            )
        )
        show(f"{pair + 1:6}", rows[-1])
    columns = tuple(statistics.median(column) for column in zip(*rows, strict=True))
    show("median", columns)


def show(name: str, row: tuple[float, ...]) -> None:
    rss, kernel, beside, without, ratio, overall = row
    print(
        f"{name} {rss:8.1f} KiB   {kernel:10.1f} KiB   {beside:5.2f} ms   {without:5.2f} ms   "
        f"{ratio:5.2f}   {overall:10.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
