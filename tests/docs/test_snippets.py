"""What pages show is run as it stands there, or says why not."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from scripts.site.markdown import remarks
from tests.docs.pages import ROOT, Snippet, files_of, pages, snippets
from tests.docs.shell import REDIS, Shell, commands_of, search_path
from tests.redisserver import Redis, redis_server
from tests.serve.processes import COMMAND, clean_environment, running, url_in

NOT_RUN = "not run: "
SECRET = "a-secret-of-the-tests-of-more-than-32-bytes"

# Commands that set an environment up, or run all tests: of pages that say no more than that.
SETTING_UP = {
    "README.md": "scripts/serve",
    "CONTRIBUTING.md": "scripts/serve",
    "examples/react/README.md": "examples/react/start",
}

# Pages that tests of their own run, beside what they are about.
ELSEWHERE = {
    "docs/deployment.md": "tests/deploy",
    "docs/integrations.md": "tests/examples",
    "docs/outbox.md": "tests/outbox",
    "docs/performance.md": "tests/bench",
    "docs/python-client.md": "tests/client",
    "docs/testing.md": "tests/plugin",
    "docs/tutorial.md": "tests/docs",
    "examples/django/README.md": "tests/examples",
    "examples/fastapi/README.md": "tests/examples",
    "examples/flask/README.md": "tests/examples",
    "examples/nextjs/README.md": "tests/examples",
    "examples/plain/README.md": "tests/docs",
    "examples/starlette/README.md": "tests/examples",
}

# What pages leave to their readers.
PRESUPPOSED = {
    "docs/embedding.md": """
from contextlib import asynccontextmanager
from starlette.middleware.cors import CORSMiddleware
async def read_rows(): return []
""",
    "docs/migrating.md": "",
}


def is_told(snippet: Snippet) -> bool:
    """Whether a block says why it is not run, or its page why it is not run here."""
    page = str(snippet.page)
    first = (commands_of(snippet.block.code) or [""])[0]
    return (
        snippet.block.remark.startswith(NOT_RUN)
        or page in ELSEWHERE
        or (page in SETTING_UP and first == SETTING_UP[page])
    )


def of_pages(*languages: str) -> list[list[Snippet]]:
    """The blocks that are run, by pages."""
    found = [snippet for snippet in snippets(*languages) if not is_told(snippet)]
    return [list(group) for _, group in groupby(found, key=lambda snippet: snippet.page)]


def page_of(group: list[Snippet]) -> str:
    return str(group[0].page)


# Python


@pytest.mark.parametrize("group", of_pages("python"), ids=page_of)
def test_the_python_of_a_page_runs_from_its_beginning_to_its_end(
    group: list[Snippet], tmp_path: Path
) -> None:
    blocks = [(snippet.name, snippet.block.code) for snippet in group]
    given = [("what the page presupposes", PRESUPPOSED.get(page_of(group), "")), *blocks]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "tests/docs/page_runner.py")],
        input=json.dumps(given),
        cwd=tmp_path,
        env=clean_environment(tmp_path, SSE_JWT_SECRET=SECRET, SECRET_KEY=SECRET),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snippet", list(snippets("python")), ids=lambda each: each.name)
def test_python_is_python_and_imports_what_is_there(snippet: Snippet) -> None:
    tree = compile(
        snippet.block.code,
        snippet.name,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST,
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tidewire"):
            module = import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), node.module


# Commands


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=a"
    subprocess.run(made.split(), cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def lay_out(folder: Path, page: Path, certificate: Path) -> None:
    """Puts into a folder what somebody has who follows a page: the shop of the README, the files
    that the page shows whole, a certificate, and the keys of an issuer."""
    for name, content in {**files_of(Path("README.md")), **files_of(page)}.items():
        if name.endswith(".py"):
            (folder / name).write_text(content)
    for path in certificate.iterdir():
        shutil.copy(path, folder)
    # By itself curl ends well whatever the answer is.
    (folder / ".curlrc").write_text("fail-with-body\n")
    (folder / "keys.json").write_text('{"keys": []}')


def publish_at(url: str) -> str:
    """Publishes something for alice; returns its id."""
    event = {"type": "notification", "data": {"title": "Hello", "message": "It works"}}
    body = {**event, "metadata": {"userIds": ["alice"]}}
    query = "userId=alice&permissions=publish"
    answer = httpx.post(f"{url}/api/realtime/publish?{query}", json=body, timeout=5)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ids"][0])


@pytest.fixture(scope="module")
def development(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, dict[str, str]]]:
    """A development server, and the environment of a shell beside it. Pings come at once, so that
    nobody has to wait for them."""
    folder = tmp_path_factory.mktemp("development")
    env = clean_environment(
        folder,
        PATH=search_path(),
        TIDEWIRE_PING_INTERVAL="1",
        SSE_JWT_SECRET=SECRET,
        SECRET_KEY=SECRET,
        TOKEN="of-nobody",
    )
    with running([COMMAND, "serve", "--dev", "--port", "0"], folder, env, cwd=folder) as server:
        yield url_in(server), env


@pytest.mark.parametrize("group", of_pages("sh"), ids=page_of)
def test_the_commands_of_a_page_do_what_they_should(
    group: list[Snippet],
    tmp_path: Path,
    certificate: Path,
    development: tuple[str, dict[str, str]],
    redis: Redis,
) -> None:
    url, env = development
    lay_out(tmp_path, group[0].page, certificate)
    words = {
        re.escape(REDIS): f"{redis.url}/0",
        re.escape("https://login.example.com/.well-known/jwks.json"): "keys.json",
        r"\bID\b": publish_at(url),
        r"serve shop:app --workers": f"serve shop:app --log {redis.url}/0 --workers",
    }
    own = env | {"CURL_HOME": str(tmp_path)}
    with Shell(tmp_path, own, url=url, words=words, publish=publish_at) as shell:
        for snippet in group:
            shell.run(snippet.block.code)


# Configuration


@pytest.mark.parametrize("snippet", list(snippets("nginx")), ids=lambda each: each.name)
def test_the_lines_for_nginx_are_nginx(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(
        f"error_log stderr; pid {tmp_path}/pid; events {{}}\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:1;\n{snippet.block.code}\n}} }}\n"
    )
    done = subprocess.run(
        ["nginx", "-t", "-p", str(tmp_path), "-c", "nginx.conf"],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr


# What is not run


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    told = [text for page in pages() for text in remarks((ROOT / page).read_text("utf-8"))]
    reasons = [text for text in told if text.startswith(NOT_RUN)]
    assert all(len(reason) > len(NOT_RUN) + 10 for reason in reasons)
    assert len(reasons) <= 12


@pytest.mark.parametrize(("page", "tests"), ELSEWHERE.items())
def test_a_page_that_is_run_elsewhere_has_tests_there(page: str, tests: str) -> None:
    if (ROOT / page).exists():
        assert list((ROOT / tests).glob("test_*.py"))


def test_every_block_has_a_language_that_somebody_looks_at() -> None:
    known = {"sh", "python", "ts", "tsx", "js", "html", "json", "nginx", "mermaid", ""}
    known |= {"yaml", "toml", "sql", "dockerfile", "ini", "text", "promql", "caddyfile", "haproxy"}
    for page in pages():
        text = (ROOT / page).read_text("utf-8")
        languages = set(re.findall(r"^ *```([\w-]+)", text, re.M))
        assert languages <= known, page
