"""A worker: a process that serves on a socket of its parent's, until that tells it to end or is
gone itself."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

import uvicorn

from tidewire.core.errors import ConfigurationError
from tidewire.serve.application import Application
from tidewire.serve.errors import NoSuchApplication
from tidewire.serve.server import Server, configuration
from tidewire.serve.words import GROUP_SIGNALS, PONG, READY, say

ORPHAN_SECONDS: Final = 30.0
"""How long a worker without its parent may take to end; nobody is left to end it."""


class WorkerServer(Server):
    """A server that tells its parent when it serves, and answers it.

    It answers from the event loop, so that one which is blocked is silent.
    """

    def __init__(
        self, application: Application, config: uvicorn.Config, parent: Connection
    ) -> None:
        super().__init__(application, config)
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().add_reader(self._parent.fileno(), self._hear)
        await super().startup(sockets)
        if self.started:
            say(self._parent, READY)

    def _hear(self) -> None:
        try:
            self._parent.recv()
        except (EOFError, OSError):
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._parent.fileno())
            loop.call_later(ORPHAN_SECONDS, os._exit, 1)
            self.should_exit = True
        else:
            say(self._parent, PONG)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Until here nothing is served, and SIGTERM ends the process at once.
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield


def main() -> None:
    """Serves by what the command line and the parent give: two descriptors, and on the first of
    them the application."""
    # No SIG_IGN, nor a mask: processes that the application starts would inherit them.
    for sign in GROUP_SIGNALS:
        signal.signal(sign, _leave_to_parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    for number in map(int, sys.argv[1:]):
        os.set_inheritable(number, False)
    parent = Connection(int(sys.argv[1]))
    listener = socket.socket(fileno=int(sys.argv[2]))
    try:
        application: Application = parent.recv()
    except (EOFError, OSError):
        sys.exit(1)
    try:
        application.load()
    except ConfigurationError as error:
        # Made anew, since the parent cannot read a class that only the application knows.
        known = NoSuchApplication if isinstance(error, NoSuchApplication) else ConfigurationError
        say(parent, known(error.detail))
        sys.exit(2)
    WorkerServer(application, configuration(application), parent).run(sockets=[listener])


def _leave_to_parent(sign: int, frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    main()
