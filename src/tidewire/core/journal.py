"""Where the core tells of what went wrong; `tidewire.health` keeps it."""

from typing import Protocol


class Journal(Protocol):
    """Takes note of failures and of what was done about them."""

    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        """Notes that something happened.

        Args:
            what: a short sentence, the same for the same kind of thing.
            error: what was raised, if anything was.
            context: user, client, endpoint and the like; never a token or a secret.
        """
        ...


class NullJournal:
    """Keeps nothing."""

    __slots__ = ()

    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        pass
