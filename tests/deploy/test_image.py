"""The Dockerfile: that it follows the rules of the trade, and that what it runs makes a server."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.proxies import DEPLOY
from tests.faults.cluster import SECRET
from tests.redisserver import free_port
from tests.serve.processes import clean_environment, running
from tests.waiting import wait_until

ROOT: Final = DEPLOY.parent
FILE: Final = DEPLOY / "docker/Dockerfile"
IGNORED: Final = DEPLOY / "docker/Dockerfile.dockerignore"
BUILD_SECONDS: Final = 200


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile."""

    word: str
    rest: str

    @property
    def flags(self) -> dict[str, str]:
        """What stands before everything else, as ``--from=build``."""
        return dict(re.findall(r"--([a-z-]+)=(\S+)", self.rest.partition("[")[0]))

    @property
    def words(self) -> list[str]:
        """The rest without the flags."""
        return [word for word in shlex.split(self.rest) if not word.startswith("--")]


def instructions(text: str) -> list[Instruction]:
    """Reads a Dockerfile: comments left out, lines that go on joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    parted = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [Instruction(word, rest.strip()) for word, _, rest in parted]


def stages(all_of_it: Sequence[Instruction]) -> list[list[Instruction]]:
    """The instructions of each stage; each begins with its FROM."""
    found: list[list[Instruction]] = []
    for each in all_of_it:
        if each.word == "FROM":
            found.append([])
        found[-1].append(each)
    return found


STAGES: Final = stages(instructions(FILE.read_text()))
BUILD, FINAL = STAGES


def named(stage: Sequence[Instruction], word: str) -> list[Instruction]:
    return [each for each in stage if each.word == word]


def test_each_image_has_a_tag_that_says_more_than_a_number_and_no_registry() -> None:
    for stage in STAGES:
        image = stage[0].words[0]
        name, _, tag = image.partition(":")
        assert re.fullmatch(r"[a-z]+", name), image
        assert re.fullmatch(r"\d+\.\d+-[a-z-]+", tag), image
    # What is made in the one runs in the other.
    assert STAGES[0][0].words[0] == STAGES[1][0].words[0]


def test_nothing_is_fetched_or_executed_that_a_layer_should_not_hold() -> None:
    for stage in STAGES:
        assert not named(stage, "ADD")
        assert not named(stage, "MAINTAINER")
        for run in named(stage, "RUN"):
            text = run.rest
            assert "sudo" not in text
            assert "curl" not in text
            assert "cd " not in text, "WORKDIR says where"
            if "apt-get" in text:
                assert "--no-install-recommends" in text
                assert "-y" in text
                assert "rm -rf /var/lib/apt/lists/*" in text
            if "pip install" in text:
                assert "--constraint constraints.txt" in text, "versions are pinned"
    environment = " ".join(each.rest for each in named(BUILD, "ENV"))
    assert "PIP_NO_CACHE_DIR=1" in environment
    for each in named(BUILD, "WORKDIR") + named(FINAL, "WORKDIR"):
        assert each.rest.startswith("/")


def test_no_secret_is_in_the_image() -> None:
    for stage in STAGES:
        for each in named(stage, "ENV") + named(stage, "ARG"):
            assert not re.search(r"SECRET|TOKEN|PASSWORD", each.rest)


def test_what_changes_seldom_is_copied_first() -> None:
    copied = [word for each in named(BUILD, "COPY") for word in each.words[:-1]]
    assert copied[-1] == "src"
    assert copied.index("constraints.txt") < copied.index("src")
    order = [each.word for each in BUILD]
    assert "RUN" in order[order.index("COPY") : len(order) - order[::-1].index("COPY")]
    for name in copied:
        assert (ROOT / name).exists(), name


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    rules = [line for line in IGNORED.read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    wanted = {word.split("/")[0] for each in named(BUILD, "COPY") for word in each.words[:-1]}
    assert let_in == wanted


def test_it_runs_as_a_number_that_is_not_root_and_tells_how_it_is() -> None:
    words = [each.word for each in FINAL]
    [user] = named(FINAL, "USER")
    assert int(user.rest) > 0
    assert words.index("USER") < words.index("CMD")
    assert f"--uid {user.rest} " in named(FINAL, "RUN")[0].rest
    [health] = named(FINAL, "HEALTHCHECK")
    command = health.rest.partition("CMD ")[2]
    assert json.loads(command)[0] == "python"
    assert "/readyz" in command
    [stop] = named(FINAL, "STOPSIGNAL")
    assert stop.rest == "SIGTERM"
    [run] = named(FINAL, "CMD")
    # As JSON: a shell in between would not pass the signal on.
    assert json.loads(run.rest)[:2] == ["tidewire", "serve"]


class Sandbox:
    """A folder that stands for the root of an image."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.environment = clean_environment(folder, HOME=str(folder))
        # The interpreter of the image is the one below that of the tests.
        python = folder / "bin/python"
        python.parent.mkdir()
        python.symlink_to(Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name)
        self.environment["PATH"] = f"{python.parent}:{os.environ['PATH']}:/usr/sbin"
        self._workdir = folder

    def here(self, text: str) -> str:
        """The same text with its absolute paths within the folder."""
        return re.sub(r"(?<![\w.$/}-])/(opt|var|source)\b", rf"{self.root}/\1", text)

    def carry_out(self, stage: Sequence[Instruction]) -> None:
        """What a builder does with these instructions."""
        for each in stage:
            match each.word:
                case "WORKDIR":
                    self._workdir = Path(self.here(each.rest))
                    self._workdir.mkdir(parents=True, exist_ok=True)
                case "ENV":
                    told = (word.partition("=") for word in each.words)
                    for name, _, value in told:
                        value = self.here(value).replace("$PATH", self.environment["PATH"])
                        self.environment[name] = value
                case "COPY" if "from" not in each.flags:
                    *names, target = each.words
                    for name in names:
                        self._copy(ROOT / name, self._workdir / target, as_it=len(names) == 1)
                case "RUN":
                    self._run(each.rest)

    def _copy(self, source: Path, target: Path, *, as_it: bool) -> None:
        ignored = [rule[3:] for rule in IGNORED.read_text().splitlines() if rule[:3] == "**/"]

        def leave_out(_: str, names: list[str]) -> set[str]:
            return {name for name in names for rule in ignored if fnmatch.fnmatch(name, rule)}

        if source.is_dir():
            shutil.copytree(source, target, ignore=leave_out, dirs_exist_ok=True)
            return
        place = target if as_it and not target.is_dir() else target / source.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)

    def _run(self, script: str) -> None:
        (self.root / "etc").mkdir(exist_ok=True)
        # A real useradd, which writes the accounts of the folder and not those of this machine.
        shim = f'useradd() {{ command useradd --prefix "{self.root}" "$@"; }}\n'
        done = subprocess.run(
            ["sh", "-e", "-c", shim + self.here(script)],
            cwd=self._workdir,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.mark.timeout(300)
def test_its_steps_make_a_server_that_is_ready(folder: Path) -> None:
    image = Sandbox(folder)
    # A cache only makes it faster.
    image.carry_out([each for each in BUILD if "PIP_NO_CACHE_DIR" not in each.rest])
    image.carry_out(FINAL)
    assert re.match("tidewire:.:10001:", (folder / "etc/passwd").read_text())
    assert (folder / "var/lib/tidewire").stat().st_uid == 10001
    assert not list((folder / "source").rglob("__pycache__"))

    command = json.loads(named(FINAL, "CMD")[0].rest)
    port = free_port()
    command[command.index("--port") + 1] = str(port)
    health = json.loads(named(FINAL, "HEALTHCHECK")[0].rest.partition("CMD ")[2])
    health[-1] = health[-1].replace(":8000/", f":{port}/")
    env = {**image.environment, "SSE_JWT_SECRET": SECRET}
    command[0] = str(folder / "opt/tidewire/bin" / command[0])
    with running(command, folder, env, cwd=folder / "var/lib/tidewire") as server:
        server.until("listens on")

        def ready() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)

        wait_until(ready)
        assert subprocess.run(health, env=env, check=False, timeout=10).returncode == 0
        server.stop()
        assert server.popen.returncode in (0, -signal.SIGTERM), server.output
    assert subprocess.run(health, env=env, check=False, timeout=10, stderr=-3).returncode != 0
