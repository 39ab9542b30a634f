"""Who may see an event: the same for live streams, replay and polls, whoever asks."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.http.server import SECRET, Live, Stream, check_problem, live, make_tidewire, streaming
from tests.waiting import until
from tidewire.auth.tokens import Tokens
from tidewire.core.clock import SystemClock

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.both_sinks]


@dataclass(frozen=True)
class Who:
    """An identity, and the topics that it asks for."""

    user: str
    roles: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def params(self) -> dict[str, str]:
        token = Tokens([SECRET], clock=SystemClock(), setting="").issue(
            self.user, roles=self.roles, topics=self.granted
        )
        topics = {"topics": ",".join(self.asked)} if self.asked else {}
        return {"token": token.token, **topics}


WHO = {
    "plain": Who("t-plain"),
    "named": Who("t-user"),
    "named, in capitals": Who("T-USER"),
    "named like a role": Who("t-role-1"),
    "named like a topic": Who("t-topic-1"),
    "one role": Who("r", ("t-role-1",)),
    "several roles": Who("rs", ("t-role-2", "t-role-1", "else")),
    "another role": Who("ro", ("else",)),
    "a role named like a user": Who("ru", ("t-user",)),
    "a role named like a topic": Who("rt", ("t-topic-1",)),
    "a role in other case": Who("rc", ("T-ROLE-1",)),
    "subscribed": Who("s", (), ("t-topic-1",), ("t-topic-1",)),
    "granted only": Who("g", (), ("t-topic-1",), ()),
    "granted two, subscribed one": Who("g2", (), ("t-topic-1", "t-topic-2"), ("t-topic-2",)),
    "subscribed to both": Who("s2", (), ("t-topic-1", "t-topic-2"), ("t-topic-1", "t-topic-2")),
    "a topic named like a user": Who("tu", (), ("t-user",), ("t-user",)),
    "everything": Who("t-user", ("t-role-1", "t-role-2"), ("t-topic-1",), ("t-topic-1",)),
}

Targets = dict[str, list[str]]

TARGETS: dict[str, tuple[Targets, set[str]]] = {
    # what the event is for: its targets, and who of the above may see it
    "everyone": ({}, set(WHO)),
    "a user": ({"userIds": ["t-user"]}, {"named", "everything"}),
    "some users": ({"userIds": ["t-user", "t-plain"]}, {"named", "plain", "everything"}),
    "nobody here": ({"userIds": ["t-nobody"]}, set()),
    "a role": ({"roles": ["t-role-1"]}, {"one role", "several roles", "everything"}),
    "some roles": ({"roles": ["t-role-2", "t-role-3"]}, {"several roles", "everything"}),
    "a role of nobody": ({"roles": ["t-role-9"]}, set()),
    "a topic": ({"topics": ["t-topic-1"]}, {"subscribed", "subscribed to both", "everything"}),
    "some topics": (
        {"topics": ["t-topic-2", "t-topic-3"]},
        {"granted two, subscribed one", "subscribed to both"},
    ),
    "a user or a role": (
        {"userIds": ["t-plain"], "roles": ["t-role-1"]},
        {"plain", "one role", "several roles", "everything"},
    ),
    "a user or a topic": (
        {"userIds": ["t-user"], "topics": ["t-topic-1"]},
        {"named", "subscribed", "subscribed to both", "everything"},
    ),
    "any of three": (
        {"userIds": ["t-plain"], "roles": ["t-role-2"], "topics": ["t-topic-1"]},
        {"plain", "several roles", "subscribed", "subscribed to both", "everything"},
    ),
}

PUBLISHER = {"userId": "publisher", "permissions": "publish"}


@dataclass
class Seen:
    """What everybody got, by the way in which it came; every payload is the name of a target."""

    live: dict[str, list[Any]]
    replayed: dict[str, list[Any]]
    polled: dict[str, list[Any]]
    held: dict[str, list[Any]]
    bytes: bytes


def batch() -> dict[str, Any]:
    named = [
        {"type": "news", "data": name, "metadata": {**targets, "sessionId": "t-session"}}
        for name, (targets, _) in TARGETS.items()
    ]
    return {"events": [*named, {"type": "news", "data": "end"}]}


async def publish(server: Live) -> None:
    answer = await server.http.post("/api/realtime/publish", params=PUBLISHER, json=batch())
    assert answer.status_code == 200, answer.text


async def read(stream: Stream) -> list[Any]:
    return [block.data for block in await stream.until("end")]


async def poll(server: Live, who: Who, **params: Any) -> httpx.Response:
    answer = await server.http.get("/api/realtime/polling", params={**who.params, **params})
    assert answer.status_code == 200, answer.text
    return answer


def payloads(answers: Iterable[httpx.Response]) -> list[Any]:
    found = [event["data"] for answer in answers for event in answer.json()["events"]]
    return found[: found.index("end")]


def after_connected(stream: Stream) -> bytes:
    return stream.seen.partition(b"\n\n")[2]


def events_in(answers: Iterable[httpx.Response]) -> bytes:
    """The events alone: the answer around them says who asked, and for which topics."""
    return b"".join(json.dumps(answer.json()["events"]).encode() for answer in answers)


async def pages(server: Live, who: Who, cursor: str) -> list[httpx.Response]:
    answers = []
    more = True
    while more:
        answers.append(await poll(server, who, since=cursor, limit=2))
        cursor, more = answers[-1].json()["cursor"], answers[-1].json()["hasMore"]
    return answers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen() -> AsyncIterator[Seen]:
    found = Seen({}, {}, {}, {}, b"")
    async with live(make_tidewire()) as server:
        start = await server.cursor()
        keeper = (await server.tidewire.start()).keeper
        async with AsyncExitStack() as stack:
            streams = {}
            for name, who in WHO.items():
                opening = streaming(server.http, "/api/sse", who.params)
                streams[name] = await stack.enter_async_context(opening)
                await streams[name].block()
            holding = {
                name: asyncio.create_task(poll(server, who, since=start, wait=30, limit=500))
                for name, who in WHO.items()
            }
            await until(lambda: len(keeper.connections) == 2 * len(WHO))
            await publish(server)
            for name, stream in streams.items():
                found.live[name] = await read(stream)
                found.bytes += after_connected(stream)
            for name, task in holding.items():
                answer = await task
                found.held[name] = payloads([answer])
                found.bytes += events_in([answer])
        for name, who in WHO.items():
            async with streaming(server.http, "/api/sse", {**who.params, "since": start}) as replay:
                await replay.block()
                found.replayed[name] = await read(replay)
                found.bytes += after_connected(replay)
            answers = await pages(server, who, start)
            found.polled[name] = payloads(answers)
            found.bytes += events_in(answers)
    yield found


@pytest.mark.parametrize("name", WHO)
async def test_everybody_gets_what_they_may_see_in_whatever_way_it_comes(
    seen: Seen, name: str
) -> None:
    wanted = [target for target, (_, who) in TARGETS.items() if name in who]
    assert seen.live[name] == wanted
    assert seen.replayed[name] == wanted
    assert seen.polled[name] == wanted
    assert seen.held[name] == wanted


async def test_no_target_and_no_session_is_in_the_bytes_that_anybody_gets(seen: Seen) -> None:
    assert seen.bytes.count(b'"any of three"') == 4 * len(TARGETS["any of three"][1])
    lists = [names for targets, _ in TARGETS.values() for names in targets.values()]
    keys = ["userIds", "roles", "topics", "sessionId", "t-session"]
    for name in chain(keys, *lists):
        assert f'"{name}"'.encode() not in seen.bytes


@pytest.mark.parametrize("key", ["userIds", "roles", "topics"])
async def test_an_empty_list_reaches_nobody_because_it_is_refused(key: str) -> None:
    async with live(make_tidewire()) as server:
        before = await server.cursor()
        answer = await server.http.post(
            "/api/realtime/publish",
            params=PUBLISHER,
            json={"type": "news", "metadata": {key: []}},
        )
        assert check_problem(answer, 422, "VALIDATION_EVENT")["field"] == f"metadata.{key}"
        assert await server.cursor() == before
