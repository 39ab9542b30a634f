import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.certificate import Certificate
from tests.deploy.proxies import CADDY, HAPROXY, NGINX_ALONE, Proxy, standing
from tests.redisserver import free_port
from tests.serve.processes import Process, running

CLIENT: Final = Path(__file__).parents[2] / "client"
SUITE: Final = ["npx", "vitest", "run", "--project", "client", "tests/contract.test.ts"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session", autouse=True)
def contracts(
    request: pytest.FixtureRequest,
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, tuple[Process, Proxy]]]:
    """The client's contract suite through each proxy, by its name.

    They are begun before all other tests, for they wait most of the time, and are asked for after
    them.
    """
    if not any("test_transports" in item.nodeid for item in request.session.items):
        yield {}
        return
    assert (CLIENT / "node_modules").exists(), "npm ci --prefix client"
    with ExitStack() as stack:
        begun = {}
        for kind in (NGINX_ALONE, CADDY, HAPROXY):
            folder, behind = tmp_path_factory.mktemp("through"), free_port()
            proxy = stack.enter_context(standing(kind, [behind], certificate, folder))
            env = {
                **os.environ,
                "BEHIND_PROXY": f"{proxy.url} {behind}",
                "NODE_EXTRA_CA_CERTS": str(certificate.file),
                "NO_COLOR": "1",
            }
            output = tmp_path_factory.mktemp("suite")
            suite = stack.enter_context(running(SUITE, output, env, cwd=CLIENT))
            begun[kind.name] = suite, proxy
        yield begun


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One that is removed at once: an installation is large."""
    made = tmp_path_factory.mktemp("clean")
    yield made
    shutil.rmtree(made)
