"""What becomes of events when something fails, with real processes."""

import asyncio
from pathlib import Path

import pytest

from tests.client.network import Network
from tests.client.nginx import holding_nginx
from tests.client.reader import Reader, entered, hasten, reading
from tests.client.server import Server, token
from tests.waiting import until
from tidewire.client import Client, Status, probes


async def test_a_proxy_that_holds_streams_back_makes_it_poll_and_streams_come_back_with_its_cure(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "PROBE_FIRST", 1_000)
    monkeypatch.setattr(probes, "PROBE_LAST", 2_000)
    with holding_nginx(tmp_path, server.port) as nginx:
        alice = Reader(nginx.url, token=token(), open_timeout=0.8)
        async with alice.client:
            alice.begin()
            await alice.stands(lambda status: status.method == "longPolling")
            assert alice.client.status.reason in ("OPEN_TIMEOUT", "MUTE")
            await alice.stands(lambda status: status.is_connected)
            await server.publish(range(1, 21))
            await alice.sees([*range(1, 21)])
            nginx.let_through()
            published = 20
            while alice.client.status.active_method != "sse" or published < 60:
                published += 1
                await server.publish([published])
            await alice.stands(lambda status: status.client_id is not None)
            await alice.sees([*range(1, published + 1)])
        await alice.end()
    assert alice.gaps == []


async def test_a_network_that_never_lets_a_stream_through_costs_no_event(
    server: Server, net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "PROBE_FIRST", 200)
    monkeypatch.setattr(probes, "PROBE_LAST", 200)
    net.holds_streams = True
    alice = Reader(net.url, token=token(), open_timeout=0.3)
    async with alice.client as client:
        alice.begin()
        await client.connected()
        published = 0
        # The one that was wanted, and three probes.
        while net.count("GET /api/sse?") < 4:
            published += 1
            await server.publish([published])
            # The beat of the traffic.
            await asyncio.sleep(0.02)
        await alice.sees([*range(1, published + 1)])
        assert client.status.active_method == "polling"
    await alice.end()


async def test_a_server_with_a_log_in_redis_that_is_killed_and_comes_back_costs_no_event(
    redis_backed: Server,
) -> None:
    server = redis_backed
    async with reading(server.url, token=token()) as alice:
        await server.publish([1, 2])
        await alice.sees([1, 2])
        server.kill()
        await alice.stands(lambda status: not status.is_connected)
        server.start()
        await server.publish([3, 4])
        await alice.sees([1, 2, 3, 4])
    assert alice.gaps == []


async def test_a_server_that_is_gone_for_long_is_asked_again_and_again_and_found(
    server: Server,
) -> None:
    alice = Reader(server.url, token=token(), max_reconnect_attempts=1)
    hasten(alice.client)
    async with entered(alice, "sse"):
        server.kill()
        # By polls in the end, and these fail as well.
        await alice.stands(lambda status: status.polling_failures >= 2)
        assert alice.client.status.error is not None
        assert alice.client.status.error.code == "NETWORK"
        server.start()
        # Not before: what a new log has when one comes back is behind the gap.
        await until(lambda: bool(alice.gaps), what=lambda: str(alice.client.status))
        await server.publish([1])
        await alice.sees([1])
    assert [gap.reason for gap in alice.gaps] == ["epoch"]


async def test_a_server_that_says_goodbye_is_come_back_to_when_it_said_and_nothing_is_lost(
    redis_backed: Server,
) -> None:
    server = redis_backed
    told: list[Status] = []
    async with reading(server.url, token=token(), on_status=told.append) as alice:
        await server.publish([1])
        await alice.sees([1])
        told.clear()
        server.stop()
        await until(lambda: bool(told))
        # That is no failure, whatever becomes of trying again.
        assert (told[0].connection_status, told[0].error) == ("reconnecting", None)
        await asyncio.to_thread(server.wait)
        server.start()
        await server.publish([2])
        await alice.sees([1, 2])
    assert alice.gaps == []


def has_heard(client: Client) -> bool:
    link = client._state.link
    return link is not None and link.heard


async def test_a_stream_that_falls_silent_is_opened_again(server: Server) -> None:
    async with reading(server.url, token=token()) as alice:
        # With a first ping it is one that has worked.
        await until(lambda: has_heard(alice.client))
        server.freeze()
        try:
            await alice.stands(lambda status: status.reason == "MUTE")
            assert alice.client.status.method == "sse"
        finally:
            server.thaw()
        await server.publish([1])
        await alice.sees([1])
    assert alice.gaps == []
