"""The names of this machine."""

from typing import Final

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
