"""What the system says of this process."""

import os
import platform
import resource
import socket
import sys
from pathlib import Path
from typing import Any, Final

_STATM: Final = Path("/proc/self/statm")
_FILES: Final = Path("/proc/self/fd")
_PAGE_BYTES: Final = resource.getpagesize()


def resident() -> int | None:
    """The memory that it has, bytes; None where the system does not say."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * _PAGE_BYTES
    except OSError:
        return None


def open_files() -> int | None:
    """How many files and sockets it has open; None where the system does not say."""
    try:
        # Since Linux 6.2 without a look at each of them, of which there may be very many.
        return _FILES.stat().st_size or len(os.listdir(_FILES))  # noqa: PTH208 - only how many
    except OSError:
        return None


def file_limit() -> int | None:
    """How many it may have open; None where there is no limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


def about() -> dict[str, Any]:
    """Where and what it is."""
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": sys.platform,
        "pid": os.getpid(),
    }
