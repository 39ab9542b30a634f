"""Where events are kept: one log, chosen by the scheme of its address."""

import re
from pathlib import Path
from typing import Final

from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import ConfigurationError
from tidewire.core.journal import Journal, NullJournal
from tidewire.core.log import EventLog
from tidewire.logs.retention import Retention

MEMORY: Final = "memory:"
DEFAULT_NAME: Final = "tidewire"

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
# Other servers that speak the same protocol.
_REDIS: Final = {"valkey": "redis", "valkeys": "rediss", "dragonfly": "redis"}


def open_log(
    url: str = MEMORY,
    *,
    retention: Retention | None = None,
    name: str = DEFAULT_NAME,
    spool_dir: Path | None = None,
    clock: Clock | None = None,
    journal: Journal | None = None,
) -> EventLog:
    """Makes the log at an address; what only one kind needs is imported for that kind.

    Args:
        url: ``memory:``, or where a Redis, Valkey or Dragonfly is (`check_log_url`).
        retention: how much it keeps.
        name: tells one application from another on the same Redis.
        spool_dir: where events wait on disk while Redis is away; None = in memory.
        clock: the log's time; default: the machine's, or that of Redis.
        journal: where failures are noted.

    Raises:
        ConfigurationError: no log of this scheme, not an address, or no good name or folder.
    """
    retention = retention or Retention()
    if not is_shared(url):
        from tidewire.logs.memory import MemoryLog

        return MemoryLog(retention, clock=clock or SystemClock())
    from tidewire.logs.fallback import FallbackLog
    from tidewire.logs.link import connector
    from tidewire.logs.redis import RedisLog

    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"TIDEWIRE_LOG_NAME: {name!r} is not a name of 1–64 letters, digits, '_', '.', ':' "
            "and '-'."
        )
    journal = journal or NullJournal()
    shared = RedisLog(
        connector(_redis_url(url)), retention, name=name, clock=clock, journal=journal
    )
    return FallbackLog(shared, journal=journal, folder=spool_dir, clock=clock)


def is_shared(url: str) -> bool:
    """Whether several processes can share the log at an address.

    Raises:
        ConfigurationError: no log of this scheme.
    """
    check_log_url(url)
    return url not in (MEMORY, "memory://")


def check_log_url(url: str) -> None:
    """Passes addresses of logs that there are.

    Raises:
        ConfigurationError: no log of this scheme.
    """
    scheme = url.partition(":")[0]
    known = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", *_REDIS)
    if url not in (MEMORY, "memory://") and scheme not in known:
        # What is not surely a scheme may be a password.
        begin = repr(scheme) if url.startswith(f"{scheme}://") else "no scheme"
        raise ConfigurationError(
            f"There is no log for addresses that begin with {begin}. Set TIDEWIRE_LOG_URL, or "
            f"--log, to '{MEMORY}' or to redis://, rediss://, unix:// or redis+sentinel:// and "
            "where Redis is."
        )


def _redis_url(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    return _REDIS.get(scheme, scheme) + colon + rest


__all__ = [
    "DEFAULT_NAME",
    "MEMORY",
    "Retention",
    "check_log_url",
    "is_shared",
    "open_log",
]
