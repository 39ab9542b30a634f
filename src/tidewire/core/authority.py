"""What was decided about credentials after they were issued: revoked, or with other roles.

A decision concerns what was issued before it, and is kept as long as the process lives: nobody
knows how old the credentials are that will still be shown.
"""

from typing import Final

from tidewire.core.control import ChangeIdentity, Revoke
from tidewire.core.errors import RevokedCredential
from tidewire.core.target import Identity

REVOKED: Final = "This credential was revoked. Sign in again."


class Authority:
    """The decisions that this node knows of."""

    __slots__ = ("_changes", "_revoked_tokens", "_revoked_users")

    def __init__(self) -> None:
        self._revoked_tokens: set[str] = set()
        self._revoked_users: dict[str, int] = {}
        self._changes: dict[str, list[ChangeIdentity]] = {}

    def revoke(self, decision: Revoke) -> None:
        """Remembers that a token, or all that a user holds, is good no more."""
        if decision.token_id is not None:
            self._revoked_tokens.add(decision.token_id)
        if decision.user_id is not None:
            before = self._revoked_users.get(decision.user_id, 0)
            self._revoked_users[decision.user_id] = max(before, decision.at)

    def change(self, decision: ChangeIdentity) -> None:
        """Remembers what a user's older credentials are worth from now on. What a decision
        leaves out, an earlier one may have decided."""
        earlier = self._changes.get(decision.user_id, [])
        kept = [one for one in earlier if not one.decides <= decision.decides]
        self._changes[decision.user_id] = [*kept, decision]

    def judge(self, identity: Identity) -> Identity:
        """The identity as it is now. One that does not say when it was issued is of now.

        Raises:
            RevokedCredential: it is good no more.
        """
        if identity.token_id in self._revoked_tokens:
            raise RevokedCredential(REVOKED)
        issued = identity.issued_at
        if issued is None:
            return identity
        if issued <= self._revoked_users.get(identity.user_id, -1):
            raise RevokedCredential(REVOKED)
        for change in self._changes.get(identity.user_id, ()):
            identity = change.applied(identity)
        return identity
