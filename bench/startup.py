"""How long the command takes to answer, beside what it cannot do without.

python -m bench.startup --pairs 7

`tidewire --help` beside `import typer`, and `tidewire serve --dev` beside uvicorn with an
application of three lines: from the start of the process to the end, or to the first answer over
HTTP. A FastAPI application of three lines is measured too: it is what one would have otherwise.
Each pair runs them in turn; byte code is compiled before, into a folder of the bench's own, since
what is measured is not the compiler.
"""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.process import address, resident
from bench.table import Target, arguments, measured, pair_ended
from tests.redisserver import redis_server

COMMAND: Final = str(Path(sys.executable).parent / "tidewire")
OURS: Final = re.compile("^(TIDEWIRE_|NEXTAUTH_|SSE_JWT_|DRAGONFLY_|REDIS_|RATE_LIMIT_)")

BARE: Final = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""
FASTAPI: Final = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/livez")
def hello() -> str:
    return "hello"
"""


def run(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds until a command has ended."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


@contextmanager
def served(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[float, int]]:
    """Starts a server: seconds until its first answer, and its process id."""
    began = time.perf_counter()
    server = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        connection = http.client.HTTPConnection(address(server).removeprefix("http://"))
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        took = time.perf_counter() - began
        connection.close()
        yield took, server.pid
    finally:
        server.terminate()
        server.communicate()


def ready(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> float:
    """Seconds until a server has answered."""
    with served(command, environment, folder) as (took, _):
        return took


def main() -> None:
    options = arguments(__doc__, pairs=7).parse_args()
    with (
        tempfile.TemporaryDirectory() as made,
        measured("startup", options, ["what Python has compiled is there already"]) as table,
    ):
        folder = Path(made)
        (folder / "bare.py").write_text(BARE)
        (folder / "framework.py").write_text(FASTAPI)
        environment = {name: text for name, text in os.environ.items() if not OURS.match(name)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {"PYTHONPYCACHEPREFIX": made, "PYTHONUNBUFFERED": "1"}
        uvicorn = [sys.executable, "-m", "uvicorn", "--port", "0"]

        at_most = Target(3, at_most=True, against="import typer")
        helped = table.row("the help", "ms", at_most, subject="tidewire --help")
        at_most = Target(3, at_most=True, against="uvicorn, bare")
        answered = table.row("the first answer", "ms", at_most, subject="tidewire serve --dev")
        workers = "tidewire serve --workers 2"
        parent = table.row("the memory of the parent", "MB", subject=workers)

        for number in range(-1, options.pairs):
            took = {
                "tidewire --help": run([COMMAND, "--help"], environment),
                "import typer": run([sys.executable, "-c", "import typer"], environment),
                "tidewire serve --dev": ready(
                    [COMMAND, "serve", "--dev", "--port", "0"], environment, folder
                ),
                "uvicorn, bare": ready([*uvicorn, "bare:app"], environment, folder),
                "uvicorn, FastAPI": ready([*uvicorn, "framework:app"], environment, folder),
            }
            if number < 0:
                # It was for the compiler.
                continue
            for series, seconds in took.items():
                row = helped if series in ("tidewire --help", "import typer") else answered
                row.add(series, seconds * 1000)
            pair_ended(number)

        with redis_server(folder) as redis:
            command = [COMMAND, "serve", "--dev", "--port", "0", "--workers", "2"]
            command += ["--log", redis.url]
            with served(command, environment, folder) as (_, pid):
                parent.add(workers, resident(pid) / 1e6)


if __name__ == "__main__":
    main()
