"""Decisions about credentials after they were issued: for open streams, and for new ones."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.fakes import FakeClock, FakeJournal, FakeSink
from tidewire.core.admission import Caps
from tidewire.core.authority import Authority
from tidewire.core.connections import Connection, ConnectionState
from tidewire.core.control import ChangeIdentity, Disconnect, LocalBus, Revoke
from tidewire.core.errors import Forbidden, NodeFull, RevokedCredential, TooManyConnections
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.keeper import Keeper
from tidewire.core.reader import Reader, ReaderState
from tidewire.core.target import Identity, Target
from tidewire.logs import Retention
from tidewire.logs.memory import MemoryLog

NOW = FakeClock().now()


def token(user: str = "alice", *, issued_at: int | None = NOW, jti: str = "t1") -> Identity:
    return Identity(user, roles=frozenset({"EDITOR"}), token_id=jti, issued_at=issued_at)


# Authority: what new requests are judged by


def test_a_revoked_token_is_refused_and_others_of_its_user_are_not() -> None:
    authority = Authority()
    authority.revoke(Revoke(NOW, token_id="t1"))
    with pytest.raises(RevokedCredential):
        authority.judge(token(jti="t1"))
    assert authority.judge(token(jti="t2")) == token(jti="t2")


def test_revoking_a_user_refuses_what_was_issued_until_then_and_nothing_later() -> None:
    authority = Authority()
    authority.revoke(Revoke(NOW, user_id="alice"))
    with pytest.raises(RevokedCredential):
        authority.judge(token(issued_at=NOW))
    assert authority.judge(token(issued_at=NOW + 1)).user_id == "alice"
    assert authority.judge(token("bob", issued_at=NOW)).user_id == "bob"


def test_a_changed_identity_overrides_older_credentials_and_not_newer_ones() -> None:
    authority = Authority()
    authority.change(ChangeIdentity("alice", NOW, roles=frozenset({"READER"})))
    assert authority.judge(token(issued_at=NOW)).roles == {"READER"}
    assert authority.judge(token(issued_at=NOW + 1)).roles == {"EDITOR"}


def test_a_credential_that_was_asked_for_now_speaks_for_itself() -> None:
    authority = Authority()
    authority.change(ChangeIdentity("alice", NOW, roles=frozenset()))
    authority.revoke(Revoke(NOW, user_id="alice"))
    assert authority.judge(token(issued_at=None)).roles == {"EDITOR"}


def test_what_a_change_leaves_out_stays_as_it_was() -> None:
    identity = Identity("alice", frozenset({"A"}), frozenset({"publish"}), frozenset({"news"}))
    changed = ChangeIdentity("alice", NOW, topics=frozenset()).applied(identity)
    assert changed == Identity("alice", frozenset({"A"}), frozenset({"publish"}))


def test_a_change_leaves_alone_what_was_issued_later_and_what_is_of_now_follows() -> None:
    change = ChangeIdentity("alice", NOW, roles=frozenset({"VIP"}))
    assert change.applied(token(issued_at=NOW + 1)).roles == {"EDITOR"}
    assert change.applied(token(issued_at=NOW)).roles == {"VIP"}
    assert change.applied(token(issued_at=None)).roles == {"VIP"}


def test_what_a_later_change_leaves_out_an_earlier_one_has_decided() -> None:
    authority = Authority()
    authority.change(ChangeIdentity("alice", NOW, roles=frozenset()))
    authority.change(ChangeIdentity("alice", NOW + 10, topics=frozenset({"news"})))
    old = authority.judge(token(issued_at=NOW))
    assert (old.roles, old.topics) == (frozenset(), frozenset({"news"}))
    between = authority.judge(token(issued_at=NOW + 5))
    assert (between.roles, between.topics) == (frozenset({"EDITOR"}), frozenset({"news"}))


def test_of_changes_only_those_are_kept_that_still_decide_something() -> None:
    authority = Authority()
    for n in range(100):
        authority.change(ChangeIdentity("alice", NOW + n, roles=frozenset({f"R{n}"})))
    authority.change(ChangeIdentity("alice", NOW + 100, topics=frozenset()))
    assert authority.judge(token(issued_at=NOW)).roles == {"R99"}
    assert len(authority._changes["alice"]) == 2


def test_an_older_revocation_does_not_undo_a_newer_one() -> None:
    authority = Authority()
    authority.revoke(Revoke(NOW + 10, user_id="alice"))
    authority.revoke(Revoke(NOW, user_id="alice"))
    with pytest.raises(RevokedCredential):
        authority.judge(token(issued_at=NOW + 10))


# Keeper: what open streams are judged by


@dataclass
class House:
    clock: FakeClock
    bus: LocalBus
    hub: Hub
    keeper: Keeper

    async def open(self, identity: Identity, *, instance: str | None = None) -> Connection:
        reader = Reader(identity, FakeSink(), self.hub.cursor)
        connection = Connection(
            reader,
            "sse",
            connected_at=self.clock.now(),
            opened=self.clock.monotonic(),
            instance_id=instance,
        )
        self.keeper.admit(connection)
        self.keeper.opened(connection)
        return connection

    async def publish(self, event: Event) -> None:
        await self.hub.publish([event])
        page = await self.hub.log.read(0)
        # The hub takes what the log yields; here without waiting for its loop.
        fresh = tuple(e for e in page.entries if e.position.offset > self.hub.position.offset)
        self.hub.receive(type(page)(self.hub.position, fresh, page.head))


def taken(connection: Connection) -> bytes:
    sink = connection.reader.sink
    assert isinstance(sink, FakeSink)
    return sink.taken


@pytest.fixture
async def house() -> AsyncIterator[House]:
    clock = FakeClock()
    bus, journal = LocalBus(), FakeJournal()
    hub = Hub(MemoryLog(Retention(), clock=clock), clock=clock, journal=journal)
    keeper = Keeper(hub, bus, clock=clock, journal=journal, caps=Caps(user=3, node=6))
    await hub.start()
    keeper.start()
    yield House(clock, bus, hub, keeper)
    await keeper.stop()
    await hub.stop()


async def test_revoking_a_user_ends_their_streams_with_a_problem_and_no_others(
    house: House,
) -> None:
    alice, bob = await house.open(token()), await house.open(token("bob"))
    await house.bus.send(Revoke(house.clock.now(), user_id="alice"))
    said = taken(alice)
    assert said.index(b'"code":"AUTH_REVOKED"') < said.index(b"event: disconnecting")
    assert alice.closing
    assert bob.state is ConnectionState.CONNECTED


async def test_revoking_a_token_ends_the_streams_that_it_opened(house: House) -> None:
    first = await house.open(token(jti="t1"))
    second = await house.open(token(jti="t2"))
    await house.bus.send(Revoke(house.clock.now(), token_id="t2"))
    assert (first.closing, second.closing) == (False, True)


async def test_a_stream_of_a_credential_that_came_later_outlives_the_revocation(
    house: House,
) -> None:
    stream = await house.open(token(issued_at=NOW + 1))
    await house.bus.send(Revoke(NOW, user_id="alice"))
    assert not stream.closing


async def test_changed_roles_are_in_force_at_the_next_event(house: House) -> None:
    stream = await house.open(token())
    for_editors = Event("edit", "secret", target=Target.of(roles=["EDITOR"]))
    for_readers = Event("read", "public", target=Target.of(roles=["READER"]))
    await house.publish(for_editors)
    await house.bus.send(ChangeIdentity("alice", house.clock.now(), roles=frozenset({"READER"})))
    await house.publish(for_editors)
    await house.publish(for_readers)
    assert taken(stream).count(b"secret") == 1
    assert taken(stream).count(b"public") == 1


async def test_what_a_reader_missed_is_judged_by_the_roles_of_now(house: House) -> None:
    stream = await house.open(token())
    sink = stream.reader.sink
    assert isinstance(sink, FakeSink)
    sink.stop_reading()
    await house.publish(Event("fill", "x" * 20_000))
    await house.publish(Event("edit", "secret", target=Target.of(roles=["EDITOR"])))
    assert stream.reader.state is ReaderState.BEHIND
    await house.bus.send(ChangeIdentity("alice", house.clock.now(), roles=frozenset()))
    sink.read_on()
    for _ in range(100):
        await asyncio.sleep(0)
    assert not stream.reader.behind()
    assert b"x" * 20_000 in sink.taken
    assert b"secret" not in sink.taken


async def test_what_is_revoked_while_a_stream_is_about_to_open_does_not_open(
    house: House,
) -> None:
    looked_at = token()
    await house.bus.send(Revoke(house.clock.now(), user_id="alice"))
    with pytest.raises(RevokedCredential):
        await house.open(looked_at)
    assert len(house.keeper.connections) == 0


async def test_roles_that_change_while_a_stream_is_about_to_open_hold_from_its_start(
    house: House,
) -> None:
    looked_at = token()
    await house.bus.send(ChangeIdentity("alice", house.clock.now(), roles=frozenset()))
    stream = await house.open(looked_at)
    await house.publish(Event("edit", "secret", target=Target.of(roles=["EDITOR"])))
    assert b"secret" not in taken(stream)


# Caps


async def test_at_the_cap_a_user_gets_no_further_stream(house: House) -> None:
    for _ in range(3):
        await house.open(token())
    with pytest.raises(TooManyConnections) as refused:
        await house.open(token())
    assert refused.value.recovery == "fallback_polling"
    assert len(house.keeper.connections) == 3


async def test_at_the_cap_the_oldest_idle_stream_makes_room(house: House) -> None:
    streams = [await house.open(token()) for _ in range(3)]
    house.clock.advance(181)
    streams[0].reader.delivered_at = house.clock.monotonic()
    fresh = await house.open(token())
    assert [stream.closing for stream in streams] == [False, True, False]
    assert b'"reason":"displaced"' in taken(streams[1])
    assert not fresh.closing


async def test_at_the_cap_a_stale_stream_goes_before_an_idle_one(house: House) -> None:
    streams = [await house.open(token()) for _ in range(3)]
    house.clock.advance(181)
    blocked = streams[2].reader.sink
    assert isinstance(blocked, FakeSink)
    blocked.blocked = house.clock.monotonic() - 31
    await house.open(token())
    assert [stream.closing for stream in streams] == [False, False, True]
    assert blocked.was_aborted


async def test_a_replacement_of_the_same_instance_fits_under_the_cap(house: House) -> None:
    streams = [await house.open(token(), instance=f"tab-{n}") for n in range(3)]
    await house.open(token(), instance="tab-0")
    assert [stream.closing for stream in streams] == [True, False, False]


async def test_nobody_is_replaced_by_a_stream_that_is_not_let_in(house: House) -> None:
    old = await house.open(token(), instance="tab")
    await house.bus.send(Revoke(house.clock.now(), token_id="t2"))
    with pytest.raises(RevokedCredential):
        await house.open(token(jti="t2"), instance="tab")
    assert not old.closing


async def test_on_a_full_node_a_replacement_takes_the_place_of_what_it_replaces(
    house: House,
) -> None:
    old = await house.open(token(), instance="tab")
    for n in range(5):
        await house.open(token(f"user-{n}"))
    fresh = await house.open(token(), instance="tab")
    assert (old.closing, fresh.closing) == (True, False)


async def test_a_refresh_by_a_revoked_token_extends_nothing(house: House) -> None:
    stream = await house.open(token())
    until = stream.authority_ends
    await house.bus.send(Revoke(house.clock.now(), token_id="t2"))
    with pytest.raises(RevokedCredential):
        house.keeper.refresh(stream.id, token(jti="t2"))
    assert (stream.authority_ends, stream.closing) == (until, False)


async def test_a_full_node_says_that_another_may_have_room(house: House) -> None:
    for n in range(6):
        await house.open(token(f"user-{n}"))
    with pytest.raises(NodeFull) as refused:
        await house.open(token("one-more"))
    assert refused.value.retry_after


async def test_an_instance_that_was_sent_away_is_refused_for_a_minute(house: House) -> None:
    stream = await house.open(token(), instance="tab")
    await house.bus.send(Disconnect("administrator", client_id=stream.id))
    assert b'"reconnectAfter":null' in taken(stream)
    house.keeper.release(stream)
    with pytest.raises(Forbidden):
        await house.open(token(), instance="tab")
    await house.open(token("bob"), instance="tab")
    house.clock.advance(60)
    await house.open(token(), instance="tab")


async def test_a_decision_that_is_heard_again_gives_nothing_to_a_later_credential(
    house: House,
) -> None:
    """All decisions are heard again when a log that nodes share comes back."""
    later = Identity("alice", issued_at=house.clock.now() + 1)
    stream = await house.open(later)
    await house.bus.send(ChangeIdentity("alice", house.clock.now(), roles=frozenset({"VIP"})))
    await house.publish(Event("secret", target=Target.of(roles=["VIP"])))
    assert b"secret" not in taken(stream)
