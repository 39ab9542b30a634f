"""The pages that are made of the code when the site is built."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final

from scripts.site import asyncapi, rest, typescript


def _python(title: str, intro: str, names: tuple[str, ...]) -> str:
    shown = (_block(name) for name in names if _exists(name))
    return "\n\n".join((f"# {title}", intro, *shown)) + "\n"


def _block(name: str) -> str:
    # What is in a module is often a family, and each would repeat what its head has.
    own = "\n    options:\n      inherited_members: false" if name.islower() else ""
    return f"::: {name}{own}"


def _exists(name: str) -> bool:
    # Modules alone may be missing: for all else the builder looks, and fails if it is not there.
    return not name.islower() or find_spec(name) is not None


SERVER: Final = (
    "tidewire.Tidewire",
    "tidewire.create_app",
    "tidewire.Settings",
    "tidewire.Event",
    "tidewire.notification",
    "tidewire.system_alert",
    "tidewire.dashboard_update",
    "tidewire.report_update",
    "tidewire.user_update",
    "tidewire.Target",
    "tidewire.Identity",
    "tidewire.Visit",
    "tidewire.TidewireError",
    "tidewire.core.errors",
    "tidewire.auth.sessions",
    "tidewire.http.redaction.RedactSecrets",
)
CLIENT: Final = (
    "tidewire.client.Client",
    "tidewire.client.Publisher",
    "tidewire.client.Envelope",
    "tidewire.client.Control",
    "tidewire.client.Gap",
    "tidewire.client.Status",
    "tidewire.client.Token",
    "tidewire.client.GapError",
    "tidewire.client.SentAway",
    "tidewire.client.Unreachable",
)
MORE: Final = ("tidewire.outbox", "tidewire.pytest")

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reference/http.md": rest.page,
    "reference/stream.md": asyncapi.page,
    "reference/typescript.md": typescript.page,
    "reference/python.md": lambda: _python(
        "Python, server",
        "What `tidewire` exports, made of its sources. How it is used: "
        "[Tidewire in your application](../embedding.md).",
        SERVER,
    ),
    "reference/python-client.md": lambda: _python(
        "Python, client", "What `tidewire.client` exports, made of its sources.", CLIENT
    ),
    "reference/python-more.md": lambda: _python(
        "Python, outbox and tests", "Made of their sources.", MORE
    ),
}
"""By their names."""
