"""What is served: made in one process, and loaded in the one that serves."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tidewire.serve.errors import NoSuchApplication
from tidewire.serve.loading import loading
from tidewire.serve.tls import Certificate

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tidewire.http.settings import Settings


class Application:
    """The ASGI application to serve: one of the caller's, or Tidewire alone.

    It is made in one process and loaded in the one that serves, so it holds only what can be
    sent there.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        settings: "Settings | None" = None,
        dev: bool = False,
        dev_allow_remote: bool = False,
        certificate: Certificate | None = None,
    ) -> None:
        """Takes ``target`` as ``module:app``; None = Tidewire alone, by the other arguments. With
        a certificate it is served over TLS."""
        self.certificate = certificate
        self._target = target
        self._settings = settings
        self._dev = dev
        self._dev_allow_remote = dev_allow_remote
        self._app: ASGIApp | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is Tidewire alone."""
        return self._target is None

    def load(self) -> None:
        """Imports or makes the application.

        Raises:
            ConfigurationError: Tidewire cannot run safely with these settings; or, as
                `NoSuchApplication`, there is no such application.
        """
        if self._app is not None:
            return
        if self.certificate is not None:
            # It may have been replaced since the command looked at it.
            self.certificate.check()
        with loading():
            # Here and not above: a process that only looks after others never loads it.
            from tidewire.http.accesslog import AccessLog

            self._app = AccessLog(
                self._own() if self._target is None else self._theirs(self._target)
            )

    def _own(self) -> "ASGIApp":
        from tidewire.http.app import Tidewire

        return Tidewire(self._settings, dev=self._dev, dev_allow_remote=self._dev_allow_remote).app

    def _theirs(self, target: str) -> "ASGIApp":
        from uvicorn.importer import ImportFromStringError, import_from_string

        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            app: ASGIApp = import_from_string(target)
        except ImportFromStringError as error:
            raise NoSuchApplication(str(error)) from error
        return app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self._app is None:
            raise RuntimeError("the application is not loaded")
        await self._app(scope, receive, send)
