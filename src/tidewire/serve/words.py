"""What a worker and its parent say to each other."""

import signal
from multiprocessing.connection import Connection
from typing import Any, Final

PING: Final = "ping"
PONG: Final = "pong"
READY: Final = "ready"

GROUP_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends them to the parent and to its workers alike; the parent decides."""


def say(connection: Connection, word: Any) -> bool:
    """Sends a word to the other process; returns whether it is there."""
    try:
        connection.send(word)
    except OSError:
        return False
    return True
