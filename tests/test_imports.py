"""What is imported when: names come when they are used, and a process loads what it needs."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import uvicorn

import tidewire
import tidewire.client
import tidewire.serve
from tidewire.serve.application import Application
from tidewire.serve.server import configuration

FRAMEWORKS = ("fastapi", "starlette", "uvicorn", "pydantic", "httpx", "joserfc", "redis")


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running this."""
    told = f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def within(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in packages}


PACKAGES = pytest.mark.parametrize(
    "module", [tidewire, tidewire.client, tidewire.serve], ids=lambda module: module.__name__
)

HELP = """
import sys
from tidewire.serve.cli import main
sys.argv = ["tidewire", {words}]
try:
    main()
except SystemExit as end:
    assert not end.code
"""


def test_help_loads_no_framework() -> None:
    modules = loaded(HELP.format(words='"--help"'))
    assert "tidewire.serve.cli" in modules
    assert within(modules, FRAMEWORKS) == set()


@pytest.mark.parametrize("words", ['"serve", "--help"', '"--version"'])
def test_where_options_are_read_typer_needs_pydantic_and_nothing_else_is_loaded(words: str) -> None:
    modules = loaded(HELP.format(words=words))
    assert within(modules, FRAMEWORKS) == within(modules, ("pydantic",))


def test_importing_the_package_loads_nothing_else() -> None:
    modules = loaded("import tidewire")
    assert within(modules, ("tidewire", *FRAMEWORKS)) == {"tidewire", "tidewire.version"}


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("from tidewire.client import Client; Client('http://h')", {"httpx"}),
        ("from tidewire.client import Publisher; Publisher('http://h')", {"httpx"}),
        ("from tidewire.client import Publisher; Publisher('redis://h')", {"redis", "pydantic"}),
    ],
)
def test_a_client_loads_only_what_it_speaks(code: str, needed: set[str]) -> None:
    modules = loaded(code)
    found = within(modules, FRAMEWORKS)
    assert {name.partition(".")[0] for name in found} == needed
    parts = {name.split(".")[1] for name in within(modules, ("tidewire",)) if "." in name}
    assert parts <= {"client", "core", "logs", "version"}


def test_an_event_is_made_without_a_web_framework() -> None:
    modules = loaded("from tidewire import Event, Target, notification; notification('a', 'b')")
    assert within(modules, ("fastapi", "starlette", "uvicorn", "httpx", "joserfc")) == set()


def test_the_process_that_looks_after_workers_loads_neither_application_nor_server() -> None:
    modules = loaded("import tidewire.serve.commands.serve, tidewire.serve.workers")
    assert within(modules, ("fastapi", "starlette", "uvicorn", "httpx", "joserfc")) == set()


def test_what_a_configuration_does_not_need_is_not_loaded() -> None:
    modules = loaded(
        "from tidewire import Settings, Tidewire\n"
        "import asyncio\n"
        "from tidewire import notification\n"
        "tidewire = Tidewire(Settings(), dev=True)\n"
        "tidewire.app\n"
        "async def live():\n"
        "    async with tidewire.lifespan():\n"
        "        await tidewire.publish(notification('a', 'b'))\n"
        "asyncio.run(live())"
    )
    unused = ("redis", "httpx", "cryptography", "itsdangerous", "prometheus_client", "uvicorn")
    assert within(modules, unused) == set()


SERVE = """
import gc
import sys
from tidewire.serve.cli import main
from uvicorn import Server

async def main_loop(server):
    # All is started here, and a request would be answered. The command does not return.
    assert gc.isenabled()
    print(*sys.modules, file=sys.stderr)

Server.main_loop = main_loop
sys.argv = ["tidewire", "serve", "--dev", "--port", "0"]
main()
"""


def test_a_development_server_is_ready_without_what_its_first_clients_may_not_need() -> None:
    modules = loaded(SERVE)
    assert {"tidewire.http.app", "tidewire.serve.server", "uvicorn", "starlette"} <= modules
    unused = (
        # Routers of applications, and the document of OpenAPI.
        "fastapi",
        # Tokens.
        "cryptography",
        # A rate that is written in the library's own way, or counted in Redis.
        "limits",
        # WebSockets.
        "websockets",
        "wsproto",
        # A log in Redis, and an issuer's keys behind a URL.
        "redis",
        "httpx",
        # Sessions, and figures for Prometheus.
        "itsdangerous",
        "prometheus_client",
        # What the command line shows in colours.
        "rich",
        "pygments",
        # Settings are read from the environment, and from nothing else.
        "pydantic_settings",
        "dotenv",
    )
    assert within(modules, unused) == set()
    assert not {name for name in modules if name.startswith(("joserfc.jw", "pydantic.v1"))}


def test_an_application_of_ones_own_keeps_what_uvicorn_has_for_websockets() -> None:
    assert configuration(Application(dev=True)).ws == "none"
    assert configuration(Application("module:app")).ws == uvicorn.Config("module:app").ws


def test_the_collector_of_garbage_works_again_whatever_became_of_the_command() -> None:
    told = HELP.format(words='"serve", "--port", "many"').replace("not end.code", "end.code")
    loaded(f"{told}\nimport gc\nassert gc.isenabled()")


SECRET = "from tidewire import Settings, Tidewire; settings = Settings(sse_jwt_secret='s' * 32)"


def test_where_tokens_are_shown_nobody_waits_for_what_checks_them() -> None:
    modules = loaded(f"{SECRET}; Tidewire(settings)")
    assert "joserfc.jwt" in modules


def test_a_development_server_loads_what_checks_tokens_soon_after_it_is_ready() -> None:
    loaded(
        f"{SECRET}\n"
        "import asyncio, sys, threading\n"
        "tidewire = Tidewire(settings, dev=True)\n"
        "async def live():\n"
        "    async with tidewire.lifespan():\n"
        "        assert 'joserfc.jwt' not in sys.modules\n"
        "        async with asyncio.timeout(30):\n"
        "            while 'joserfc.jwt' not in sys.modules:\n"
        "                await asyncio.sleep(0.01)\n"
        "asyncio.run(live())"
    )


def test_a_rate_as_by_default_takes_no_library() -> None:
    rates = "from tidewire.auth.limits import parse_rates; parse_rates('poll={rate}')"
    assert within(loaded(rates.format(rate="7/minute")), ("limits",)) == set()
    assert within(loaded(rates.format(rate="7/2 hours")), ("limits",)) != set()


def test_an_issuer_whose_keys_are_in_a_file_takes_no_http_client() -> None:
    modules = loaded(
        "from tidewire.auth.jwks import Jwks\n"
        "from tidewire.core.clock import SystemClock\n"
        "Jwks('/keys.json', clock=SystemClock())"
    )
    assert "httpx" not in modules


@PACKAGES
def test_every_public_name_is_there_and_is_shown(module: object) -> None:
    names: list[str] = module.__all__  # type: ignore[attr-defined]
    assert sorted(names) == names
    assert set(names) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in names)


def test_all_public_names_are_imported_by_a_star() -> None:
    loaded("from tidewire import *; import tidewire; assert {*tidewire.__all__} <= {*globals()}")


@pytest.fixture
def fresh() -> Iterator[None]:
    """Names that are asked for again, as by who asks first."""
    known = dict(vars(tidewire))
    for name in tidewire.__all__:
        if name != "__version__":
            vars(tidewire).pop(name, None)
    yield
    vars(tidewire).update(known)


@pytest.mark.usefixtures("fresh")
def test_a_name_is_the_one_of_its_module_and_stays() -> None:
    from tidewire.core.event import Event

    assert "Event" not in vars(tidewire)
    assert tidewire.Event is Event
    assert vars(tidewire)["Event"] is Event


@PACKAGES
def test_a_name_that_is_not_there_is_said_not_to_be(module: object) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Tidewave'"):
        _ = module.Tidewave  # type: ignore[attr-defined]
