"""`tidewire serve`: checks what was asked for, listens, and lets one process or several serve."""

import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import typer

from tidewire.auth.loopback import LOOPBACK
from tidewire.core.errors import ConfigurationError
from tidewire.http.settings import Settings, unknown_settings
from tidewire.logs import is_shared
from tidewire.serve.application import Application
from tidewire.serve.devsecret import new_secret, published
from tidewire.serve.listening import DEFAULT_URL, bind
from tidewire.serve.loading import loading
from tidewire.serve.tls import certificate
from tidewire.version import __version__

_NAME: Final = "tidewire"


def serve(
    target: str | None,
    *,
    dev: bool,
    dev_allow_remote: bool,
    host: str,
    port: int,
    log: str | None,
    reload: bool,
    workers: int,
    ssl_certfile: str | None,
    ssl_keyfile: str | None,
) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: it cannot, by these words and settings.
        KeyboardInterrupt: it was SIGINT, and several processes served.
    """
    for name in unknown_settings(os.environ):
        text = f"{name} is not a setting of Tidewire {__version__}; it does nothing."
        typer.secho(text, fg="yellow", err=True)
    if dev_allow_remote and not dev:
        raise ConfigurationError("--dev-allow-remote needs --dev.")
    if dev and not dev_allow_remote and host not in LOOPBACK:
        raise ConfigurationError(
            f"In development mode anybody who reaches the port is who they say, so it listens on "
            f"loopback only, not on {host}. If you mean it, add --dev-allow-remote."
        )
    if workers > 1 and reload:
        raise ConfigurationError(
            "--reload starts one process again and again; use it without --workers."
        )
    shown = certificate(ssl_certfile, ssl_keyfile)
    given: dict[str, Any] = {}
    if log is not None:
        given["log_url"] = log
    settings = Settings.load(**given)
    if workers > 1 and not is_shared(settings.log_address):
        raise ConfigurationError(
            f"--workers {workers} needs a log that the processes share, and each would have one in "
            "its memory. Set one with --log redis://…, TIDEWIRE_LOG_URL or REDIS_URL."
        )
    if dev and not settings.secrets:
        # For this process and for those that --reload starts.
        os.environ["SSE_JWT_SECRET"] = new_secret()
        settings = Settings.load(**given)
    if target and log is not None:
        # The application reads its own settings, in this process or in those that serve.
        os.environ["TIDEWIRE_LOG_URL"] = log
    application = Application(
        target,
        settings=None if target else settings,
        dev=dev,
        dev_allow_remote=dev_allow_remote,
        certificate=shown,
    )
    announce = Announcement(dev=dev, alone=target is None, can_sign=bool(settings.secrets))
    with bind(host, port) as listener, contextlib.ExitStack() as stack:
        if dev:
            stack.enter_context(published(settings.secrets[0], listener.getsockname()[1]))
        if workers > 1:
            from tidewire.serve.workers import supervise

            supervise(application, listener, workers, announce=announce)
        else:
            with loading():
                from tidewire.serve.server import run

            run(application, listener, reload=reload, announce=announce)


class Announcement:
    """Prints what to open and what to paste next, once the server listens."""

    def __init__(self, *, dev: bool, alone: bool, can_sign: bool) -> None:
        self._dev = dev
        self._alone = alone
        self._can_sign = can_sign

    def __call__(self, url: str) -> None:
        name, where = (typer.style(text, bold=True) for text in (f"Tidewire {__version__}", url))
        typer.echo(f"\n{name} listens on {where}   Ctrl-C stops it")
        if self._dev:
            typer.secho(
                "Development mode: anybody who reaches this port is who they say. "
                "Never in production.",
                fg="yellow",
                bold=True,
            )
        at = "" if url == DEFAULT_URL else f" --url {url}"
        if not self._alone:
            return
        if self._dev:
            stream = f"curl -N '{url}/api/sse?userId=alice'"
        else:
            token = f"$({program()} token --user alice{at})" if self._can_sign else "<a token>"
            stream = f'curl -N -H "Authorization: Bearer {token}" {url}/api/sse'
        lines = [("See it in a browser", f"{url}/debug/sse")] if self._dev else []
        lines.append(("Follow a stream", stream))
        if self._can_sign:
            hello = """'{"title":"Hello","message":"It works"}'"""
            publish = f"{program()} publish notification {hello} --user alice{at}"
            lines.append(("or, more readable", f"{program()} tail --user alice{at}"))
            lines.append(("Publish to it", publish))
        lines.append(("The endpoints", f"{url}/docs"))
        listed = "".join(f"  {what:20} {command}\n" for what, command in lines)
        typer.echo(f"\n{listed}")


def program() -> str:
    """What one types for this command: where its environment is not active, the way to it."""
    beside = Path(sys.executable).parent / _NAME
    if shutil.which(_NAME) or not beside.exists():
        return _NAME
    here = Path.cwd()
    # A name without a folder is looked for elsewhere, not here.
    if beside.is_relative_to(here) and beside.parent != here:
        beside = beside.relative_to(here)
    return shlex.quote(str(beside))
