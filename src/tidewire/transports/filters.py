"""What a reader may ask for: which types and which topics."""

from typing import Any, Final, NamedTuple


class Filter(NamedTuple):
    """Narrows what is delivered; it never widens what may be seen.

    Attributes:
        types: the event types that are wanted; empty = all.
        topics: the topics to subscribe to; each must be granted.
    """

    types: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        return {"types": sorted(self.types), "topics": sorted(self.topics)}


EVERYTHING: Final = Filter()
