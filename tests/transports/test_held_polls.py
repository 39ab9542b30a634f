"""Held polls: nothing is lost between the ring of the bell and the end of the time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.fakes import FakeClock, FakeJournal
from tests.waiting import until
from tidewire.core.admission import Caps
from tidewire.core.control import ChangeIdentity, LocalBus, Revoke
from tidewire.core.errors import RevokedCredential
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.keeper import Keeper
from tidewire.core.position import Cursor
from tidewire.core.target import Identity, Target
from tidewire.logs import Retention
from tidewire.logs.memory import MemoryLog
from tidewire.transports.asgi import Message
from tidewire.transports.polling import PollAnswer, PollRequest, poll


@dataclass
class House:
    clock: FakeClock
    bus: LocalBus
    hub: Hub
    keeper: Keeper

    async def held(self, identity: Identity, *, wait: float = 60) -> "asyncio.Task[PollAnswer]":
        request = PollRequest(since=Cursor(self.hub.position), wait=wait)
        task = asyncio.create_task(poll(self.keeper, identity, request, stays))
        # Some are over as soon as they have begun.
        await until(lambda: len(self.keeper.connections) or task.done())
        return task

    async def publish(self, event: Event) -> None:
        """Publishes, and lets the hub hear it in the same step."""
        (position,) = await self.hub.publish([event])
        page = await self.hub.log.read(Cursor(self.hub.position))
        assert page.end == position
        self.hub.receive(page)


async def stays() -> Message:
    """A client who does not leave."""
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def house() -> AsyncIterator[House]:
    clock, bus, journal = FakeClock(), LocalBus(), FakeJournal()
    hub = Hub(MemoryLog(Retention(), clock=clock), clock=clock, journal=journal)
    keeper = Keeper(hub, bus, clock=clock, journal=journal, caps=Caps())
    await hub.start()
    keeper.start()
    yield House(clock, bus, hub, keeper)
    await keeper.stop()
    await hub.stop()


async def test_an_event_in_the_very_step_in_which_the_time_is_up_is_not_passed_over(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = asyncio.wait

    async def wait_and_publish(
        tasks: list[asyncio.Task[None]], *, timeout: float | None, return_when: str
    ) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
        outcome = await wait(tasks, timeout=0, return_when=return_when)
        # The time was up; before the poll goes on, the hub hears an event.
        await house.publish(Event("late", 1))
        return outcome

    monkeypatch.setattr("tidewire.transports.polling.asyncio.wait", wait_and_publish)
    answer = await asyncio.wait_for(await house.held(Identity("alice")), 5)
    assert [entry.type for entry in answer.entries] == ["late"]
    assert answer.cursor == Cursor(answer.entries[0].position)


async def test_a_poll_that_was_held_sees_what_may_be_seen_when_it_answers(house: House) -> None:
    held = await house.held(Identity("bob", roles=frozenset({"ADMIN"}), issued_at=0))
    await house.bus.send(ChangeIdentity("bob", house.clock.now(), roles=frozenset()))
    await house.publish(Event("secret", target=Target.of(roles=["ADMIN"])))
    assert not held.done()
    await house.publish(Event("own", target=Target.of(["bob"])))
    answer = await asyncio.wait_for(held, 5)
    assert [entry.type for entry in answer.entries] == ["own"]


async def test_a_poll_whose_token_is_revoked_between_the_ring_and_the_answer_is_refused(
    house: House,
) -> None:
    held = await house.held(Identity("bob", token_id="t", issued_at=0))
    await house.publish(Event("own"))
    house.keeper.authority.revoke(Revoke(house.clock.now(), token_id="t"))
    with pytest.raises(RevokedCredential):
        await asyncio.wait_for(held, 5)


async def test_a_quiet_poll_moves_its_cursor_over_what_was_not_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = asyncio.wait

    async def publish_and_wait(
        tasks: list[asyncio.Task[None]], *, timeout: float | None, return_when: str
    ) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
        await house.publish(Event("others", target=Target.of(["eve"])))
        return await wait(tasks, timeout=0, return_when=return_when)

    monkeypatch.setattr("tidewire.transports.polling.asyncio.wait", publish_and_wait)
    answer = await asyncio.wait_for(await house.held(Identity("alice")), 5)
    assert answer.entries == []
    assert answer.cursor == house.hub.cursor
