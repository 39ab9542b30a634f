"""Realtime events that always arrive: Server-Sent Events and polling over one log."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tidewire.version import __version__

if TYPE_CHECKING:
    from tidewire.core.errors import TidewireError
    from tidewire.core.event import Event
    from tidewire.core.payloads import (
        dashboard_update,
        notification,
        report_update,
        system_alert,
        user_update,
    )
    from tidewire.core.target import Identity, Target
    from tidewire.http.app import Tidewire, create_app
    from tidewire.http.hooks import Visit
    from tidewire.http.settings import Settings

__all__ = [
    "Event",
    "Identity",
    "Settings",
    "Target",
    "Tidewire",
    "TidewireError",
    "Visit",
    "__version__",
    "create_app",
    "dashboard_update",
    "notification",
    "report_update",
    "system_alert",
    "user_update",
]

# Who publishes from a script, or asks the command for help, does not wait for a web framework:
# a name is imported when it is used.
_HOMES: Final = {
    "Event": "core.event",
    "Identity": "core.target",
    "Settings": "http.settings",
    "Target": "core.target",
    "Tidewire": "http.app",
    "TidewireError": "core.errors",
    "Visit": "http.hooks",
    "create_app": "http.app",
    "dashboard_update": "core.payloads",
    "notification": "core.payloads",
    "report_update": "core.payloads",
    "system_alert": "core.payloads",
    "user_update": "core.payloads",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
