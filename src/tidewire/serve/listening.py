"""Where a server listens, and where it is reached."""

import os
import socket
from typing import Final

from tidewire.core.errors import ConfigurationError

HOST: Final = "127.0.0.1"
PORT: Final = 8000
DEFAULT_URL: Final = f"http://{HOST}:{PORT}"
BACKLOG: Final = 4096


def bind(host: str, port: int) -> socket.socket:
    """Opens the listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # Python's own text repeats the address; that of a name which is unknown does not.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise ConfigurationError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose others with --host and --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def url_of(listener: socket.socket, *, encrypted: bool) -> str:
    """Where a listening socket is reached, over TLS or not."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if encrypted else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
