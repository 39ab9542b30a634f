"""Realtime events that always arrive: Server-Sent Events and polling over one log."""

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
from tidewire.version import __version__

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
