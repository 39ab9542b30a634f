"""Publishing from code that is not asynchronous: workers, scripts, tasks of a queue."""

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol, Self, overload

from tidewire.client.backoff import Backoff
from tidewire.client.errors import Unreachable
from tidewire.client.tokens import GivenToken
from tidewire.core.errors import LogAway, TidewireError
from tidewire.core.event import Event

if TYPE_CHECKING:
    from tidewire.logs import Retention

BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
"""What goes together at most; more is published in several goes."""

BACKOFF: Final = Backoff(200, 5_000)
DEADLINE_SECONDS: Final = 30.0


class Lane(Protocol):
    """A way to publish."""

    def send(self, events: Sequence[Event], key: str, *, timeout: float) -> list[str]:
        """Publishes all or nothing; ``timeout``: seconds."""
        ...

    def close(self) -> None: ...


class Publisher:
    """Publishes, and returns when it is done.

        with Publisher("https://example.com", token=token) as publisher:
            publisher.publish(notification("Done", "Your report is ready", users=["alice"]))

    Over HTTP, or straight into the log that servers share (``redis://…``). What fails on the way is
    tried again under the same key, so it is made once. It connects when it is first used, may be
    used by several threads, and works after a fork, also where it was used before.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | Callable[[], GivenToken] | None = None,
        name: str | None = None,
        retention: "Retention | None" = None,
        deadline: float = DEADLINE_SECONDS,
        on_retry: Callable[[TidewireError, float], object] | None = None,
    ) -> None:
        """Prepares it; nothing is connected yet.

        Args:
            target: the address of a server, or of its streams (``https://example.com/api/sse``); or
                where the log is (``redis://``, ``rediss://``, ``valkey://``, …).
            token: over HTTP: a token with the permission ``publish``, or what gets one (then it is
                asked when it is due, and once after a 401).
            name: of the log; None = as ``TIDEWIRE_LOG_NAME`` says, else ``tidewire``.
            retention: how much the log keeps; whoever is told that trims it, so it must be what
                its servers say. None = as ``TIDEWIRE_RETENTION_…`` say, else the servers trim.
            deadline: seconds in which a publish is tried again.
            on_retry: told what failed and is tried again, and after how many seconds; by the thread
                that publishes.

        Raises:
            ConfigurationError: not an address, or not one of a log that processes share.
            ValueError: ``deadline`` is not above 0.
        """
        if deadline <= 0:
            raise ValueError("deadline must be above 0")
        self._deadline = deadline
        self._on_retry = on_retry
        self._make = _maker(target, token, name, retention)
        # A thread and a connection stay with the process that made them. Those of the process that
        # this one was forked from are kept, and never touched: they are shared with it.
        self._lanes: dict[int, _Own] = {}
        self._is_closed = False
        # Errors in the address are told here.
        self._own().lane()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def publish(self, event: Event, *, key: str | None = None) -> str: ...

    @overload
    def publish(self, event: Iterable[Event], *, key: str | None = None) -> list[str]: ...

    def publish(self, event: Event | Iterable[Event], *, key: str | None = None) -> str | list[str]:
        """Publishes one event, or several in order; returns the ids.

        Up to 500 events and 1 MiB are accepted together, all or nothing; more in several goes. If
        one of these fails, ``extra["published"]`` of the error has the ids of those before.

        Args:
            event: what to publish.
            key: makes a repeat within ten minutes harmless, also one by another process: the name
                of a task that may run twice, for instance. At most 240 bytes of ASCII.

        Raises:
            RequestError: what is published is not valid; the subclass says why.
            AuthenticationError: the token is not good, or does not permit this.
            Unreachable: no answer of the server came before the deadline.
            Refused: what answers at the address is not Tidewire, or leads elsewhere.
            LogAway: the log could not be reached before the deadline.
            TidewireError: the server refused for another reason until then.
            ValueError: there are no events, or one has an id already; or the key is too long.
            RuntimeError: the publisher is closed.
        """
        events = [event] if isinstance(event, Event) else list(event)
        if not events or any(each.id is not None for each in events):
            raise ValueError("publish takes one or more events that are not yet in a log")
        key = _key(key)
        end = time.monotonic() + self._deadline
        ids: list[str] = []
        try:
            for number, batch in enumerate(batches(events)):
                ids += self._carry(batch, f"{key}/{number}" if number else key, end)
        except TidewireError as error:
            if ids:
                error.extra["published"] = ids
            raise
        return ids[0] if isinstance(event, Event) else ids

    def close(self) -> None:
        """Ends its connections and its thread; those of this process."""
        self._is_closed = True
        self._own().close()

    def _carry(self, events: Sequence[Event], key: str, end: float) -> list[str]:
        """Publishes what goes together, and tries again until it is done or too late."""
        lane = self._own().lane()
        in_doubt = False
        attempt = 0
        while True:
            if self._is_closed:
                raise RuntimeError("The publisher is closed.")
            try:
                return lane.send(events, key, timeout=max(0.05, end - time.monotonic()))
            except TidewireError as error:
                if isinstance(error, Unreachable | LogAway):
                    # If one of the attempts may have been carried out, the whole may.
                    in_doubt = error.in_doubt = error.in_doubt or in_doubt
                delay = BACKOFF.delay(attempt, random.random())  # noqa: S311 - spreads load
                wait = max(delay, error.retry_after or 0) / 1000
                for_good = error.recovery in ("none", "refresh_token")
                if for_good or time.monotonic() + wait >= end:
                    raise
                if self._on_retry is not None:
                    self._on_retry(error, wait)
            attempt += 1
            time.sleep(wait)

    def _own(self) -> "_Own":
        """What belongs to this process."""
        # One step, also where several threads do it.
        return self._lanes.setdefault(os.getpid(), _Own(self._make))


class _Own:
    """The lane of one process, made when it is first needed."""

    def __init__(self, make: Callable[[], Lane]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._lane: Lane | None = None

    def lane(self) -> Lane:
        with self._lock:
            if self._lane is None:
                self._lane = self._make()
            return self._lane

    def close(self) -> None:
        with self._lock:
            if self._lane is not None:
                self._lane.close()


def _maker(
    target: str,
    token: str | Callable[[], GivenToken] | None,
    name: str | None,
    retention: "Retention | None",
) -> Callable[[], Lane]:
    # What speaks HTTP, or to Redis, is loaded by those who do.
    if target.startswith(("http://", "https://")):
        from tidewire.client.endpoints import Endpoints
        from tidewire.client.posting import HttpLane

        endpoints = Endpoints.of(target)
        return lambda: HttpLane(endpoints, token)
    from tidewire.client.appending import LogLane

    return lambda: LogLane(target, name, retention)


def _key(given: str | None) -> str:
    key = secrets.token_hex(16) if given is None else given
    if not (0 < len(key) <= 240 and key.isascii() and key.isprintable()):
        raise ValueError("key must have 1 to 240 printable characters of ASCII")
    return key


def batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Splits events, in order, into what is published together."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and (len(batch) == BATCH_EVENTS or size + event.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.size
    if batch:
        yield batch
