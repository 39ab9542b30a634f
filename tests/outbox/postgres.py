"""A PostgreSQL for the tests: a cluster of its own, in a folder that goes with it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.redisserver import free_port


class Postgres:
    """One cluster, which listens on loopback. It may be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._data = folder / "data"
        self._user: int | str | None = None
        if os.geteuid() == 0:
            # It refuses to run as root.
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self._user = "postgres"

    def make(self) -> None:
        self._run("initdb", "-D", str(self._data), "-U", "tests", "-A", "trust", "--no-sync")

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
            "-c fsync=off -c max_connections=200 -c autovacuum=off"
        )
        log = self._folder / "log"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(log), "-w", "-o", options, "start")

    def kill(self) -> None:
        """Ends it at once; what was committed is there again after the start."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def end(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.kill()

    def url(self, driver: str, database: str) -> str:
        return f"postgresql+{driver}://tests@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [_found(program), *words],
            check=True,
            # Their output is a file's: the server keeps a pipe open as long as it runs.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            user=self._user,
            timeout=60,
        )


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A cluster that runs."""
    # Not in pytest's folder: that is for the one who runs the tests alone.
    folder = Path(tempfile.mkdtemp(prefix="tidewire-postgres-"))
    server = Postgres(folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def _found(program: str) -> str:
    """Debian keeps them beside the path, one folder for each version."""
    paths = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(paths[-1]) if paths else program
