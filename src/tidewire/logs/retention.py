"""How much a log keeps."""

from dataclasses import dataclass

from tidewire.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Retention:
    """Bounds of a log; the oldest entries are trimmed until all three hold.

    Attributes:
        events: entries at most.
        seconds: an entry older than this is trimmed.
        bytes: sizes of all events together at most (`Event.size`).
    """

    events: int = 100_000
    seconds: float = 3600
    bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("events", "seconds", "bytes"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(
                    f"TIDEWIRE_RETENTION_{name.upper()} must be above zero, not "
                    f"{getattr(self, name)}."
                )
