"""Runs what `reduce` decides: keeps the links and timers that the state has, and carries out the
effects."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import httpx

from tidewire.client.buffer import Buffer, placed
from tidewire.client.failure import thrown
from tidewire.client.model import (
    Action,
    Delivery,
    Extend,
    FetchToken,
    Link,
    Moment,
    Rang,
    Report,
    Signal,
    State,
    Timer,
    TokenCame,
    TokenMissed,
    Told,
)
from tidewire.client.source import Source
from tidewire.client.state import reduce
from tidewire.client.tokens import TokenSource, get_token
from tidewire.client.transports import Transport, follow, poll

EXTEND_SECONDS: Final = 10.0
"""How long the answer to a new token may take."""

LAST_TURNS: Final = 8
"""Turns of the event loop at the end. The library that reads answers has generators within
generators, and leaves the inner ones to the garbage collector, which ends one each turn."""


class Connection:
    """A connection, which may change its links and goes on from where it was.

    Attributes:
        state: how it is.
        crash: what went wrong in here, if something did: a fault of ours.
    """

    def __init__(
        self,
        state: State,
        source: Source,
        buffer: Buffer,
        *,
        get_token: TokenSource | None,
        on_step: Callable[[State, Sequence[Report]], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        """Makes one that nobody has asked for yet.

        Args:
            state: that of one that is idle.
            source: where it reads from, and who asks.
            buffer: where it puts what arrives.
            get_token: what gets tokens.
            on_step: told of each state, and of the failures before it.
            on_crash: told of a fault of ours, after which nothing happens any more.
        """
        self.state = state
        self.crash: Exception | None = None
        self._source = source
        self._buffer = buffer
        self._get_token = get_token
        self._on_step = on_step
        self._on_crash = on_crash
        self._links: dict[int, asyncio.Task[None]] = {}
        self._timers: dict[Timer, tuple[float, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue: deque[Action] = deque()
        self._is_running = False

    @staticmethod
    def now() -> float:
        """Milliseconds of the clock that the timers are of."""
        return time.monotonic() * 1000

    def do(self, action: Action) -> None:
        """Lets an action happen. What is asked for on the way happens after it."""
        self._queue.append(action)
        if self._is_running or self.crash is not None:
            return
        self._is_running = True
        try:
            while self._queue:
                self._step(self._queue.popleft())
        except Exception as error:
            self.crash = error
            self._queue.clear()
            self._let_go()
            self._on_crash(error)
        finally:
            self._is_running = False

    async def close(self) -> None:
        """Leaves no task, no timer and no request."""
        self.do("disconnect")
        self._let_go()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)

    def _step(self, action: Action) -> None:
        before = self.state
        moment = Moment(self.now(), random.random())  # noqa: S311 - spreads load
        step = reduce(before, action, moment)
        self.state = step.state
        items = [effect.item for effect in step.effects if isinstance(effect, Delivery)]
        # A sign of life is none for the consumer.
        items = [item for item in items if getattr(item, "type", "") != "ping"]
        if items:
            self._buffer.put(placed(items, before.cursor, step.state.cursor))
        self._keep_links()
        self._keep_timers()
        for effect in step.effects:
            match effect:
                case FetchToken(run):
                    self._spawn(self._fetch_token(run), "token")
                case Extend(client_id):
                    self._spawn(self._extend(client_id), "extend")
        self._on_step(self.state, [each for each in step.effects if isinstance(each, Report)])
        if self._buffer.full and not self.state.paused:
            self._queue.append("pause")

    # Links

    def _keep_links(self) -> None:
        wanted = {
            link.run: link for link in (self.state.link, self.state.probe) if link is not None
        }
        for run in [run for run in self._links if run not in wanted]:
            self._links.pop(run).cancel()
        for run, link in wanted.items():
            if run not in self._links:
                transport = follow if link.method == "sse" else poll
                self._links[run] = self._spawn(self._read(transport, link), link.method)

    async def _read(self, transport: Transport, link: Link) -> None:
        async def tell(signal: Signal) -> None:
            self.do(Told(link.run, signal))
            # Nothing is lost: what is not read waits in the network, and then in the log.
            if self._buffer.full:
                await self._buffer.room()

        await transport(self._source, link, tell)

    # Timers

    def _keep_timers(self) -> None:
        timers = self.state.timers
        for timer, (due, handle) in list(self._timers.items()):
            # One that is due later is let ring, and set again then: a stream moves its own with
            # each event.
            if timers.get(timer, 0) < due:
                handle.cancel()
                del self._timers[timer]
        for timer, due in timers.items():
            if timer not in self._timers:
                self._set(timer, due)

    def _set(self, timer: Timer, due: float) -> None:
        delay = max(0.0, due - self.now()) / 1000
        handle = asyncio.get_running_loop().call_later(delay, self._ring, timer)
        self._timers[timer] = due, handle

    def _ring(self, timer: Timer) -> None:
        del self._timers[timer]
        due = self.state.timers.get(timer)
        if due is None:
            return
        if due > self.now():
            self._set(timer, due)
        else:
            self.do(Rang(timer))

    # Tokens

    async def _fetch_token(self, run: int) -> None:
        assert self._get_token is not None  # noqa: S101 - narrows; only then one is asked for
        try:
            given = await get_token(self._get_token)
        except Exception as error:
            self.do(TokenMissed(run, thrown(error, "TOKEN_FAILED")))
            return
        if run != self.state.fetching:
            return
        self._source.token = given.token
        due = given.refresh_after
        if due is not None:
            # From the clock of tokens to that of timers.
            due += self.now() - time.time() * 1000
        self.do(TokenCame(run, due))

    async def _extend(self, client_id: str) -> None:
        source = self._source
        # If that fails, the stream ends with the old one, and the next begins with the new one.
        with suppress(httpx.HTTPError):
            await source.http.post(
                source.endpoints.refresh,
                json={"clientId": client_id},
                headers=source.request("application/json"),
                timeout=EXTEND_SECONDS,
            )

    # Tasks

    def _spawn(self, coroutine: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name=f"tidewire-client-{what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _let_go(self) -> None:
        for _, handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        for task in self._links.values():
            task.cancel()
        self._links.clear()
