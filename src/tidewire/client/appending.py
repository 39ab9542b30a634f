"""Publishing straight into the log that nodes share, from code that does not wait for anything."""

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import Final, NamedTuple

from tidewire.core.errors import ConfigurationError, LogAway
from tidewire.core.event import Event
from tidewire.core.log import IdempotencyKey
from tidewire.logs import DEFAULT_NAME, Retention, is_shared, open_log
from tidewire.logs.fallback import FallbackLog
from tidewire.logs.redis import RedisLog

CLOSE_SECONDS: Final = 5.0
"""How long the end of the thread is waited for."""

UNBOUNDED: Final = Retention(events=2**53 - 1, seconds=2**43, bytes=2**53 - 1)
"""Never trims. Redis counts in doubles, and in milliseconds: exact up to 2⁵³."""


class _Running(NamedTuple):
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    log: RedisLog
    ended: asyncio.Event


class LogLane:
    """The way to a log: a thread with an event loop, which starts when it is first needed."""

    def __init__(self, url: str, name: str | None, retention: Retention | None) -> None:
        """Prepares it; nothing is connected yet.

        Args:
            url: where Redis is.
            name: of the log; None = as ``TIDEWIRE_LOG_NAME`` says.
            retention: how much the log keeps, the same as its servers say: whoever appends trims.
                None = as ``TIDEWIRE_RETENTION_EVENTS``, ``…_SECONDS`` and ``…_BYTES`` say; where
                none of them is set it trims nothing, and leaves that to the servers.

        Raises:
            ConfigurationError: not the address or the name of a log that processes share, or a
                setting is not of its form.
        """
        if not is_shared(url):
            raise ConfigurationError(
                f"Nobody would hear what is published to {url!r}: that log is in the memory of one "
                "process. Publish to the address of its server, http://…, or to a log in Redis."
            )
        name = name or os.environ.get("TIDEWIRE_LOG_NAME") or DEFAULT_NAME
        log = open_log(url, name=name, retention=retention or _retention())
        if not isinstance(log, FallbackLog):
            raise AssertionError("what processes share is a log in Redis")
        # What only this process has while Redis is away would end with it; so that is an error, and
        # no spool.
        self._log = log.log
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def send(self, events: Sequence[Event], key: str, *, timeout: float) -> list[str]:
        """Appends events and returns their ids.

        Args:
            events: all or nothing.
            key: makes a repeat harmless.
            timeout: seconds.

        Raises:
            LogAway: the log cannot be reached, or did not answer in time.
            IdempotencyConflict: the key was used for something else.
        """
        running = self._start()
        digest = hashlib.sha256()
        for event in events:
            digest.update(event.body + json.dumps(event.target.to_metadata()).encode())
        # No user is without a name: those who publish over HTTP have other scopes.
        known = IdempotencyKey(json.dumps(["", key]), digest.hexdigest())
        appending = asyncio.run_coroutine_threadsafe(
            running.log.append(events, key=known), running.loop
        )
        try:
            return [str(position) for position in appending.result(timeout)]
        except TimeoutError as error:
            raise LogAway("No answer came in time.", in_doubt=True) from error
        except CancelledError as error:
            raise LogAway("The publisher was closed.", in_doubt=True) from error
        finally:
            appending.cancel()

    def close(self) -> None:
        """Ends the thread and closes its connections."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.loop.call_soon_threadsafe(running.ended.set)
            running.thread.join(CLOSE_SECONDS)

    def _start(self) -> _Running:
        with self._lock:
            if self._running is None:
                started: Future[_Running] = Future()
                # Whoever forgets to close it can end all the same: nothing is under way by then.
                threading.Thread(
                    target=self._run, args=(started,), name="tidewire-publisher", daemon=True
                ).start()
                self._running = started.result()
            return self._running

    def _run(self, started: "Future[_Running]") -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                runner.run(self._live(started))
        except BaseException as error:
            if started.done():
                raise
            # There was no room for a loop, for instance.
            started.set_exception(error)

    async def _live(self, started: "Future[_Running]") -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        started.set_result(_Running(threading.current_thread(), loop, self._log, ended))
        try:
            await ended.wait()
        finally:
            await self._log.retire()


def _retention() -> Retention:
    """How much the log keeps, as its servers read it where they share an environment."""
    given = {
        name: os.environ.get(f"TIDEWIRE_RETENTION_{name.upper()}")
        for name in ("events", "seconds", "bytes")
    }
    if not any(given.values()):
        # The servers may have been told otherwise: what they keep is not this one's to trim.
        return UNBOUNDED
    usual = Retention()
    try:
        return Retention(
            int(given["events"] or usual.events),
            float(given["seconds"] or usual.seconds),
            int(given["bytes"] or usual.bytes),
        )
    except ValueError as error:
        raise ConfigurationError(f"TIDEWIRE_RETENTION_…: {error}.") from None
