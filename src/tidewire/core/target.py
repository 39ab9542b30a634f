"""Who an event is for, and who asks to see it. `Target.includes` is the one rule."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from tidewire.core.errors import Forbidden, InvalidEvent

MAX_NAME_LENGTH: Final = 256

_KEYS: Final = {"userIds": "users", "roles": "roles", "topics": "topics"}
_NEAR: Final = {"user", "users", "userid", "userids", "role", "roles", "topic", "topics"}
_ACTOR: Final = "userId"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whose credential was verified.

    Attributes:
        user_id: who it is; never empty.
        roles: the roles as they are now.
        permissions: what the credential allows beside reading, for example ``publish``.
        topics: the topics that may be subscribed to; in a subscribed identity, those that are.
        method: how it was proved: ``session``, ``jwt_token``, ``bearer_token``, ``parameter_dev``.
        expires_at: when the authority ends, Unix milliseconds, or None where nothing says so.
        token_id: the credential's own name (``jti``), for revocation.
        issued_at: when the credential was issued, Unix milliseconds; None = it was asked for now.
    """

    user_id: str
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    method: str = "session"
    expires_at: int | None = None
    token_id: str | None = None
    issued_at: int | None = None

    def __post_init__(self) -> None:
        if not self.user_id:
            raise ValueError("an identity needs a user id")

    def subscribed(self, topics: frozenset[str]) -> Self:
        """The same identity with these topics and no others.

        Raises:
            Forbidden: a topic is not granted; the error names it.
        """
        refused = topics - self.topics
        if refused:
            raise Forbidden(
                f"The credential does not grant the topic {min(refused)!r}. Leave it out of "
                "'topics', or issue a credential whose 'topics' claim names it.",
                topics=sorted(refused),
            )
        # Most have none, and an identity is shared as long as it is the same.
        return self if topics == self.topics else replace(self, topics=topics)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom an event is for: the union of users, roles and topics; none of them = everyone."""

    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    everyone: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "everyone", not (self.users or self.roles or self.topics))

    def includes(self, identity: Identity) -> bool:
        """Whether this identity may see the event, as it is at this moment.

        No role matches no role, and no topic matches no topic: an empty set is never named.
        """
        return (
            self.everyone
            or identity.user_id in self.users
            or not self.roles.isdisjoint(identity.roles)
            or not self.topics.isdisjoint(identity.topics)
        )

    @classmethod
    def of(
        cls,
        users: Iterable[str] | None = None,
        roles: Iterable[str] | None = None,
        topics: Iterable[str] | None = None,
    ) -> Self:
        """A target from names. None leaves a key out; an empty one is refused.

        Raises:
            InvalidEvent: an empty list (nobody meant to send it to everyone), or a name that
                is not a string of 1–256 characters.
        """
        return cls(
            users=_names("userIds", users),
            roles=_names("roles", roles),
            topics=_names("topics", topics),
        )

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> Self:
        """Takes the target keys out of an event's metadata (the dict is changed).

        Raises:
            InvalidEvent: as `of`, and for a key that looks like a target and is none, such as
                ``user`` or ``Roles``: read as "no target" it would reach everyone.
        """
        for key in metadata:
            if key in _KEYS or key == _ACTOR:
                continue
            if key.replace("_", "").replace("-", "").strip().lower() in _NEAR:
                raise InvalidEvent(
                    f"metadata.{key} is not a target key. Targets are 'userIds', 'roles' and "
                    "'topics'; the actor is 'userId'.",
                    field=f"metadata.{key}",
                )
        return cls.of(
            **{_KEYS[key]: _given(key, metadata.pop(key)) for key in _KEYS & metadata.keys()}
        )

    def to_metadata(self) -> dict[str, list[str]]:
        """The target keys as publishers write them, sorted. For administrators only."""
        named = {"userIds": self.users, "roles": self.roles, "topics": self.topics}
        return {key: sorted(names) for key, names in named.items() if names}


EVERYONE: Final = Target()

_NONE: Final[frozenset[str]] = frozenset()
"""One for all targets: an empty set costs as much as a small one, and logs keep many."""


def _given(key: str, value: Any) -> Any:
    # None means "left out" to `of`; a key that is present and null was not left out.
    if value is None:
        raise _bad_list(key)
    return value


def _names(key: str, names: Iterable[str] | None) -> frozenset[str]:
    if names is None:
        return _NONE
    if isinstance(names, str | bytes | dict) or not isinstance(names, Iterable):
        raise _bad_list(key)
    listed = list(names)
    if not listed or not all(isinstance(n, str) and 0 < len(n) <= MAX_NAME_LENGTH for n in listed):
        raise _bad_list(key)
    return frozenset(listed)


def _bad_list(key: str) -> InvalidEvent:
    return InvalidEvent(
        f"metadata.{key} must be a list of one or more names of 1–{MAX_NAME_LENGTH} characters. "
        "To reach everyone, leave the key out.",
        field=f"metadata.{key}",
    )
