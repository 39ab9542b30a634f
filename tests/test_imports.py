"""What is imported when: names come when they are used, and a process loads what it needs."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

import tidewire
import tidewire.serve

FRAMEWORKS = ("fastapi", "starlette", "uvicorn", "pydantic", "httpx", "joserfc", "redis")


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running this."""
    told = f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def within(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in packages}


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


def test_an_issuer_whose_keys_are_in_a_file_takes_no_http_client() -> None:
    modules = loaded(
        "from tidewire.auth.jwks import Jwks\n"
        "from tidewire.core.clock import SystemClock\n"
        "Jwks('/keys.json', clock=SystemClock())"
    )
    assert "httpx" not in modules


@pytest.mark.parametrize("module", [tidewire, tidewire.serve], ids=["tidewire", "tidewire.serve"])
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


@pytest.mark.parametrize("module", [tidewire, tidewire.serve], ids=["tidewire", "tidewire.serve"])
def test_a_name_that_is_not_there_is_said_not_to_be(module: object) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Tidewave'"):
        _ = module.Tidewave  # type: ignore[attr-defined]
