"""The command ``tidewire doctor`` as a user runs it, and what it found."""

import io
import json
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.serve.processes import COMMAND, clean_environment
from tidewire.serve.cli import main

SECRET = "the-doctor-knows-this-secret-0123456789"
OTHER_SECRET = "nobody-here-knows-this-one-9876543210"
AHEAD = "AHEAD_SECONDS"
"""How far the clock of `tests.doctor.skewed` is ahead."""
ELSEWHERE = ("REDIS_URL", "DRAGONFLY_URL", "RATE_LIMIT_REDIS_URL", "WEB_CONCURRENCY")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment with no setting but these."""
    env = clean_environment(folder)
    for name in ELSEWHERE:
        env.pop(name, None)
    return {**env, **more}


@dataclass(frozen=True)
class Examined:
    """What came of it."""

    code: int
    output: str
    errors: str

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        """By the names of the checks, in their order."""
        return {finding["check"]: finding for finding in json.loads(self.output)}

    @property
    def wrong(self) -> dict[str, str]:
        """What did not pass, and was not skipped."""
        return {
            name: finding["status"]
            for name, finding in self.findings.items()
            if finding["status"] in ("warn", "fail")
        }

    def named(self, check: str) -> dict[str, Any]:
        """The finding of the only check that did not pass, which is this one."""
        assert list(self.wrong) == [check], json.dumps(
            [self.findings[name] for name in self.wrong], indent=1
        )
        failed = self.wrong[check] == "fail"
        assert self.code == (1 if failed else 0)
        return self.findings[check]


def doctor(*words: str, env: dict[str, str]) -> Examined:
    """Runs it to its end, in a process of its own."""
    done = subprocess.run(
        [COMMAND, "doctor", *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Examined(done.returncode, done.stdout, done.stderr)


def doctor_here(*words: str, env: dict[str, str]) -> Examined:
    """Runs it in this process, which is quicker: there are many things that can be wrong."""
    output, errors = io.StringIO(), io.StringIO()
    code = 0
    with (
        patch.dict(os.environ, env, clear=True),
        patch("sys.argv", ["tidewire", "doctor", *words]),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Examined(code, output.getvalue(), errors.getvalue())
