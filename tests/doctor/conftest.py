import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doctor.examined import SECRET, Examined, doctor_here, environment
from tests.serve.processes import COMMAND, running, url_in

PAGE = "https://app.example.com"
"""Of an origin that the server allows."""
QUICK = "0.2"
"""Seconds between pings of most servers."""

_users = itertools.count()


@contextmanager
def serving(folder: Path, *words: str, **settings: str) -> Iterator[str]:
    """`tidewire serve` with these settings; yields its URL."""
    given = {"SSE_JWT_SECRET": SECRET, "TIDEWIRE_PING_INTERVAL": QUICK, **settings}
    env = environment(folder, **given)
    root = Path(__file__).parents[2]
    command = [COMMAND, "serve", *words, "--port", "0"]
    with running(command, folder, env, cwd=root) as process:
        yield url_in(process)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in good order, which many tests ask from one address: that may fail often."""
    folder = tmp_path_factory.mktemp("server")
    with serving(
        folder, TIDEWIRE_RATE_LIMITS="auth=10000/minute", TIDEWIRE_CORS_ORIGINS=PAGE
    ) as url:
        yield url


class Doctor:
    """The command, each time for a user who has not asked anything before."""

    def __init__(self, folder: Path) -> None:
        self.env = environment(folder, SSE_JWT_SECRET=SECRET)

    def __call__(self, *words: str, timeout: float | str = 5, **settings: str) -> Examined:
        user = f"user-{next(_users)}"
        words = (*words, "--user", user, "--timeout", str(timeout), "--json")
        return doctor_here(*words, env={**self.env, **settings})


@pytest.fixture
def examine(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)
