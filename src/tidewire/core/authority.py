"""What was decided about credentials after they were issued: revoked, or with other roles.

A decision concerns what was issued before it. A credential that does not say when it was
issued was asked for now (a session callable, the development parameter), and speaks for itself.
"""

from collections import OrderedDict
from typing import Final

from tidewire.core.clock import Clock
from tidewire.core.control import ChangeIdentity, Revoke
from tidewire.core.errors import RevokedCredential
from tidewire.core.target import Identity

KEPT_MS: Final = 30 * 24 * 3_600_000
"""How long a decision is kept: longer than any credential should be good for."""


class Authority:
    """The decisions that this node knows of."""

    __slots__ = ("_changes", "_clock", "_revoked_tokens", "_revoked_users")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # In the order of their times, so that the oldest can be let go from the front.
        self._revoked_tokens: OrderedDict[str, int] = OrderedDict()
        self._revoked_users: OrderedDict[str, int] = OrderedDict()
        self._changes: OrderedDict[str, ChangeIdentity] = OrderedDict()

    def revoke(self, decision: Revoke) -> None:
        """Remembers that a token, or all that a user holds, is good no more."""
        for revoked, name in (
            (self._revoked_tokens, decision.token_id),
            (self._revoked_users, decision.user_id),
        ):
            if name is not None:
                revoked[name] = decision.at
                revoked.move_to_end(name)
        self._forget()

    def change(self, decision: ChangeIdentity) -> None:
        """Remembers what a user's older credentials are worth from now on."""
        self._changes[decision.user_id] = decision
        self._changes.move_to_end(decision.user_id)
        self._forget()

    def judge(self, identity: Identity) -> Identity:
        """The identity as it is now.

        Raises:
            RevokedCredential: it is good no more.
        """
        issued = identity.issued_at
        revoked_at = self._revoked_users.get(identity.user_id)
        if identity.token_id in self._revoked_tokens or (
            issued is not None and revoked_at is not None and issued <= revoked_at
        ):
            raise RevokedCredential("This credential was revoked. Sign in again.")
        change = self._changes.get(identity.user_id)
        if change is None or issued is None or issued > change.at:
            return identity
        return change.applied(identity)

    def _forget(self) -> None:
        oldest = self._clock.now() - KEPT_MS
        for revoked in (self._revoked_tokens, self._revoked_users):
            while revoked and next(iter(revoked.values())) < oldest:
                revoked.popitem(last=False)
        while self._changes and next(iter(self._changes.values())).at < oldest:
            self._changes.popitem(last=False)
