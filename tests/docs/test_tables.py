"""Tables of the pages that say what the code says, too."""

import inspect
import re
from collections.abc import Iterator

from tests.docs.pages import ROOT
from tidewire.auth.limits import DEFAULTS
from tidewire.core import errors
from tidewire.core.errors import ConfigurationError, TidewireError
from tidewire.core.event import RESERVED_TYPES
from tidewire.http import problems
from tidewire.http.app import Tidewire
from tidewire.http.settings import Settings


def rows(page: str, head: str) -> Iterator[list[str]]:
    """The rows of the table of a page whose first column has this head."""
    text = (ROOT / page).read_text("utf-8")
    table = re.search(rf"^\| {re.escape(head)} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", text, re.M)
    assert table is not None, f"{page} has no table {head!r}"
    for line in table[1].splitlines():
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_table_of_settings_has_each_setting_with_its_default() -> None:
    told: dict[str, str] = {}
    for variables, default, _ in rows("docs/commands.md", "variable"):
        for name in re.findall(r"`(\w+)`", variables):
            told[name] = default
    fields = {str(field.alias): field for field in Settings.model_fields.values()}
    assert told.keys() == fields.keys()
    for name, field in fields.items():
        usual = field.default
        if usual in (None, "", ()):
            # What stands there then says where else it comes from.
            assert not re.fullmatch(r"`?\d+`?", told[name]), name
            continue
        said = ",".join(usual) if isinstance(usual, tuple) else str(usual)
        assert told[name].strip("`") == said, name


def test_the_table_of_rates_has_each_rate_as_it_is() -> None:
    told = {name.strip("`"): rate.strip("`") for name, rate, _ in rows("docs/commands.md", "rate")}
    assert told == dict(DEFAULTS)


def told_errors() -> dict[str, tuple[int, str, str]]:
    return {
        code.strip("`"): (int(status), category, recovery.strip("`"))
        for code, status, category, recovery, _ in rows("docs/errors.md", "code")
    }


def test_the_table_of_codes_has_each_error_of_the_server_as_it_is() -> None:
    classes = {
        found
        for module in (errors, problems)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, TidewireError) and not issubclass(found, ConfigurationError)
    }
    # Where a group of errors has no code of its own, none of it is raised.
    own = {each for each in classes if each.code != TidewireError.code} | {TidewireError}
    assert told_errors() == {each.code: (each.status, each.category, each.recovery) for each in own}


def test_names_that_are_reserved_stand_in_the_table_of_the_guide() -> None:
    text = (ROOT / "docs/names.md").read_text("utf-8")
    assert all(f"`{name}`" in text for name in RESERVED_TYPES)


def test_endpoints_that_pages_name_are_there() -> None:
    paths = Tidewire(dev=True).openapi()["paths"]
    known = {re.sub(r"\{.*?\}", "", path).rstrip("/") for path in paths}
    known |= {"/api/realtime/sse", "/tidewire.js", "/debug/sse", "/openapi.json"}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for path in re.findall(r"`(?:GET |POST )(/[\w/.-]+)", page.read_text("utf-8")):
            parent = path.rpartition("/")[0]
            assert path in known or parent in known, f"{page.name} speaks of {path}"
