"""Several worker processes that serve on one socket, and the process that looks after them."""

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

from tidewire.http import redaction
from tidewire.serve.application import Application
from tidewire.serve.listening import url_of
from tidewire.serve.supervisor import (
    Announce,
    Drain,
    Kill,
    Order,
    Patience,
    Ping,
    Start,
    Supervisor,
    Tell,
)
from tidewire.serve.words import GROUP_SIGNALS, PING, PONG, READY, say

LOGGER: Final = "tidewire.workers"
WORKER: Final = "tidewire.serve.worker"
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def supervise(
    application: Application,
    listener: socket.socket,
    count: int,
    *,
    announce: Callable[[str], None] | None = None,
    patience: Patience | None = None,
) -> None:
    """Serves on a socket by several processes until SIGINT or SIGTERM. SIGHUP replaces them, one
    after the other.

    They share the socket and its queue of connections, so one that dies takes none with it.

    Raises:
        ConfigurationError: see `Application.load`; no worker could start.
        KeyboardInterrupt: it was SIGINT.
    """
    redaction.configure()
    logger = logging.getLogger(LOGGER)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    supervisor = Supervisor(count, patience)
    parent = _Parent(
        application,
        listener,
        supervisor,
        announce,
        logger,
        outlives_terminal=signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
    )
    with _received_signals() as signals:
        was_interrupted = parent.run(signals)
    if supervisor.refusal is not None:
        raise supervisor.refusal
    if was_interrupted:
        raise KeyboardInterrupt


@dataclass(slots=True)
class _Process:
    popen: subprocess.Popen[bytes]
    connection: Connection


class _Parent:
    """Does what a supervisor decides, and tells it what happens."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        supervisor: Supervisor,
        announce: Callable[[str], None] | None,
        logger: logging.Logger,
        *,
        outlives_terminal: bool,
    ) -> None:
        self._application = application
        self._listener = listener
        self._supervisor = supervisor
        self._announce = announce
        self._logger = logger
        self._processes: dict[int, _Process] = {}
        self._gone: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._has_terminal = _has_terminal()
        self._outlives_terminal = outlives_terminal

    def run(self, signals: socket.socket) -> bool:
        """Returns when all has ended: whether SIGINT was what ended it."""
        supervisor = self._supervisor
        was_interrupted = False
        with self._selector:
            self._selector.register(signals, selectors.EVENT_READ)
            while True:
                for order in supervisor.decide(time.monotonic()):
                    self._obey(order)
                if supervisor.finished:
                    return was_interrupted
                for number in self._gone:
                    del self._processes[number]
                self._gone.clear()
                for key, _ in self._selector.select(supervisor.wait(time.monotonic())):
                    if key.data is not None:
                        self._hear(key.data)
                        continue
                    for sign in signals.recv(4096):
                        if sign in STOP_SIGNALS:
                            supervisor.stop(time.monotonic())
                            was_interrupted |= sign == signal.SIGINT
                        elif sign == signal.SIGHUP:
                            self._hang_up()
                self._reap()

    def _hang_up(self) -> None:
        if self._has_terminal and not _has_terminal():
            # The same signal says that the terminal was closed; under nohup that is nothing.
            self._has_terminal = False
            if not self._outlives_terminal:
                self._supervisor.stop(time.monotonic())
        else:
            self._supervisor.restart(time.monotonic())

    def _obey(self, order: Order) -> None:
        match order:
            case Start(number):
                self._start(number)
            case Ping(number):
                say(self._processes[number].connection, PING)
            case Drain(number):
                self._processes[number].popen.terminate()
            case Kill(number):
                self._processes[number].popen.kill()
            case Announce():
                if self._announce is not None:
                    encrypted = self._application.certificate is not None
                    self._announce(url_of(self._listener, encrypted=encrypted))
            case Tell(text, number, is_warning):
                self._tell(text, number, logging.WARNING if is_warning else logging.INFO)

    def _tell(self, text: str, number: int | None, level: int) -> None:
        subject = "" if number is None else f"worker {number} "
        if number in self._processes:
            subject = f"worker {number} (process {self._processes[number].popen.pid}) "
        self._logger.log(level, "%s%s", subject, text)

    def _start(self, number: int) -> None:
        try:
            process = self._spawn()
        except OSError as error:
            self._tell(f"cannot be started: {error}", number, logging.ERROR)
            self._supervisor.ended(number, os.EX_OSERR, time.monotonic())
            return
        self._processes[number] = process
        self._selector.register(process.connection.fileno(), selectors.EVENT_READ, number)
        say(process.connection, self._application)

    def _spawn(self) -> _Process:
        ours, theirs = Pipe()
        descriptors = (theirs.fileno(), self._listener.fileno())
        # The current folder must not come before what is installed: only the application is
        # looked for in it, hence -P.
        command = [sys.executable, "-P", "-m", WORKER, *map(str, descriptors)]
        with theirs:
            # Until the worker has its own handlers, these would end it with a traceback.
            signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
            try:
                popen = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
                    command, stdin=subprocess.DEVNULL, pass_fds=descriptors
                )
            except OSError:
                ours.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
        return _Process(popen, ours)

    def _hear(self, number: int) -> None:
        process = self._processes[number]
        while True:
            try:
                if not process.connection.poll():
                    return
                word = process.connection.recv()
            except (EOFError, OSError):
                # It ends, and that is heard of by SIGCHLD.
                self._selector.unregister(process.connection.fileno())
                return
            now = time.monotonic()
            if word == READY:
                self._supervisor.ready(number, now)
            elif word == PONG:
                self._supervisor.answered(number, now)
            else:
                self._supervisor.refused(number, word)

    def _reap(self) -> None:
        for number, process in tuple(self._processes.items()):
            code = process.popen.poll()
            if code is None:
                continue
            if process.connection.fileno() in self._selector.get_map():
                self._hear(number)
            with contextlib.suppress(KeyError):
                self._selector.unregister(process.connection.fileno())
            self._supervisor.ended(number, code, time.monotonic())
            process.connection.close()
            # What is told about it names its process.
            self._gone.append(number)


@contextlib.contextmanager
def _received_signals() -> Iterator[socket.socket]:
    """The signals that this process gets while the context lasts, a byte for each."""
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        before_descriptor = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        before = {
            sign: signal.signal(sign, _written_to_socket)
            for sign in (*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
        }
        try:
            yield reading
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)
            signal.set_wakeup_fd(before_descriptor)


def _written_to_socket(sign: int, frame: FrameType | None) -> None:
    pass


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
