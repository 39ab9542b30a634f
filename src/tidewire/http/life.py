"""The life of a node: made on first use or with the application, tried again while its log
cannot be reached, drained, stopped."""

import asyncio
import resource
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from tidewire.core.admission import Caps
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.control import Carrying, ControlBus, LocalBus
from tidewire.core.errors import LogAway, Unavailable
from tidewire.core.hub import Hub
from tidewire.core.inquiry import Respond
from tidewire.core.keeper import Keeper
from tidewire.core.log import EventLog, Opened
from tidewire.health.journal import ErrorJournal
from tidewire.health.measures import Measures
from tidewire.http.figures import Figures
from tidewire.http.hooks import Hooks
from tidewire.http.settings import Settings
from tidewire.logs import open_log

START_AGAIN_SECONDS: Final = 1.0
"""How long a log that could not be reached is left alone before the next try."""


class Node(NamedTuple):
    """What runs between a start and a stop, on one event loop."""

    loop: asyncio.AbstractEventLoop
    log: EventLog
    bus: ControlBus
    hub: Hub
    keeper: Keeper
    figures: Figures
    started_at: int


Start: TypeAlias = Callable[[], Awaitable[Node]]
"""Starts a node, if that has not happened yet."""


class Life:
    """Starts and stops the node of one service; both may happen several times.

    Attributes:
        node: what runs; None before the start and after the stop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: EventLog | None,
        clock: Clock | None,
        journal: ErrorJournal,
        measures: Measures,
        hooks: Hooks,
    ) -> None:
        """Makes the log, so that bad settings are told now and not on first use.

        Raises:
            ConfigurationError: the settings name no log.
        """
        self.node: Node | None = None
        self._settings = settings
        self._log_clock = clock
        self._clock: Clock = clock or SystemClock()
        self._journal = journal
        self._measures = measures
        self._hooks = hooks
        self._given = log
        self._made = None if log is not None else self._make_log()
        self._starter: asyncio.Task[None] | None = None
        self._unreached: tuple[float, LogAway] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> Node:
        """Starts, if that has not happened yet.

        Raises:
            LogAway: the log cannot be reached; the next call tries again, a second later.
            Unavailable: it runs on another event loop.
        """
        if self.node is None:
            async with self._starting:
                if self.node is None:
                    self.node = await self._try_to_start()
        return self._running(self.node)

    async def start_in_time(self) -> None:
        """Starts; while the log cannot be reached, goes on trying behind everything else."""
        try:
            await self.start()
        except LogAway as error:
            self._journal.note(
                "the log cannot be reached yet; it is tried again",
                error=error,
                next_try=round(START_AGAIN_SECONDS * 1000),
            )
            self._starter = asyncio.create_task(self._start_again(), name="tidewire-start")

    async def _start_again(self) -> None:
        while self.node is None:
            await asyncio.sleep(START_AGAIN_SECONDS)
            try:
                await self.start()
                self._journal.note("the log was reached", recovered=["LOG_AWAY"])
            except LogAway:
                continue
            except Exception as error:
                self._journal.note(
                    "starting failed; it is tried again",
                    error=error,
                    next_try=round(START_AGAIN_SECONDS * 1000),
                )

    async def stop(self) -> None:
        """Ends all streams and everything that runs. It may be started again; a log in memory
        that it opened itself is gone then."""
        if self._starter is not None:
            self._starter.cancel()
            await asyncio.gather(self._starter, return_exceptions=True)
            self._starter = None
        node, self.node = self.node, None
        if node is not None:
            self._journal.recoveries.actions.clear()
            await node.keeper.stop()
            await node.bus.flush()
            await node.hub.stop()
            await node.bus.close()
            if self._given is None:
                await node.log.close()
            await self._hooks.close()

    async def _try_to_start(self) -> Node:
        now = self._clock.monotonic()
        if self._unreached is not None and now < self._unreached[0] + START_AGAIN_SECONDS:
            raise self._unreached[1].again()
        try:
            node = await self._make_node()
        except LogAway as error:
            self._unreached = (self._clock.monotonic(), error)
            raise
        self._unreached = None
        return node

    def _make_log(self) -> EventLog:
        return open_log(
            self._settings.log_address,
            retention=self._settings.retention,
            name=self._settings.log_name,
            spool_dir=self._settings.spool_dir,
            clock=self._log_clock,
            journal=self._journal,
        )

    async def _make_node(self) -> Node:
        made, self._made = self._made, None
        log = self._given or made or self._make_log()
        bus = log.bus() if isinstance(log, Carrying) else LocalBus()
        hub = Hub(log, clock=self._clock, journal=self._journal, meter=self._measures)
        started_at = self._clock.now()
        keeper = Keeper(
            hub,
            bus,
            clock=self._clock,
            journal=self._journal,
            ping_interval=self._settings.ping_interval,
            caps=self._caps(),
            watch=self._hooks,
            figures=lambda: figures.brief(),
        )
        figures = Figures(keeper, started_at, self._measures, self._journal)
        try:
            if isinstance(log, Opened):
                await log.open()
            await bus.load()
            await hub.start()
        except BaseException:
            await hub.stop()
            await bus.close()
            if self._given is None:
                await log.close()
            raise
        self._hooks.node = keeper.presence.node
        keeper.inquiries.respond = self._responding(keeper, figures)
        self._journal.recoveries.actions["restart_follow_loop"] = hub.follower.again
        keeper.start()
        return Node(asyncio.get_running_loop(), log, bus, hub, keeper, figures, started_at)

    def _responding(self, keeper: Keeper, figures: Figures) -> Respond:
        def respond(what: str, parameters: Mapping[str, Any]) -> Any:
            # Here and not above: a server is ready before anybody asks.
            from tidewire.http.inspection import Inspection

            return Inspection(keeper, figures, self._journal).respond(what, parameters)

        return respond

    def _caps(self) -> Caps:
        node = self._settings.max_connections
        if node is None:
            files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            # The rest is for what is no stream: the log, the page that asks how this node is.
            node = 0 if files == resource.RLIM_INFINITY else max(1, files * 4 // 5)
        return Caps(self._settings.max_connections_per_user, node)

    def _running(self, node: Node) -> Node:
        if node.loop is not asyncio.get_running_loop():
            raise Unavailable(
                "This Tidewire runs on another event loop. Call it from the loop that started "
                "it (asyncio.run_coroutine_threadsafe), or make one for each loop."
            )
        return node
