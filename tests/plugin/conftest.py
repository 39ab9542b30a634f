"""Tests of a user, which run inside of a test."""

import pytest


@pytest.fixture
def strict(pytester: pytest.Pytester) -> None:
    """They are run as strictly as ours: a warning is an error."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        # Starlette's test client would like to be installed with another package.
        "filterwarnings =\n    error\n    ignore:Using .httpx. with .starlette.testclient"
    )


def passes(pytester: pytest.Pytester, count: int) -> None:
    pytester.runpytest("-p", "no:cacheprovider", "-q").assert_outcomes(passed=count)
