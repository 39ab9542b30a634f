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
    scheme = url.partition(":")[0]
    if scheme == "memory":
        from tidewire.logs.memory import MemoryLog

        return MemoryLog(retention or Retention(), clock=clock or SystemClock())
    raise ConfigurationError(
        f"There is no log for addresses that begin with {scheme!r}. Set TIDEWIRE_LOG_URL, or "
        "--log, to 'memory:'."
    )


__all__ = ["Retention", "open_log"]
