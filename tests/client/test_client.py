"""What a client is to its user: holes that are told, a consumer that may be slow, an end that
leaves nothing."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.client.network import Network
from tests.client.reader import reading
from tests.client.server import Server, token
from tests.waiting import PATIENCE, until, until_told
from tidewire.client import Client, Envelope, Gap, GapError, SentAway, Status
from tidewire.core.errors import ConfigurationError, InvalidCursor


def ours() -> set[str]:
    """The names of a client's tasks."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {name for name in names if name.startswith("tidewire-client")}


UNKNOWN = "1-1-gone"
"""A cursor of a log that there is not."""


async def test_an_event_has_all_that_came(server: Server) -> None:
    async with Client(server.url, token=token(), since=await server.cursor()) as client:
        [id_] = await server.publish(
            [1], type="t", source="s", priority="high", metadata={"correlationId": "c"}
        )
        event = await anext(client)
    assert event == Envelope(
        id_, "t", {"n": 1}, int(id_.split("-")[0]), "high", "s", "1.0", {"correlationId": "c"}
    )
    assert event.raw["id"] == id_


async def test_a_hole_for_which_nobody_listens_is_raised_and_iterating_again_goes_on(
    server: Server,
) -> None:
    async with Client(server.url, token=token(), since=UNKNOWN) as client:
        await client.connected()
        assert client.cursor == UNKNOWN
        with pytest.raises(GapError, match="epoch") as raised:
            await anext(client)
        assert raised.value.gap.from_ == UNKNOWN
        assert client.cursor != UNKNOWN
        await server.publish([1], metadata={"userIds": ["alice"]})
        async for event in client:
            if event.metadata == {} and event.data == {"n": 1}:
                break


async def test_a_hole_is_told_in_its_place_and_again_where_that_did_not_succeed(
    server: Server,
) -> None:
    told: list[Gap | int] = []

    async def on_gap(gap: Gap) -> None:
        await asyncio.sleep(0)
        told.append(gap)
        if len(told) == 1:
            raise OSError("the cache does not answer")

    async with Client(server.url, token=token(), since=UNKNOWN, on_gap=on_gap) as client:
        with pytest.raises(OSError, match="does not answer"):
            await anext(client)
        assert client.cursor == UNKNOWN
        await server.publish([1])
        told.append((await anext(client)).data["n"])
    first, second, number = told[:3]
    assert first == second
    assert isinstance(number, int)


async def test_items_are_all_that_happens_in_order(server: Server) -> None:
    async with Client(server.url, token=token(), since=UNKNOWN) as client:
        await server.publish([1])
        kinds = []
        async for item in client.items():
            kinds.append(type(item).__name__)
            if isinstance(item, Envelope):
                break
    assert kinds == ["Control", "Gap", "Envelope"]


@pytest.mark.parametrize("polls", [False, True], ids=["a stream", "polls"])
async def test_a_slow_consumer_stops_the_reading_and_gets_everything_in_the_end(
    server: Server, polls: bool
) -> None:
    since = await server.cursor()
    async with Client(server.url, token=token(), since=since, buffer=10) as client:
        if polls:
            client.force_polling()
        await client.connected()
        # More than all that lies between a server and a client would hold.
        for n in range(0, 600, 100):
            await server.publish(range(n, n + 100), text="x" * 20_000)
        await until(lambda: client._buffer.full)
        # It is full, and stays as full as it was while others read on.
        held = len(client._buffer)
        assert held <= (510 if polls else 10)
        async with reading(server.url, token=token()) as other:
            await server.publish([600])
            await other.sees([600])
        assert len(client._buffer) == held
        # However long that takes, nobody wonders that nothing comes.
        assert client._connection is not None
        assert "mute" not in client._connection._timers
        assert client.status.is_connected
        assert client.cursor == since
        seen = []
        async for event in client:
            assert len(client._buffer) <= (510 if polls else 10)
            seen.append(event.data["n"])
            if len(seen) == 601:
                break
    assert seen == [*range(601)]


async def test_a_slow_consumer_of_a_server_that_goes_away_misses_nothing(
    redis_backed: Server,
) -> None:
    server = redis_backed
    since = await server.cursor()
    async with Client(server.url, token=token(), since=since, buffer=4) as client:
        await server.publish(range(100))
        await until(lambda: client._buffer.full)
        server.kill()
        server.start()
        await server.publish(range(100, 200))
        seen = []
        async for event in client:
            seen.append(event.data["n"])
            if len(seen) == 200:
                break
    assert seen == [*range(200)]


async def test_what_has_arrived_and_was_not_taken_is_there_when_it_is_entered_again(
    server: Server,
) -> None:
    since = await server.cursor()
    client = Client(server.url, token=token(), since=since)
    async with client:
        ids = await server.publish(range(5))
        first = await anext(client)
        await until(lambda: len(client._buffer) == 4)
    with pytest.raises(StopAsyncIteration):
        await anext(client)
    assert client.cursor == first.id
    async with client:
        more = await server.publish([5])
        found = [first.id, *[(await anext(client)).id for _ in range(5)]]
    assert found == [*ids, *more]


async def test_a_cursor_that_is_kept_within_an_answer_to_a_poll_misses_nothing_and_repeats_nothing(
    server: Server,
) -> None:
    since = await server.cursor()
    ids = await server.publish(range(5))
    async with Client(server.url, token=token(), since=since) as client:
        client.force_polling()
        await anext(client)
        await anext(client)
        kept = client.cursor
    assert kept == ids[1]
    async with Client(server.url, token=token(), since=kept) as other:
        assert (await anext(other)).id == ids[2]


async def test_one_may_begin_at_a_time_and_at_the_beginning(server: Server) -> None:
    [first, second] = [(await server.publish([n]))[0] for n in range(2)]
    ms = int(second.split("-")[0])
    async with Client(server.url, token=token(), since=ms) as client:
        event = await anext(client)
        assert event.timestamp >= ms
    async with Client(server.url, token=token(), since="earliest") as client:
        ids = [event["id"] for event in await server.events()]
        assert [(await anext(client)).id for _ in ids] == ids
    assert ids[-2:] == [first, second]


@pytest.mark.parametrize("since", [0, "0"])
async def test_one_may_begin_at_the_time_0_which_is_not_the_head(
    server: Server, since: int | str
) -> None:
    [first] = await server.publish([1])
    async with (
        Client(server.url, token=token(), since=since, on_gap=lambda gap: None) as client,
        asyncio.timeout(10),
    ):
        while (await anext(client)).id != first:
            pass


async def test_what_is_not_read_any_more_is_let_go_of_at_once(server: Server) -> None:
    async with Client(server.url, token=token()) as client:
        for _ in range(3):
            client.force_sse()
            await client.connected()
            await until(lambda: ours() == {"tidewire-client-sse"}, what=lambda: str(ours()))
            client.force_polling()
            await client.connected()
            await until(lambda: ours() == {"tidewire-client-longPolling"}, what=lambda: str(ours()))
        await until_told(server.connections, lambda open_: open_ == 1)


async def test_polling_that_was_asked_for_is_kept_to_when_it_is_entered_again(
    server: Server,
) -> None:
    client = Client(server.url, token=token())
    for _ in range(2):
        async with client:
            if client.status.method == "sse" and client.cursor is None:
                client.force_polling()
            await client.connected()
            assert client.status.active_method == "polling"


async def test_whoever_breaks_off_and_iterates_again_goes_on(server: Server) -> None:
    async with Client(server.url, token=token(), since=await server.cursor()) as client:
        await server.publish(range(4))
        seen = []
        for _ in range(2):
            async for event in client:
                seen.append(event.data["n"])
                if len(seen) % 2 == 0:
                    break
    assert seen == [0, 1, 2, 3]


async def test_a_consumer_that_is_cancelled_while_it_waits_loses_nothing(server: Server) -> None:
    async with Client(server.url, token=token(), since=await server.cursor()) as client:
        for n in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(client)
            await server.publish([n])
            async with asyncio.timeout(5):
                assert (await anext(client)).data == {"n": n}


async def test_closing_ends_whoever_iterates_elsewhere(server: Server) -> None:
    client = Client(server.url, token=token())
    async with client:
        await client.connected()
        iterating = asyncio.create_task(_count(client))
        opening = asyncio.create_task(_never_connected())
        # A turn of the loop, in which both begin.
        await asyncio.sleep(0)
    assert await asyncio.wait_for(iterating, PATIENCE) == 0
    await asyncio.wait_for(opening, PATIENCE)


async def _count(client: Client) -> int:
    return len([event async for event in client])


async def _never_connected() -> None:
    client = Client("http://127.0.0.1:9/api/sse")
    async with client:
        waiting = asyncio.create_task(client.connected())
        await until(lambda: client.status.error is not None)
    with pytest.raises(RuntimeError, match="closed"):
        await waiting


@pytest.mark.parametrize("moment", ["opening", "open", "polling", "waiting", "full"])
async def test_whenever_it_is_cancelled_nothing_is_left(server: Server, moment: str) -> None:
    await until_told(server.connections, lambda open_: open_ == 0)
    before = asyncio.all_tasks()
    ready = asyncio.Event()
    url = "http://127.0.0.1:9/api/sse" if moment == "waiting" else server.url

    async def work() -> None:
        async with Client(url, token=token(), since="earliest", buffer=1) as client:
            match moment:
                case "open":
                    await client.connected()
                case "polling":
                    client.force_polling()
                    await client.connected()
                case "waiting":
                    await until(lambda: client.status.retry_in is not None)
                case "full":
                    await server.publish(range(10))
                    await until(lambda: client._buffer.full)
                case _:
                    # A turn of the loop, in which the request begins.
                    await asyncio.sleep(0)
            ready.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    await until_told(server.connections, lambda open_: open_ == 0)


async def test_whoever_is_sent_away_stays_away_and_is_told(server: Server, net: Network) -> None:
    async with Client(net.url, token=token("mallory")) as client:
        await client.connected()
        await server.publish([1])
        await server.send_away("mallory")
        assert (await anext(client)).data == {"n": 1}
        with pytest.raises(SentAway):
            await anext(client)
        assert client.status.connection_status == "stopped"
    assert len(net.requests) == 1


async def test_a_start_that_is_none_is_a_typed_error(server: Server) -> None:
    async with Client(server.url, token=token(), since="yesterday") as client:
        with pytest.raises(InvalidCursor, match="yesterday"):
            await anext(client)


@pytest.mark.parametrize("url", ["", "/api/sse", "ftp://host", "http://", "redis://host"])
def test_what_is_not_the_address_of_a_server_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not the address of a server"):
        Client(url)


@pytest.mark.parametrize("wrong", [{"buffer": 0}, {"open_timeout": 0}])
def test_a_bound_that_is_none_is_refused_at_once(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Client("http://host", **wrong)  # type: ignore[arg-type]


async def test_it_has_to_be_entered_and_only_once_at_a_time() -> None:
    client = Client("http://127.0.0.1:9")
    for use in (client.reconnect, client.force_sse, client.force_polling):
        with pytest.raises(RuntimeError, match="not entered"):
            use()
    with pytest.raises(RuntimeError, match="not entered"):
        await anext(client)
    async with client:
        with pytest.raises(RuntimeError, match="entered already"):
            await client.__aenter__()


async def test_it_tells_how_it_stands_and_one_who_fails_to_listen_disturbs_nobody(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def on_status(status: Status) -> None:
        told.append(status.connection_status)
        raise OSError("the screen is gone")

    async with Client(server.url, token=token(), on_status=on_status) as client:
        assert client.status.connection_status == "connecting"
        await client.connected()
        assert client.status.active_method == "sse"
        client.force_polling()
        await client.connected()
        assert client.status.method == "longPolling"
    assert told[:2] == ["connecting", "connected"]
    assert told[-1] == "disconnected"
    assert "on_status failed" in caplog.text


async def test_requests_go_by_what_is_given_and_it_is_not_closed(server: Server) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token()}"}) as http:
        async with Client(server.url, http=http) as client:
            await client.connected()
        assert not http.is_closed


async def test_a_stream_asks_not_to_be_squeezed_together_by_what_lies_between(
    server: Server,
) -> None:
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        asked.append(request.headers["accept-encoding"])

    async with (
        httpx.AsyncClient(event_hooks={"request": [note]}) as http,
        Client(server.url, token=token(), http=http) as client,
    ):
        await client.connected()
    assert asked == ["identity"]


FOLLOWING = """
import asyncio, sys
from tidewire.client import Client

async def main():
    async with Client(sys.argv[1], token=sys.argv[2]) as client:
        if sys.argv[3] == "polling":
            client.force_polling()
        await client.connected()
        print("connected", flush=True)
        async for event in client:
            pass

asyncio.run(main(), debug=True)
"""


@pytest.mark.parametrize("way", ["sse", "polling"])
def test_ctrl_c_stops_it_at_once_and_without_a_word_but_python_s_own(
    server: Server, way: str
) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", FOLLOWING]
    process = subprocess.Popen(
        [*command, server.url, token(), way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        # What a shell runs in the background, these tests perhaps, ignores it, and so would this.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        os.kill(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert complaint.rstrip().endswith("KeyboardInterrupt")
    assert not re.search("Warning|never retrieved|was destroyed", complaint), complaint
