"""What docs/testing.md shows is run as it stands there."""

import re
from pathlib import Path

import pytest

import tidewire.http.app
import tidewire.pytest.recorder  # noqa: F401 - see test_plugin
from tests.plugin.conftest import passes

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("strict")

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.S)
TESTS, SHOP, OVER_HTTP, WITHOUT_SERVER = BLOCKS

FLASK = """
from flask import Flask, request
from tidewire import notification

publisher = None
app = Flask(__name__)

@app.post("/orders")
def order():
    event = notification("Thank you", "It is on its way", users=[request.args["customer"]])
    return publisher.publish(event)
"""


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP, test_shop=TESTS)
    passes(pytester, 2)


def test_the_failure_of_the_page_is_the_one_that_is_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        shop=SHOP, test_shop=TESTS.replace('_order(customer="alice")', '_order("bob")')
    )
    result = pytester.runpytest("-p", "no:cacheprovider", "-q")
    shown = re.search(r"\n\n    (AssertionError:.*?)\n\n", PAGE, re.S)
    assert shown is not None
    lines = [line.strip() for line in shown[1].splitlines()]
    told = [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E ")]
    assert told[: len(lines)] == lines


def test_over_http(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OVER_HTTP)
    passes(pytester, 1)


def test_without_a_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=FLASK, test_shop="import shop\n" + WITHOUT_SERVER)
    passes(pytester, 1)
