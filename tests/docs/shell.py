"""Commands of pages, run as they stand there: against real servers, on free ports.

What ends is run to its end, and must end well. What goes on (a server, an open stream) is started,
and must come to work; it lives until the page is over.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tests.serve.processes import Process, running, until, url_in

ADDRESSES: Final = (
    "http://127.0.0.1:8000",
    "https://events.example.com",
    "https://example.com/live",
)
REDIS: Final = "redis://127.0.0.1:6379/0"
_SERVER: Final = re.compile(r"(?:\w+=\S+ )*(tidewire serve|scripts/serve)\b")
_STREAM: Final = re.compile(r"curl -N\b")
_TAIL: Final = re.compile(r"tidewire tail\b")
_EXPORT: Final = re.compile(r"export \w+=")
_JUDGING: Final = re.compile(r"tidewire doctor\b")
"""What ends with 1 where it finds something: on this machine it may."""
_SHOWING: Final = re.compile(r"curl -i\b")
"""What shows a refusal."""


def commands_of(code: str) -> list[str]:
    """The commands of a block: its lines, joined where one goes on in the next."""
    joined = re.sub(r"\\\n\s*", " ", code)
    lines = [re.sub(r"(?:^|\s+)#\s.*$", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line]


class Shell:
    """Runs the blocks of a page, with one environment."""

    def __init__(
        self,
        folder: Path,
        env: dict[str, str],
        *,
        url: str,
        words: dict[str, str],
        publish: Callable[[str], object],
    ) -> None:
        """Takes what is there already: a server at ``url``, and what stands for the words that
        pages leave to their readers; ``publish`` publishes something at an address."""
        self._folder = folder
        self._env = env
        self._url = url
        self._words = words
        self._publish = publish
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, code: str) -> None:
        """Runs a block; fails with what a command has said."""
        commands = commands_of(code)
        # Several are a choice for the reader, and not what the next lines speak of.
        is_choice = sum(map(bool, map(_SERVER.match, commands))) > 1
        for command in commands:
            filled = self._filled(command)
            if _EXPORT.match(command):
                self._export(filled)
            elif _SERVER.match(command):
                plain = re.sub(r" --port \d+", "", filled)
                url = url_in(self._start(f"{plain} --port 0"))
                self._url = self._url if is_choice else url
            elif _STREAM.match(command):
                self._start(filled).until("event: connected")
            elif _TAIL.match(command):
                self._tail(filled)
            else:
                self._finish(filled)

    def _filled(self, command: str) -> str:
        for address in ADDRESSES:
            command = command.replace(address, self._url)
        for word, value in self._words.items():
            command = re.sub(word, value, command)
        return command

    def _export(self, command: str) -> None:
        shown = self._shell(f"{command}; env -0", self._env)
        for item in shown.split("\0"):
            name, _, value = item.partition("=")
            if name and name not in ("_", "PWD", "SHLVL", "OLDPWD"):
                self._env[name] = value

    def _start(self, command: str) -> Process:
        words = ["sh", "-c", f"exec env {command}"]
        env = self._env | {"TIDEWIRE_URL": self._url}
        return self._stack.enter_context(running(words, self._folder, env, cwd=self._folder))

    def _tail(self, command: str) -> None:
        process = self._start(command)

        def told() -> bool:
            self._publish(self._url)
            assert process.popen.poll() is None, process.output
            return bool(process.output.strip())

        until(told, 15)

    def _finish(self, command: str) -> None:
        env = self._env | {"TIDEWIRE_URL": self._url}
        if assigned := re.fullmatch(r"(\w+)=(\$\(.*\)|\S+)", command):
            self._env[assigned[1]] = self._shell(f"echo {assigned[2]}", env).strip()
        elif _JUDGING.match(command):
            self._shell(f"{command}; [ $? -lt 2 ]", env)
        elif _SHOWING.match(command):
            assert self._shell(f"{command}; [ $? -eq 22 ]", env).startswith("HTTP/1.1 4")
        else:
            self._shell(command, env)

    def _shell(self, command: str, env: dict[str, str]) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self._folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def search_path() -> str:
    """Where commands are found: those of this environment first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
