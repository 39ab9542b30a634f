"""A real redis-server for a test: on a port of its own, ended with the test.

It can be killed and started again on the same port, frozen, made a replica, told anything.
"""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from tests.waiting import wait_until

Persistence: TypeAlias = Literal["none", "always", "everysec"]
"""Nothing on disk; or every write, synced before its answer, or once a second."""

Reply: TypeAlias = "str | int | list[Reply] | None"

SLOTS = 16384
"""Hash slots of a cluster."""


class ReplyError(Exception):
    """Redis answered a command with an error; the text begins with its code."""


class Redis:
    """One redis-server. It may be ended and started again on the same port; what it then holds
    is for its persistence to say."""

    def __init__(
        self,
        folder: Path,
        *,
        persistence: Persistence = "none",
        replica_of: "Redis | None" = None,
        cluster: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        """Prepares it; `start` starts it.

        Args:
            folder: where it may keep files; another one for each server.
            persistence: what is left of it after `kill`.
            replica_of: the server that it copies.
            cluster: whether it is a cluster, of one node that has all slots.
            options: further words of the command line.
        """
        self.port = free_port()
        self._folder = folder
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        # A primary would wait five seconds for more replicas before it sends its data.
        self._options = ["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"]
        self._options += ["--save", ""]
        if persistence == "none":
            self._options += ["--appendonly", "no"]
        else:
            self._options += ["--appendonly", "yes", "--appendfsync", persistence]
        if replica_of is not None:
            self._options += ["--replicaof", "127.0.0.1", str(replica_of.port)]
        if cluster:
            # By itself Redis would take the port 10,000 above, which may not exist.
            self._options += ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
        self._options += options

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers, with its data loaded."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self._folder), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, what=lambda: "an answer of redis-server")
        if self._cluster:
            if "cluster_slots_assigned:0" in str(self.command("CLUSTER", "INFO")):
                self.command("CLUSTER", "ADDSLOTSRANGE", "0", str(SLOTS - 1))
            wait_until(self._is_whole, what=lambda: "its slots")

    def kill(self) -> None:
        """Ends it at once, as kill -9 and a lost machine do."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        self.kill()

    def wipe(self) -> None:
        """Removes what it has on disk, while it does not run."""
        assert self._process is None or self._process.poll() is not None, "it runs"
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        (self._folder / "dump.rdb").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Lets it take connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """The first bytes of the answer to an inline command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
            peer.sendall(" ".join(words).encode() + b"\r\n")
            return peer.recv(65536)

    def command(self, *words: str, timeout: float = 5.0) -> Reply:
        """The answer to any command, over a connection of its own.

        Raises:
            ReplyError: it is an error.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as peer:
            parts = [f"*{len(words)}\r\n".encode()]
            for word in words:
                data = word.encode()
                parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
            peer.sendall(b"".join(parts))
            with peer.makefile("rb") as lines:
                return _reply(lines)

    def has_copied(self, primary: "Redis") -> bool:
        """Whether this replica holds all that its primary holds."""
        held = str(self.command("INFO", "replication"))
        offset = f"master_repl_offset:{_offset(primary)}\r\n"
        return "master_link_status:up" in held and offset in held

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server ended"
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def _is_whole(self) -> bool:
        return "cluster_state:ok" in str(self.command("CLUSTER", "INFO"))


@contextmanager
def redis_server(
    folder: Path,
    *,
    persistence: Persistence = "none",
    replica_of: Redis | None = None,
    cluster: bool = False,
    options: Sequence[str] = (),
) -> Iterator[Redis]:
    """A server that runs; the arguments are those of `Redis`."""
    server = Redis(
        folder,
        persistence=persistence,
        replica_of=replica_of,
        cluster=cluster,
        options=options,
    )
    try:
        server.start()
        yield server
    finally:
        server.end()


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _offset(server: Redis) -> int:
    info = str(server.command("INFO", "replication"))
    return int(info.partition("master_repl_offset:")[2].partition("\r\n")[0])


def _reply(lines: BinaryIO) -> Reply:
    line = lines.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the answer was cut")
    kind, text = line[:1], line[1:-2].decode(errors="replace")
    match kind:
        case b"+":
            return text
        case b"-":
            raise ReplyError(text)
        case b":":
            return int(text)
        case b"$":
            return None if text == "-1" else _bulk(lines, int(text))
        case b"*":
            return None if text == "-1" else [_reply(lines) for _ in range(int(text))]
    raise ValueError(f"not an answer of Redis: {line!r}")


def _bulk(lines: BinaryIO, size: int) -> str:
    data = lines.read(size + 2)
    if len(data) != size + 2:
        raise ConnectionError("the answer was cut")
    return data[:-2].decode(errors="replace")
