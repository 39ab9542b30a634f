"""The command, and Tidewire as a server of its own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidewire.serve.protocol import Protocol

__all__ = ["Protocol"]


def __getattr__(name: str) -> Any:
    # For ``uvicorn --http tidewire.serve:Protocol``; the command does without it until it serves.
    if name != "Protocol":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tidewire.serve.protocol import Protocol

    globals()[name] = Protocol
    return Protocol


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
