"""Who may see what: the one rule, as a table; and what is no target."""

from typing import Any

import pytest

from tidewire.core.errors import Forbidden, InvalidEvent
from tidewire.core.target import EVERYONE, Identity, Target

NOBODY_SPECIAL = Identity("ann")
ADMIN = Identity("ann", frozenset({"ADMIN"}))
MANY_ROLES = Identity("ann", frozenset({"ADMIN", "EDITOR"}))
SUBSCRIBED = Identity("ann", topics=frozenset({"news"}))
OTHER = Identity("bob", frozenset({"VIEWER"}), topics=frozenset({"sport"}))
NAMED_AS_A_ROLE = Identity("ADMIN")

EVERY = (NOBODY_SPECIAL, ADMIN, MANY_ROLES, SUBSCRIBED, OTHER, NAMED_AS_A_ROLE)


@pytest.mark.parametrize(
    ("target", "seen_by"),
    [
        (EVERYONE, EVERY),
        (Target.of(users=["ann"]), (NOBODY_SPECIAL, ADMIN, MANY_ROLES, SUBSCRIBED)),
        (Target.of(users=["bob", "zoe"]), (OTHER,)),
        (Target.of(users=["zoe"]), ()),
        (Target.of(users=["ANN"]), ()),
        (Target.of(roles=["ADMIN"]), (ADMIN, MANY_ROLES)),
        (Target.of(roles=["admin"]), ()),
        (Target.of(roles=["EDITOR", "VIEWER"]), (MANY_ROLES, OTHER)),
        (Target.of(topics=["news"]), (SUBSCRIBED,)),
        (Target.of(topics=["new", "news/a"]), ()),
        (Target.of(users=["bob"], roles=["ADMIN"]), (ADMIN, MANY_ROLES, OTHER)),
        (Target.of(users=["zoe"], topics=["news", "sport"]), (SUBSCRIBED, OTHER)),
        (Target.of(["zoe"], ["EDITOR"], ["sport"]), (MANY_ROLES, OTHER)),
    ],
)
def test_an_event_is_seen_by_whoever_is_named_by_at_least_one_key(
    target: Target, seen_by: tuple[Identity, ...]
) -> None:
    assert tuple(identity for identity in EVERY if target.includes(identity)) == seen_by


@pytest.mark.parametrize("key", ["userIds", "roles", "topics"])
@pytest.mark.parametrize(
    "value",
    [[], None, "ann", b"ann", {"ann": 1}, 7, True, [""], ["ann", ""], [7], [None], ["x" * 257]],
    ids=repr,
)
def test_a_target_key_without_names_is_refused_and_never_means_everyone(
    key: str, value: Any
) -> None:
    with pytest.raises(InvalidEvent) as refused:
        Target.from_metadata({key: value})
    assert refused.value.extra == {"field": f"metadata.{key}"}


@pytest.mark.parametrize(
    "key",
    [
        "user",
        "users",
        "userID",
        "userIDs",
        "userids",
        "UserIds",
        "user_ids",
        "user-ids",
        " userIds",
        "USERID",
        "user_id",
        "role",
        "Roles",
        "ROLES",
        "topic",
        "Topics",
    ],
)
def test_a_near_miss_is_refused_and_named(key: str) -> None:
    with pytest.raises(InvalidEvent, match="is not a target key") as refused:
        Target.from_metadata({key: ["ann"]})
    assert refused.value.extra == {"field": f"metadata.{key}"}


def test_the_actor_and_other_keys_are_no_targets() -> None:
    metadata = {"userId": "actor", "correlationId": "c", "usage": 1, "topical": True}
    kept = dict(metadata)
    assert Target.from_metadata(metadata) is not EVERYONE
    assert Target.from_metadata(metadata).everyone
    assert metadata == kept


def test_target_keys_are_taken_out_of_the_metadata() -> None:
    metadata = {"userIds": ["b", "a", "a"], "roles": ("R",), "topics": {"t"}, "userId": "actor"}
    target = Target.from_metadata(metadata)
    assert metadata == {"userId": "actor"}
    assert target == Target.of(["a", "b"], ["R"], ["t"])
    assert target.to_metadata() == {"userIds": ["a", "b"], "roles": ["R"], "topics": ["t"]}


def test_everyone_has_no_keys() -> None:
    assert EVERYONE.to_metadata() == {}
    assert EVERYONE.everyone
    assert Target.of() == EVERYONE


def test_an_identity_needs_a_user_id() -> None:
    with pytest.raises(ValueError, match="user id"):
        Identity("")


def test_a_subscribed_identity_has_these_topics_and_no_others() -> None:
    granted = Identity("ann", frozenset({"R"}), topics=frozenset({"a", "b"}))
    assert granted.subscribed(frozenset({"a"})).topics == {"a"}
    assert granted.subscribed(frozenset()).topics == frozenset()
    assert granted.subscribed(frozenset({"a"})).roles == {"R"}


def test_a_topic_that_is_not_granted_is_named() -> None:
    granted = Identity("ann", topics=frozenset({"a"}))
    with pytest.raises(Forbidden, match="'b'") as refused:
        granted.subscribed(frozenset({"a", "c", "b"}))
    assert refused.value.extra == {"topics": ["b", "c"]}
