"""Everything that happens to a connection beside events."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.fakes import FakeClock, FakeJournal, FakeSink
from tests.waiting import within_steps
from tidewire.core import keeper as keeper_module
from tidewire.core import timeline as timeline_module
from tidewire.core.canary import CANARY_SECONDS
from tidewire.core.connections import Connection, ConnectionState
from tidewire.core.control import Disconnect, LocalBus
from tidewire.core.errors import Draining, InvalidToken, NotFound
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.keeper import SWEEP_SECONDS, Keeper, Phase
from tidewire.core.log import Gap, Page
from tidewire.core.position import Cursor, Position, Since
from tidewire.core.reader import HIGH_WATER, Reader, ReaderState
from tidewire.core.target import EVERYONE, Identity, Target
from tidewire.health.journal import ErrorJournal
from tidewire.logs import Retention
from tidewire.logs.memory import MemoryLog

MINUTE = 60_000
HOUR = 3_600_000


class QuietLog(MemoryLog):
    """A memory log whose follower may be kept from hearing, and whose reads may fail."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(Retention(seconds=10**6), clock=clock)
        self.hear = asyncio.Event()
        self.hear.set()
        self.failing = False

    async def read(self, since: Since, **limits: Any) -> Page:
        if self.failing:
            raise ConnectionError("the log is away")
        return await super().read(since, **limits)

    async def follow(self, after: Position) -> AsyncGenerator[Page, None]:
        async for page in super().follow(after):
            await self.hear.wait()
            if self.failing:
                raise ConnectionError("the log is away")
            yield page


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def log(clock: FakeClock) -> QuietLog:
    return QuietLog(clock)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only where a test says so; only one test lets the keeper tick by itself."""
    monkeypatch.setattr(keeper_module, "TICK_SECONDS", 3600.0)


@pytest.fixture
async def keeper(
    log: QuietLog, bus: LocalBus, clock: FakeClock, journal: FakeJournal
) -> AsyncIterator[Keeper]:
    hub = Hub(log, clock=clock, journal=journal)
    await hub.start()
    keeper = Keeper(hub, bus, clock=clock, journal=journal)
    keeper.start()
    yield keeper
    await keeper.stop()
    await hub.stop()


def connection(
    keeper: Keeper,
    user: str = "ann",
    *,
    roles: tuple[str, ...] = (),
    expires_in: int | None = None,
    transport: str = "sse",
    instance: str | None = None,
) -> Connection:
    ends = None if expires_in is None else keeper.clock.now() + expires_in
    identity = Identity(user, frozenset(roles), expires_at=ends)
    return Connection(
        Reader(identity, FakeSink(), keeper.hub.cursor),
        transport,
        connected_at=keeper.clock.now(),
        opened=keeper.clock.monotonic(),
        instance_id=instance,
    )


async def opened(keeper: Keeper, user: str = "ann", **more: Any) -> Connection:
    it = connection(keeper, user, **more)
    keeper.admit(it)
    keeper.opened(it)
    return it


def sink_of(it: Connection) -> FakeSink:
    assert isinstance(it.reader.sink, FakeSink)
    return it.reader.sink


def written(it: Connection) -> list[tuple[str, dict[str, Any]]]:
    """What was written to a stream: names and payloads."""
    text = (sink_of(it).taken + sink_of(it).waiting).decode()
    return [
        (name, json.loads(data)["data"])
        for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n", text)
    ]


def names(it: Connection) -> list[str]:
    return [name for name, _ in written(it)]


# Opening and closing


async def test_an_opened_stream_reads(keeper: Keeper) -> None:
    it = connection(keeper)
    keeper.admit(it)
    assert (it.state, keeper.hub.live) == (ConnectionState.CONNECTING, 0)
    keeper.opened(it)
    assert (it.state, keeper.hub.live) == (ConnectionState.CONNECTED, 1)
    await keeper.hub.publish([Event("notification", {"n": 1})])
    await within_steps(lambda: names(it) == ["notification"])


async def test_a_stream_that_was_closed_before_it_opened_never_reads(keeper: Keeper) -> None:
    it = connection(keeper)
    keeper.admit(it)
    keeper.departures.close(it, "kicked", None)
    keeper.opened(it)
    assert keeper.hub.live == 0
    assert it.reader.state is ReaderState.CLOSED


async def test_closing_says_goodbye_once(keeper: Keeper) -> None:
    it = await opened(keeper)
    keeper.departures.close(it, "kicked", None)
    keeper.departures.close(it, "again", 5)
    assert written(it) == [("disconnecting", {"reason": "kicked", "reconnectAfter": None})]
    assert sink_of(it).closed
    assert keeper.connections.get(it.id) is it
    assert keeper.hub.live == 0
    keeper.release(it)
    assert len(keeper.connections) == 0


async def test_a_released_stream_is_nowhere_any_more(keeper: Keeper) -> None:
    it = await opened(keeper, expires_in=HOUR)
    keeper.release(it)
    keeper.release(it)
    assert (len(keeper.connections), keeper.hub.live) == (0, 0)
    assert it.look_at is None
    assert written(it) == []


@pytest.mark.parametrize("phase", [Phase.NEW, Phase.DRAINING, Phase.CLOSED])
async def test_only_an_open_keeper_takes_connections(keeper: Keeper, phase: Phase) -> None:
    keeper.phase = phase
    it = connection(keeper)
    with pytest.raises(Draining) as refused:
        keeper.admit(it)
    assert refused.value.retry_after == 250
    assert len(keeper.connections) == 0


async def test_a_new_stream_of_a_tab_replaces_its_old_one_and_no_other(keeper: Keeper) -> None:
    old = await opened(keeper, instance="tab-1")
    spared = [
        await opened(keeper, instance="tab-2"),
        await opened(keeper),
        await opened(keeper, "bob", instance="tab-1"),
    ]
    new = await opened(keeper, instance="tab-1")
    assert written(old) == [("disconnecting", {"reason": "replaced", "reconnectAfter": None})]
    for it in (*spared, new):
        assert written(it) == []


async def test_a_stream_is_not_replaced_by_an_older_one_whose_node_says_so_late(
    keeper: Keeper, bus: LocalBus, clock: FakeClock
) -> None:
    asked = clock.now()
    late = Disconnect(
        "replaced", user_id="ann", instance_id="tab", spare="elsewhere", spare_since=asked
    )
    clock.advance(1)
    it = await opened(keeper, instance="tab")
    await bus.send(late)
    assert written(it) == []
    await bus.send(replace(late, spare_since=clock.now()))
    assert names(it) == ["disconnecting"]


@pytest.mark.parametrize("older_heard_first", [True, False])
async def test_of_two_nodes_streams_of_a_tab_the_newer_stays_in_whichever_order_it_is_heard(
    keeper: Keeper, bus: LocalBus, clock: FakeClock, older_heard_first: bool
) -> None:
    command = Disconnect("replaced", user_id="ann", instance_id="tab")
    newer = replace(command, spare="elsewhere", spare_since=clock.now() + 1)
    it = connection(keeper, instance="tab")
    if older_heard_first:
        keeper.admit(it)
        keeper.opened(it)
        await bus.send(newer)
    else:
        keeper.admit(it)
        it.settled = False
        keeper.opened(it)
        await bus.send(newer)
        await bus.send(replace(command, spare=it.id, spare_since=it.connected_at))
    assert written(it) == [("disconnecting", {"reason": "replaced", "reconnectAfter": None})]


async def test_a_held_poll_replaces_nothing(keeper: Keeper) -> None:
    stream = await opened(keeper, instance="tab-1")
    await opened(keeper, transport="polling", instance="tab-1")
    assert written(stream) == []


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        (Disconnect("x", user_id="ann"), {"ann 1", "ann 2"}),
        (Disconnect("x", user_id="ann", instance_id="1"), {"ann 1"}),
        (Disconnect("x", client_id="id of ann 2"), {"ann 2"}),
        (Disconnect("x", client_id="id of ann 2", user_id="bob"), set()),
        (Disconnect("x", client_id="id of ann 2", spare="id of ann 2"), set()),
        (Disconnect("x", client_id="nobody"), set()),
        (Disconnect("x", user_id="zoe"), set()),
        (Disconnect("x"), set()),
    ],
    ids=repr,
)
async def test_a_command_closes_what_matches_every_field_that_is_set(
    keeper: Keeper, bus: LocalBus, command: Disconnect, closed: set[str]
) -> None:
    streams = {}
    for user, instance in (("ann", "1"), ("ann", "2"), ("bob", "1")):
        it = connection(keeper, user, instance=instance)
        it.id = f"id of {user} {instance}"
        keeper.admit(it)
        keeper.opened(it)
        streams[f"{user} {instance}"] = it
    await bus.send(command)
    assert {name for name, it in streams.items() if it.closing} == closed


# Authority


async def test_authority_is_said_to_expire_five_minutes_before_and_ends_on_time(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, expires_in=HOUR)
    ends = clock.now() + HOUR
    clock.advance(55 * 60 - 0.001)
    keeper.tick()
    assert "authExpiring" not in names(it)
    clock.advance(0.001)
    keeper.tick()
    keeper.tick()
    assert [data for name, data in written(it) if name == "authExpiring"] == [
        {"expiresAt": ends, "refreshUrl": "/api/auth/sse-token/refresh"}
    ]
    clock.advance(5 * 60 - 0.001)
    keeper.tick()
    assert not it.closing
    clock.advance(0.001)
    keeper.tick()
    assert [name for name in names(it) if name != "ping"] == [
        "authExpiring",
        "problem",
        "disconnecting",
    ]
    problem, goodbye = [data for _, data in written(it)[-2:]]
    assert (problem["code"], problem["recovery"]) == ("AUTH_EXPIRED_TOKEN", "refresh_token")
    assert goodbye == {"reason": "expired", "reconnectAfter": 1000}
    assert sink_of(it).closed


async def test_a_short_authority_is_warned_of_in_its_last_quarter(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, expires_in=60_000)
    clock.advance(44.9)
    keeper.tick()
    assert "authExpiring" not in names(it)
    clock.advance(0.1)
    keeper.tick()
    assert "authExpiring" in names(it)


async def test_an_authority_that_is_over_ends_at_the_first_look(keeper: Keeper) -> None:
    it = await opened(keeper, expires_in=-5)
    keeper.tick()
    assert names(it) == ["problem", "disconnecting"]


async def test_an_undated_authority_ends_after_one_hour(keeper: Keeper, clock: FakeClock) -> None:
    it = await opened(keeper)
    assert it.authority_ends == clock.now() + HOUR
    clock.advance(3599.999)
    keeper.tick()
    assert not it.closing
    clock.advance(0.001)
    keeper.tick()
    assert it.closing


async def test_a_refresh_extends_the_stream_and_the_warning_comes_anew(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, expires_in=HOUR)
    clock.advance(56 * 60)
    keeper.tick()
    later = clock.now() + HOUR
    assert keeper.refresh(it.id, Identity("ann", expires_at=later)) == (later, keeper.hub.cursor)
    clock.advance(10 * 60)
    keeper.tick()
    assert not it.closing
    assert names(it).count("authExpiring") == 1
    clock.advance(45 * 60)
    keeper.tick()
    assert names(it).count("authExpiring") == 2
    clock.advance(5 * 60)
    keeper.tick()
    assert it.closing


async def test_a_refresh_narrows_and_widens_at_once(keeper: Keeper, clock: FakeClock) -> None:
    it = await opened(keeper, roles=("A",), expires_in=HOUR)

    async def publish(*roles: str) -> None:
        for role in roles:
            event = Event("notification", {"for": role}, target=Target.of(roles=[role]))
            await keeper.hub.publish([event])
        head = await keeper.hub.head()
        await within_steps(lambda: keeper.hub.position == head)

    await publish("A", "B")
    keeper.refresh(it.id, Identity("ann", frozenset({"B"}), expires_at=clock.now() + 2 * HOUR))
    await publish("A", "B")
    assert [data["for"] for _, data in written(it)] == ["A", "B"]


async def test_a_refresh_without_an_end_lasts_an_hour_from_now(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, expires_in=HOUR)
    clock.advance(1800)
    ends, _ = keeper.refresh(it.id, Identity("ann"))
    assert ends == clock.now() + HOUR


async def test_a_refresh_is_refused_for_a_stream_that_is_not_yours_or_is_going(
    keeper: Keeper, clock: FakeClock
) -> None:
    later = clock.now() + 2 * HOUR
    it = await opened(keeper, expires_in=HOUR)
    for client_id, user in ((it.id, "bob"), ("nobody", "ann")):
        with pytest.raises(NotFound):
            keeper.refresh(client_id, Identity(user, expires_at=later))
    keeper.departures.close(it, "kicked", None)
    with pytest.raises(NotFound):
        keeper.refresh(it.id, Identity("ann", expires_at=later))


async def test_a_refresh_that_does_not_last_longer_is_refused(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, roles=("A",), expires_in=HOUR)
    for seconds in (0, -1):
        shorter = Identity("ann", expires_at=clock.now() + HOUR + seconds * 1000)
        with pytest.raises(InvalidToken):
            keeper.refresh(it.id, shorter)
    assert it.reader.identity.roles == {"A"}


async def test_a_stream_that_is_going_is_told_nothing_more(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, expires_in=HOUR)
    keeper.departures.close(it, "kicked", None)
    for _ in range(3):
        clock.advance(1800)
        keeper.tick()
    assert names(it) == ["disconnecting"]


async def test_the_agenda_does_not_grow_as_streams_come_and_go(keeper: Keeper) -> None:
    kept = [await opened(keeper, expires_in=HOUR + n) for n in range(10)]
    for n in range(2_000):
        it = await opened(keeper, "bob", expires_in=1000 * HOUR + n)
        keeper.release(it)
        assert len(keeper._agenda._heap) <= 2 * len(kept) + 2
    assert {item[2] for item in keeper._agenda._heap if item[2].look_at == item[0]} == set(kept)


async def test_the_agenda_does_not_grow_as_streams_are_refreshed(
    keeper: Keeper, clock: FakeClock
) -> None:
    it = await opened(keeper, expires_in=HOUR)
    for n in range(1, 1_000):
        keeper.refresh(it.id, Identity("ann", expires_at=clock.now() + HOUR + n))
        assert len(keeper._agenda._heap) <= 4
    clock.advance(7200)
    keeper.tick()
    assert it.closing


async def test_what_was_overtaken_and_is_due_is_passed_over(
    keeper: Keeper, clock: FakeClock
) -> None:
    others = [await opened(keeper, "bob", expires_in=1000 * HOUR) for _ in range(5)]
    gone = await opened(keeper, expires_in=HOUR)
    keeper.release(gone)
    clock.advance(7200)
    keeper.tick()
    assert "authExpiring" not in names(gone)
    for it in others:
        keeper.release(it)
    assert keeper._agenda._heap == []


# Pings and sweeps


async def test_a_ping_goes_to_live_streams_with_room_and_carries_the_position(
    keeper: Keeper,
) -> None:
    await keeper.hub.publish([Event("notification", target=Target.of(["zoe"]))])
    await within_steps(lambda: keeper.hub.position.offset == 1)
    live, full = await opened(keeper), await opened(keeper)
    sink_of(full).stop_reading()
    sink_of(full).waiting = b"\n" * HIGH_WATER
    connecting = connection(keeper)
    keeper.admit(connecting)
    keeper.ping()
    keeper.ping()
    position = str(keeper.hub.position)
    assert [(data["sequence"], data["head"]) for _, data in written(live)] == [
        (1, position),
        (2, position),
    ]
    assert sink_of(live).taken.endswith(f"\nid: {position}\n\n".encode())
    assert names(full) == names(connecting) == []


async def test_pings_come_at_their_interval(keeper: Keeper, clock: FakeClock) -> None:
    it = await opened(keeper)
    counted = []
    for _ in range(9):
        clock.advance(10)
        keeper.tick()
        counted.append(names(it).count("ping"))
    assert counted == [0, 0, 1, 1, 1, 2, 2, 2, 3]


async def test_a_stream_whose_peer_takes_nothing_is_closed_visibly(
    keeper: Keeper, clock: FakeClock, journal: FakeJournal
) -> None:
    it = await opened(keeper)
    sink_of(it).stop_reading()
    sink_of(it).blocked = clock.monotonic()
    clock.advance(SWEEP_SECONDS + 1)
    keeper.tick()
    assert it.state is ConnectionState.STALE
    assert journal.notes == []
    clock.advance(SWEEP_SECONDS)
    keeper.tick()
    assert it.closing
    assert sink_of(it).was_aborted
    assert journal.notes == ["a stale stream was closed"]
    assert written(it)[-1] == ("disconnecting", {"reason": "stale", "reconnectAfter": 250})


# Draining


async def test_a_drain_gives_each_stream_its_own_time_to_come_back(keeper: Keeper) -> None:
    streams = [await opened(keeper, f"u{n}") for n in range(6)]
    draining = asyncio.create_task(keeper.drain(10))
    await within_steps(lambda: streams[-1].closing)
    slots = [written(it)[-1][1]["reconnectAfter"] for it in streams]
    assert slots == sorted(set(slots))
    assert slots[0] == 250
    # 500 streams a second.
    assert slots[-1] - slots[0] == 5 * 2
    assert all(written(it)[-1][1]["reason"] == "shutdown" for it in streams)
    assert not draining.done()
    for it in streams:
        keeper.release(it)
    await draining
    assert keeper.phase is Phase.DRAINING
    assert not any(sink_of(it).was_aborted for it in streams)


async def test_a_drain_cuts_off_what_does_not_go(keeper: Keeper, journal: FakeJournal) -> None:
    stays, goes = await opened(keeper), await opened(keeper)
    draining = asyncio.create_task(keeper.drain(0.01))
    await within_steps(lambda: goes.closing)
    keeper.release(goes)
    await draining
    assert sink_of(stays).was_aborted
    assert not sink_of(goes).was_aborted
    assert journal.notes == ["drained streams were cut off"]


async def test_a_drain_of_nothing_is_over_at_once_and_there_is_only_one(keeper: Keeper) -> None:
    await keeper.drain(3600)
    assert keeper.phase is Phase.DRAINING
    await keeper.drain(3600)
    with pytest.raises(Draining):
        keeper.admit(connection(keeper))


async def test_farewells_of_a_server_that_goes_down_say_when_to_come_back(keeper: Keeper) -> None:
    streams = [await opened(keeper, f"u{n}") for n in range(3)]
    for it in streams:
        keeper.departures.farewell(it)
    for it in streams:
        [(name, data)] = written(it)
        assert (name, data["reason"]) == ("disconnecting", "shutdown")
        assert data["reconnectAfter"] >= 250


async def test_stopping_cuts_off_whatever_is_open(keeper: Keeper) -> None:
    it = await opened(keeper)
    await keeper.stop()
    assert sink_of(it).was_aborted
    assert keeper.phase is Phase.CLOSED
    assert not keeper.ready


# Polls


def polled(keeper: Keeper, user: str, start: Cursor, end: Cursor, gap: Gap | None = None) -> int:
    """Records a poll; returns how many records that were."""
    before = len(keeper.recorder)
    keeper.timeline.polled(Reader(Identity(user), FakeSink(), end), None, start, end, gap)
    return len(keeper.recorder) - before


async def test_of_polls_that_find_nothing_the_first_after_one_that_did_is_recorded(
    keeper: Keeper,
) -> None:
    a, b = Cursor(Position(1, 1, "abcd")), Cursor(Position(1, 5, "abcd"))
    quiet = [polled(keeper, "ann", a, a) for _ in range(3)]
    assert quiet == [1, 0, 0]
    assert polled(keeper, "ann", a, b) == 1
    assert [polled(keeper, "ann", b, b) for _ in range(3)] == [1, 0, 0]
    [*_, last] = keeper.recorder.of_user("ann")
    assert (last.since, last.cursor) == (str(b), b)


async def test_one_poller_too_many_pushes_out_the_one_longest_not_seen(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_module, "POLLERS", 3)
    at = Cursor(Position(1, 1, "abcd"))
    assert [polled(keeper, user, at, at) for user in ("a", "b", "c", "a", "d")] == [1, 1, 1, 0, 1]
    assert [polled(keeper, user, at, at) for user in ("a", "c", "d")] == [0, 0, 0]
    assert polled(keeper, "b", at, at) == 1
    assert len(keeper.timeline._quiet) == 3


async def test_the_gap_of_a_poll_is_recorded_with_where_it_ends(keeper: Keeper) -> None:
    start, end = Cursor(Position(1, 1, "abcd")), Cursor(Position(1, 9, "abcd"))
    to = Position(1, 5, "abcd")
    assert polled(keeper, "ann", start, end, Gap(str(start), to, "expired")) == 2
    gap, poll = keeper.recorder.of_user("ann")
    assert (gap.what, gap.since, gap.cursor) == ("gap", str(start), Cursor(to))
    assert (poll.what, poll.since, poll.cursor) == ("polled", str(start), end)


# Ready


def ready(keeper: Keeper) -> bool:
    return keeper.ready


async def canary(keeper: Keeper, clock: FakeClock) -> None:
    clock.advance(CANARY_SECONDS)
    await keeper.canary.sing()


async def test_a_node_that_hears_is_ready(keeper: Keeper, clock: FakeClock) -> None:
    assert keeper.ready
    for n in range(3):
        await keeper.hub.publish([Event("notification", {"n": n})])
        await within_steps(lambda: keeper.hub.position == keeper.hub.log._head)  # type: ignore[attr-defined]
        await canary(keeper, clock)
        assert keeper.ready


async def test_a_node_is_not_ready_before_it_starts_and_after_it_drains(
    log: QuietLog, bus: LocalBus, clock: FakeClock, journal: FakeJournal
) -> None:
    hub = Hub(log, clock=clock, journal=journal)
    keeper = Keeper(hub, bus, clock=clock, journal=journal)
    assert not ready(keeper)
    await hub.start()
    assert not ready(keeper)
    keeper.start()
    assert ready(keeper)
    await keeper.drain(1)
    assert not ready(keeper)
    await keeper.stop()
    await hub.stop()


async def test_a_node_that_does_not_hear_what_the_log_holds_is_not_ready_until_it_does(
    keeper: Keeper, log: QuietLog, clock: FakeClock
) -> None:
    log.hear.clear()
    await keeper.hub.publish([Event("notification")])
    await canary(keeper, clock)
    assert ready(keeper)
    await canary(keeper, clock)
    assert not ready(keeper)
    assert keeper.hub.hearing
    log.hear.set()
    await within_steps(lambda: keeper.hub.position.offset == 1)
    await canary(keeper, clock)
    assert ready(keeper)


async def test_a_log_that_is_not_heard_is_followed_anew_after_growing_pauses(
    log: QuietLog, bus: LocalBus, clock: FakeClock
) -> None:
    errors = ErrorJournal(FakeJournal(), clock=clock)
    hub = Hub(log, clock=clock, journal=errors)
    restarts: list[float] = []

    def follow_again() -> bool:
        restarts.append(clock.monotonic())
        return True

    errors.recoveries.actions["restart_follow_loop"] = follow_again
    await hub.start()
    keeper = Keeper(hub, bus, clock=clock, journal=errors)
    keeper.start()

    async def stall(seconds: float) -> list[float]:
        restarts.clear()
        log.hear.clear()
        await hub.publish([Event("notification")])
        end = clock.monotonic() + seconds
        while clock.monotonic() < end:
            await canary(keeper, clock)
        return [later - earlier for earlier, later in pairwise(restarts)]

    async def heard() -> None:
        log.hear.set()
        await within_steps(lambda: hub.position.offset == log._head.offset)
        await canary(keeper, clock)

    assert await stall(130) == [4, 8, 16, 32, 32, 32]
    [*_, entry] = errors.kept()
    assert entry.kind.code == "FOLLOW_STALLED"
    await heard()
    assert {each.recovery and each.recovery.success for each in errors.kept()} == {True}
    # The next time it begins as the first time.
    assert await stall(20) == [4, 8]
    await keeper.stop()
    await hub.stop()


async def test_a_log_that_takes_its_time_is_heard_in_the_end(
    log: QuietLog, bus: LocalBus, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = ErrorJournal(FakeJournal(), clock=clock)
    hub = Hub(log, clock=clock, journal=errors)
    errors.recoveries.actions["restart_follow_loop"] = hub.follower.again
    follow = log.follow

    async def slowly(after: Position) -> AsyncGenerator[Page, None]:
        ends = clock.monotonic() + 10
        await within_steps(lambda: clock.monotonic() >= ends)
        async for page in follow(after):
            yield page

    monkeypatch.setattr(log, "follow", slowly)
    await hub.start()
    keeper = Keeper(hub, bus, clock=clock, journal=errors)
    keeper.start()
    await hub.publish([Event("notification")])
    for _ in range(30):
        await canary(keeper, clock)
        for _ in range(10):
            await asyncio.sleep(0)
    assert hub.position.offset == 1
    assert ready(keeper)
    await keeper.stop()
    await hub.stop()


async def test_a_node_whose_follower_fails_is_not_ready(keeper: Keeper, log: QuietLog) -> None:
    log.failing = True
    await log.append([Event("notification")])
    await within_steps(lambda: not keeper.hub.hearing)
    assert not keeper.ready


async def test_the_canary_sings_at_its_own_pace(
    keeper: Keeper, log: QuietLog, clock: FakeClock
) -> None:
    log.failing = True
    await keeper.canary.sing()
    with pytest.raises(ConnectionError):
        await canary(keeper, clock)


async def test_a_keeper_ticks_by_itself_and_a_failed_tick_is_not_its_last(
    log: QuietLog,
    bus: LocalBus,
    clock: FakeClock,
    journal: FakeJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "TICK_SECONDS", 0.0)
    hub = Hub(log, clock=clock, journal=journal)
    await hub.start()
    keeper = Keeper(hub, bus, clock=clock, journal=journal, ping_interval=1)
    keeper.start()
    it = await opened(keeper)
    log.failing = True
    clock.advance(CANARY_SECONDS)
    await within_steps(lambda: "a tick failed" in journal.notes)
    log.failing = False
    pings = names(it).count("ping")
    clock.advance(CANARY_SECONDS)
    await within_steps(lambda: names(it).count("ping") > pings)
    await keeper.stop()
    await hub.stop()


async def test_everyone_is_reached_while_nobody_is_named(keeper: Keeper) -> None:
    it = await opened(keeper)
    await keeper.hub.publish([Event("notification", target=EVERYONE)])
    await within_steps(lambda: names(it) == ["notification"])
