"""Where the core tells of what went wrong; `tidewire.health` keeps it."""

from collections.abc import Collection
from typing import Protocol


class Journal(Protocol):
    """Takes note of failures and of what was done about them."""

    def note(
        self,
        what: str,
        *,
        error: BaseException | None = None,
        code: str | None = None,
        answered: bool = False,
        settled: bool = False,
        next_try: int | None = None,
        recovered: Collection[str] = (),
        **context: object,
    ) -> None:
        """Notes that something happened. Without an error it is a line of a log, and no more.

        Args:
            what: a short sentence, the same for the same kind of thing.
            error: what was raised, if anything was.
            code: what kind of failure it is, where the error does not say so itself.
            answered: whether whoever asked was told of it, or it follows from what was noted
                already: it is kept, and no line of a log.
            settled: whether whoever notes it has dealt with it.
            next_try: in how many milliseconds whoever notes it tries again by itself.
            recovered: the codes of the failures that are over with this.
            context: user, client, endpoint and the like; never a token or a secret.
        """
        ...


class NullJournal:
    """Keeps nothing."""

    __slots__ = ()

    def note(self, what: str, *, error: BaseException | None = None, **context: object) -> None:
        pass
