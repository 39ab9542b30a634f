import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serve.processes import COMMAND, Process, clean_environment, running, url_in


@dataclass
class DevServer:
    process: Process
    url: str
    env: dict[str, str]
    folder: Path


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path)


@pytest.fixture
def dev_server(tmp_path: Path, env: dict[str, str]) -> Iterator[DevServer]:
    """`tidewire serve --dev`, with no configuration at all, on a free port."""
    with running([COMMAND, "serve", "--dev", "--port", "0"], tmp_path, env) as process:
        yield DevServer(process, url_in(process), env, tmp_path)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
