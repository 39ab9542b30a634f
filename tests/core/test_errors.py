"""Errors say who has to do what, as the wire contract has it."""

from collections.abc import Iterator

import pytest

from tidewire.core import errors
from tidewire.core.errors import Draining, InvalidEvent, TidewireError


def tree(root: type[TidewireError]) -> Iterator[type[TidewireError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


ALL = [kind for kind in tree(TidewireError) if kind.__module__ == errors.__name__]

ALLOWED = {
    "connection": {503},
    "authentication": {401, 403},
    "rate_limit": {429},
    "server": {500, 501, 503},
    "client": {404},
    "validation": {400, 413, 422},
}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_category_status_and_recovery_belong_together(kind: type[TidewireError]) -> None:
    assert kind.status in ALLOWED[kind.category]
    if kind.category in ("client", "validation") or kind.status in (403, 501):
        assert kind.recovery == "none"
    if kind.status == 401:
        assert kind.recovery == "refresh_token"
    if kind.recovery in ("none", "refresh_token"):
        assert not kind.retryable
    if kind.recovery in ("retry", "restart_connection"):
        assert kind.retryable


def test_every_code_is_used_once() -> None:
    codes = [kind.code for kind in ALL if "code" in vars(kind)]
    assert len(set(codes)) == len(codes)


def test_a_problem_has_the_members_of_the_contract() -> None:
    assert Draining("Going down.", retry_after=250, node="a").problem() == {
        "type": "urn:tidewire:problem:DRAINING",
        "title": "The server is going down",
        "status": 503,
        "detail": "Going down.",
        "code": "DRAINING",
        "category": "connection",
        "retryable": True,
        "retryAfter": 250,
        "recovery": "retry",
        "node": "a",
    }


def test_an_error_reads_as_its_detail() -> None:
    assert str(InvalidEvent("The type is missing.", field="type")) == "The type is missing."


def test_the_tree_at_the_head_of_the_module_draws_every_error() -> None:
    assert errors.__doc__ is not None
    for kind in ALL:
        assert kind.__name__ in errors.__doc__
