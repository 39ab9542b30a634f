"""Where events are kept: one log, chosen by the scheme of its address."""

from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import ConfigurationError
from tidewire.core.log import EventLog
from tidewire.logs.retention import Retention


def open_log(
    url: str = "memory:", *, retention: Retention | None = None, clock: Clock | None = None
) -> EventLog:
    """Opens the log at an address; what only one kind needs is imported for that kind.

    Raises:
        ConfigurationError: no log of this scheme.
    """
    check_log_url(url)
    from tidewire.logs.memory import MemoryLog

    return MemoryLog(retention or Retention(), clock=clock or SystemClock())


def check_log_url(url: str) -> None:
    """Passes addresses that `open_log` can open.

    Raises:
        ConfigurationError: no log of this scheme.
    """
    if url not in ("memory:", "memory://"):
        shown = url.partition(":")[0]
        raise ConfigurationError(
            f"There is no log for addresses that begin with {shown!r}. Set TIDEWIRE_LOG_URL, or "
            "--log, to 'memory:'."
        )


__all__ = ["Retention", "check_log_url", "open_log"]
