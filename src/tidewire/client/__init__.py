"""Talking to a Tidewire server from Python: following events, and publishing them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tidewire.client.client import Client
    from tidewire.client.errors import GapError, SentAway, Unreachable
    from tidewire.client.messages import Control, Envelope, Gap
    from tidewire.client.publisher import Publisher
    from tidewire.client.status import Status
    from tidewire.client.tokens import Token

__all__ = [
    "Client",
    "Control",
    "Envelope",
    "Gap",
    "GapError",
    "Publisher",
    "SentAway",
    "Status",
    "Token",
    "Unreachable",
]

# Who publishes needs nothing of what follows, and the other way round.
_HOMES: Final = {
    "Client": "client",
    "Control": "messages",
    "Envelope": "messages",
    "Gap": "messages",
    "GapError": "errors",
    "Publisher": "publisher",
    "SentAway": "errors",
    "Status": "status",
    "Token": "tokens",
    "Unreachable": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
