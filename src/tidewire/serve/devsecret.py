"""The secret of a development server: made for each run, in a file that only its user reads,
so that the command line on the same machine can publish without configuration."""

import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidewire.core.errors import ConfigurationError


def new_secret() -> str:
    """Draws a secret of 256 bits."""
    return secrets.token_urlsafe(32)


@contextmanager
def published(secret: str, port: int) -> Iterator[Path]:
    """Keeps the secret of the server on a port in its file while the context lasts.

    Raises:
        ConfigurationError: the folder is not this user's alone.
    """
    path = _folder(create=True) / f"{port}.secret"
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secret)
    try:
        yield path
    finally:
        # Another server may have taken the port, and the file, since.
        if path.exists() and path.read_text() == secret:
            path.unlink()


def find_secret(port: int) -> str | None:
    """The secret of the development server on a port of this machine, if one runs.

    Raises:
        ConfigurationError: the folder is not this user's alone.
    """
    path = _folder(create=False) / f"{port}.secret"
    return path.read_text() if path.exists() else None


def _folder(*, create: bool) -> Path:
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = base / f"tidewire-{os.getuid()}"
    if create:
        folder.mkdir(mode=0o700, exist_ok=True)
    if folder.exists():
        found = folder.lstat()
        # In a shared folder somebody else may have made it first.
        if (
            not stat.S_ISDIR(found.st_mode)
            or found.st_uid != os.getuid()
            or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        ):
            raise ConfigurationError(
                f"{folder} must be a folder of yours with mode 0700, since secrets are kept in "
                "it. Remove it and start again."
            )
    return folder
