"""What holds whichever way events are read: one suite, over every transport, with the real
server."""

import asyncio
import random

import pytest

from tests.client.network import Network
from tests.client.reader import WAYS, Reader, Way, entered, reading
from tests.client.server import Server, token
from tests.waiting import until, until_told
from tidewire.client import Status, signals

ALL_WAYS = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def url(
    server: Server,
    net: Network,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """What a reader of this way asks."""
    if request.node.callspec.params["way"] != "shortPolling":
        return server.url
    monkeypatch.setattr(signals, "SHORT_REST", 100)
    net.cuts_held_polls = True
    return net.url


def numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


@ALL_WAYS
async def test_it_brings_every_event_once_in_order(server: Server, url: str, way: Way) -> None:
    async with reading(url, way, token=token()) as alice:
        for first in range(1, 301, 50):
            await server.publish(numbers(first, first + 49))
        await alice.sees(numbers(1, 300))
    assert alice.gaps == []


@ALL_WAYS
async def test_it_brings_what_was_published_while_nobody_was_connected_from_the_cursor(
    server: Server, url: str, way: Way
) -> None:
    alice = Reader(url, token=token())
    async with entered(alice, way):
        await server.publish([1, 2])
        await alice.sees([1, 2])
    await server.publish(numbers(3, 900))
    async with entered(alice, way):
        await alice.sees(numbers(1, 900))
    # Another one goes on from the cursor that was kept.
    await server.publish([901])
    async with reading(url, way, token=token(), since=alice.client.cursor) as other:
        await other.sees([901])
    assert alice.gaps == other.gaps == []


@ALL_WAYS
async def test_it_begins_at_the_cursor_of_a_snapshot(server: Server, url: str, way: Way) -> None:
    since = await server.cursor()
    await server.publish([7, 8])
    async with reading(url, way, token=token(), since=since) as alice:
        await server.publish([9])
        await alice.sees([7, 8, 9])


@ALL_WAYS
async def test_it_brings_only_what_one_may_see(server: Server, url: str, way: Way) -> None:
    async with reading(url, way, token=token()) as alice:
        await server.publish([1], metadata={"userIds": ["bob"]})
        await server.publish([2], metadata={"userIds": ["alice", "bob"]})
        await server.publish([3], metadata={"roles": ["ADMIN"]})
        await server.publish([4], metadata={"roles": ["EDITOR"]})
        await server.publish([5])
        await alice.sees([2, 4, 5])


@ALL_WAYS
async def test_it_brings_only_the_types_that_are_asked_for(
    server: Server, url: str, way: Way
) -> None:
    async with reading(url, way, token=token(), types=["counted", "that"]) as alice:
        await server.publish([1], type="other")
        await server.publish([2])
        await alice.sees([2])


@ALL_WAYS
async def test_it_brings_text_of_every_script_and_whatever_json_can_hold(
    server: Server, url: str, way: Way
) -> None:
    data = {"n": 0, "text": "ö 漢字 🌊 \u2028 \u0085 \n\r data: x", "nothing": None}
    async with reading(url, way, token=token()) as alice:
        await server.publish([0], data=data)
        await alice.sees([0])
    assert alice.data == [data]


@ALL_WAYS
async def test_it_says_once_what_a_new_server_does_not_hold_any_more_and_goes_on(
    server: Server, url: str, way: Way
) -> None:
    async with reading(url, way, token=token()) as alice:
        await server.publish([1])
        await alice.sees([1])
        server.kill()
        server.start()
        await server.publish([2])
        await until(lambda: bool(alice.gaps), what=lambda: str(alice.client.status))
        await server.publish([3])
        await alice.sees([1, 2, 3])
    assert [gap.reason for gap in alice.gaps] == ["epoch"]


@ALL_WAYS
async def test_it_leaves_nothing_open(server: Server, url: str, way: Way) -> None:
    await until_told(server.connections, lambda open_: open_ == 0)
    async with reading(url, way, token=token()) as alice:
        if way != "shortPolling":
            await until_told(server.connections, lambda open_: open_ == 1)
    assert not [
        task for task in asyncio.all_tasks() if task.get_name().startswith("tidewire-client")
    ]
    assert alice.client.status.connection_status == "disconnected"
    await until_told(server.connections, lambda open_: open_ == 0)


async def test_through_a_network_that_cuts_streams_anywhere_nothing_is_lost_and_none_comes_twice(
    server: Server, net: Network
) -> None:
    chance = random.Random(7)  # noqa: S311 - the same in every run
    net.cut_stream = lambda: chance.randrange(300, 6_000)

    def hurry(status: Status) -> None:
        # It is in no hurry to come back, and asked to.
        if status.retry_in is not None:
            alice.client.reconnect()

    alice = Reader(net.url, token=token(), max_reconnect_attempts=1_000, on_status=hurry)
    async with alice.client as client:
        alice.begin()
        await client.connected()
        await server.publish(numbers(1, 300))
        await until(lambda: len(alice.seen) >= 300, 60, lambda: str(alice.seen[-5:]))
    await alice.end()
    assert alice.seen == numbers(1, 300)
    assert alice.gaps == []
    assert net.count("GET /api/sse") > 10


async def test_through_ten_switches_under_fifty_events_a_second_none_is_lost_and_none_comes_twice(
    server: Server,
) -> None:
    total = 0

    async def publish() -> None:
        nonlocal total
        while True:
            total += 1
            await server.publish([total])
            # The beat of the traffic.
            await asyncio.sleep(0.015)

    async with reading(server.url, token=token()) as alice:
        traffic = asyncio.create_task(publish())
        try:
            for turn in range(10):
                before = len(alice.seen)
                if turn % 2:
                    alice.client.force_sse()
                else:
                    alice.client.force_polling()
                # Half of the switches come while another is not finished.
                wanted = before + (10 if turn % 4 < 2 else 1)
                await until(lambda wanted=wanted: len(alice.seen) >= wanted)  # type: ignore[misc]
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
        # The last one may have been accepted without our being told.
        await server.publish([0])
        await until(lambda: alice.seen[-1] == 0, what=lambda: str(alice.seen[-5:]))
        assert alice.seen[:-1] in (numbers(1, total), numbers(1, total - 1))
    assert total > 50
    assert alice.gaps == []
