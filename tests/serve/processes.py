"""Processes that tests start: the command as a user runs it, and real clients beside it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE
from tests.waiting import wait_until as until

__all__ = ["COMMAND", "Process", "clean_environment", "running", "until", "url_in"]

COMMAND = str(Path(sys.executable).parent / "tidewire")
LISTENING = re.compile(r"(https?://[0-9.]+:[0-9]+)")


class Process:
    """A process whose output is kept in a file, so that nothing blocks on a pipe."""

    def __init__(
        self, command: Sequence[str], folder: Path, env: dict[str, str], cwd: Path | None = None
    ) -> None:
        self.path = folder / f"output-{time.monotonic_ns()}"
        with self.path.open("wb") as output:
            self.popen = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.path.read_text(errors="replace")

    def until(self, text: str, seconds: float = PATIENCE) -> str:
        """Waits until the output has a text; returns the output."""

        def found() -> str:
            ended = self.popen.poll()
            output = self.output
            if text in output:
                return output
            assert ended is None, f"ended with {ended}: {output}"
            return ""

        return until(found, seconds, lambda: f"{text!r} in {self.output}")

    def stop(self, sign: int = signal.SIGTERM, seconds: float = 15.0) -> float:
        """Sends a signal and waits for the end; returns how many seconds it took."""
        began = time.monotonic()
        if self.popen.poll() is None:
            self.popen.send_signal(sign)
            self.popen.wait(seconds)
        return time.monotonic() - began

    def end(self) -> None:
        """Ends it and what it has started, whatever it does."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()


@contextmanager
def running(
    command: Sequence[str], folder: Path, env: dict[str, str], cwd: Path | None = None
) -> Iterator[Process]:
    process = Process(command, folder, env, cwd)
    try:
        yield process
    finally:
        process.end()


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment without settings of ours, with a folder of its own for secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TIDEWIRE_", "SSE_", "NEXTAUTH_"))
    }
    return {**kept, "XDG_RUNTIME_DIR": str(folder), "COLUMNS": "200", **more}


def url_in(process: Process, seconds: float = PATIENCE) -> str:
    """The address that a server printed."""
    match = LISTENING.search(process.until("listens on", seconds))
    assert match is not None
    return match[1]
