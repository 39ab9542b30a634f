"""Where an identity stands in claims, and which forms count."""

from typing import Any

import pytest

from tidewire.auth.claims import OWN_TOKEN, ClaimNames, identity_of
from tidewire.core.errors import InvalidToken
from tidewire.core.target import Identity

LOOSE = ClaimNames()


def read(claims: dict[str, Any], names: ClaimNames = LOOSE) -> Identity | None:
    return identity_of(claims, names, method="session", expires_at=None, what="session")


def roles(names: tuple[str, ...], **claims: Any) -> frozenset[str]:
    identity = read({"sub": "alice", **claims}, ClaimNames(roles=names))
    assert identity is not None
    return identity.roles


def test_a_name_may_be_a_path() -> None:
    assert roles(("realm_access.roles",), realm_access={"roles": ["A"]}) == {"A"}
    assert roles(("a.b.c",), a={"b": {"c": "A"}}) == {"A"}


def test_a_name_with_dots_of_its_own_comes_before_a_path() -> None:
    name = "https://example.com/roles"
    assert roles((name,), **{name: ["A"]}) == {"A"}
    assert roles(("a.b",), **{"a.b": ["A"], "a": {"b": ["B"]}}) == {"A"}


def test_of_several_names_the_first_that_is_there_counts() -> None:
    names = ("a.b", "roles", "role")
    assert roles(names, roles=["R"], role="S") == {"R"}
    assert roles(names, a={"b": "A"}, roles=["R"]) == {"A"}
    assert roles(names, a="no object", role="S") == {"S"}
    assert roles(names, a={"b": []}, roles=["R"]) == frozenset()
    assert roles(names, a={"b": None}, roles=["R"]) == {"R"}
    assert roles(names) == frozenset()


def test_a_single_role_counts_as_one_and_is_not_divided() -> None:
    assert roles(("role",), role="SITE ADMIN") == {"SITE ADMIN"}


def test_a_scope_is_divided_by_spaces() -> None:
    names = ClaimNames(permissions=("scope",), topics=("a.scope",))
    identity = read({"sub": "alice", "scope": "publish  read", "a": {"scope": "cats"}}, names)
    assert identity is not None
    assert identity.permissions == {"publish", "read"}
    assert identity.topics == {"cats"}


@pytest.mark.parametrize(("user", "found"), [("alice", "alice"), (7, "7"), (0, "0"), (-1, "-1")])
def test_a_user_is_text_or_a_whole_number(user: Any, found: str) -> None:
    identity = read({"sub": user})
    assert identity is not None
    assert identity.user_id == found


@pytest.mark.parametrize("claims", [{}, {"sub": None}, {"sub": ""}, {"user": "alice"}])
def test_nobody_is_nobody(claims: dict[str, Any]) -> None:
    assert read(claims) is None
    assert read(claims, OWN_TOKEN) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("sub", value) for value in (True, False, 1.5, ["alice"], {"id": 1})],
        *[
            (name, value)
            for name in ("roles", "role", "permissions", "topics")
            for value in (1, True, {"ADMIN": 1}, ["A", 1], [None], [""], [["A"]], "")
        ],
        *[("jti", value) for value in (1, True, ["x"])],
        *[("iat", value) for value in ("now", True, -1)],
    ],
)
def test_another_form_is_refused_and_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidToken, match=rf"The session's '{name}' must"):
        read({"sub": "alice", name: value})


def test_our_own_tokens_are_read_as_we_write_them() -> None:
    for claims in ({"sub": 7}, {"roles": "A"}, {"roles": None}, {"permissions": "publish"}):
        with pytest.raises(InvalidToken):
            read({"sub": "alice", **claims}, OWN_TOKEN)
    identity = read({"sub": "alice", "role": ["ADMIN"]}, OWN_TOKEN)
    assert identity is not None
    assert identity.roles == frozenset()


def test_a_credential_keeps_its_name_and_when_it_was_made() -> None:
    identity = read({"sub": "alice", "jti": "x", "iat": 1.5})
    assert identity is not None
    assert (identity.token_id, identity.issued_at) == ("x", 1500)
