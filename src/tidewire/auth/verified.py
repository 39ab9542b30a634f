"""What was found out about tokens already, so that a crowd that comes back is not verified anew.

Verifying a token costs many times what knowing it again does, and after a lost network all
clients of a node show theirs within seconds.
"""

import hashlib
import secrets
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from tidewire.core.clock import Clock
from tidewire.core.target import Identity

if TYPE_CHECKING:
    from tidewire.auth.jwks import VerificationKey

MAX_TOKENS: Final = 50_000
"""How many tokens are remembered at most; about 200 bytes each beside the identity."""

_MADE_ROOM: Final = 8
"""Where there is no room, a part of this size is forgotten at once: the oldest."""

_DIGEST_BYTES: Final = 16


class Verified(NamedTuple):
    """A token that was good, and as long as it was.

    Attributes:
        identity: whom it speaks for, with the end of its time.
        begins_at: from when on it is good, Unix milliseconds.
        key: of a trusted issuer's token, the key that has signed it.
    """

    identity: Identity
    begins_at: int
    key: "VerificationKey | None"


class VerifiedTokens:
    """Remembers tokens by their digests, never the tokens, and only good ones.

    The digest has a key of this process, so nobody can look for two tokens with the same one.
    """

    def __init__(self, clock: Clock, *, max_tokens: int = MAX_TOKENS) -> None:
        self._clock = clock
        self._max_tokens = max_tokens
        self._secret = secrets.token_bytes(32)
        self._found: dict[bytes, Verified] = {}

    def __len__(self) -> int:
        return len(self._found)

    def get(self, token: str, method: str) -> Verified | None:
        """What is known of a token that was shown in this way, if it is good at this moment."""
        digest = self._digest(token)
        found = self._found.get(digest)
        if found is None or found.identity.method != method:
            return None
        now = self._clock.now()
        if _is_over(found, now):
            del self._found[digest]
            return None
        return found if now >= found.begins_at else None

    def add(self, token: str, verified: Verified) -> None:
        """Remembers a token that is good."""
        if len(self._found) >= self._max_tokens:
            self._make_room()
        self._found[self._digest(token)] = verified

    def _make_room(self) -> None:
        now = self._clock.now()
        for digest in [digest for digest, one in self._found.items() if _is_over(one, now)]:
            del self._found[digest]
        # Enough that not each of those who come next has to look for it.
        left = self._max_tokens - max(1, self._max_tokens // _MADE_ROOM)
        for digest in list(islice(self._found, max(0, len(self._found) - left))):
            del self._found[digest]

    def _digest(self, token: str) -> bytes:
        # What is no token of ours may hold anything, and is looked for all the same.
        data = token.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=self._secret).digest()


def _is_over(verified: Verified, now: int) -> bool:
    expires_at = verified.identity.expires_at
    return expires_at is None or now >= expires_at
