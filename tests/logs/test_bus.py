"""The bus of several nodes: one order, one's own echo, decisions for nodes to come; and what holds
while Redis is away."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeJournal
from tests.redisserver import Redis
from tests.tcpproxy import Proxy
from tests.waiting import until
from tidewire.core.control import (
    Answer,
    Attendance,
    ChangeIdentity,
    Command,
    Disconnect,
    Displace,
    Forget,
    Inquire,
    Refuse,
    Renew,
    Revoke,
)
from tidewire.core.errors import LogAway
from tidewire.core.position import Edge
from tidewire.core.target import Identity
from tidewire.logs import Retention
from tidewire.logs import bus as bus_module
from tidewire.logs import hearing as hearing_module
from tidewire.logs.bus import KINDS, RedisBus, decode, encode
from tidewire.logs.link import connector
from tidewire.logs.redis import RedisLog


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "TRY_SECONDS", 0.02)
    monkeypatch.setattr(hearing_module, "RETRY_LAST", 0.05)


@dataclass
class Node:
    log: RedisLog
    bus: RedisBus
    journal: FakeJournal
    heard: list[Command] = field(default_factory=list)


@asynccontextmanager
async def a_node(port: int, name: str) -> AsyncIterator[Node]:
    journal = FakeJournal()
    log = RedisLog(connector(f"redis://127.0.0.1:{port}"), Retention(), name=name)
    bus = RedisBus(log, journal)
    node = Node(log, bus, journal)
    bus.listen(node.heard.append)
    try:
        await log.open()
        await bus.load()
        yield node
    finally:
        await bus.close()
        await log.close()


@pytest.fixture
def name() -> str:
    return secrets.token_hex(8)


@pytest.fixture
async def one(redis: Redis, name: str) -> AsyncIterator[Node]:
    async with a_node(redis.port, name) as node:
        yield node


@pytest.fixture
async def two(redis: Redis, name: str) -> AsyncIterator[Node]:
    async with a_node(redis.port, name) as node:
        yield node


@pytest.fixture
async def shaky(proxy: Proxy, name: str) -> AsyncIterator[Node]:
    """A node whose way to Redis the test closes and opens."""
    async with a_node(proxy.port, name) as node:
        yield node


def disconnects(count: int, who: str = "ann") -> list[Disconnect]:
    return [Disconnect(str(number), user_id=who) for number in range(count)]


# Encoding

_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_ms = st.integers(0, 1 << 53)
_sets = st.frozensets(_names, max_size=3)
_identities = st.builds(
    Identity,
    _names.filter(bool),
    _sets,
    _sets,
    _sets,
    st.sampled_from(("session", "bearer_token")),
    st.none() | _ms,
    st.none() | _names,
    st.none() | _ms,
)
_figures = st.dictionaries(
    _names,
    st.none() | st.booleans() | _ms | _names | st.dictionaries(_names, _ms, max_size=2),
    max_size=3,
)
_counts = st.tuples(st.integers(0, 99), st.integers(0, 99))
COMMANDS: dict[str, st.SearchStrategy[Command]] = {
    "Disconnect": st.builds(
        Disconnect,
        _names,
        st.none() | st.integers(0, 10_000),
        st.none() | _names,
        st.none() | _names,
        st.none() | _names,
        st.none() | _names,
    ),
    "Revoke": st.builds(Revoke, _ms, st.none() | _names, st.none() | _names),
    "ChangeIdentity": st.builds(
        ChangeIdentity, _names, _ms, st.none() | _sets, st.none() | _sets, st.none() | _sets
    ),
    "Displace": st.builds(Displace, _names, _names),
    "Refuse": st.builds(Refuse, _names, _names),
    "Forget": st.just(Forget()),
    "Attendance": st.builds(
        Attendance,
        _names,
        st.dictionaries(_names, _counts, max_size=3),
        st.booleans(),
        _figures,
        st.booleans(),
        st.booleans(),
    ),
    "Renew": st.builds(Renew, _names, _identities, _names),
    "Inquire": st.builds(Inquire, _names, _figures, _names, _names),
    "Answer": st.builds(Answer, _names, _names, _names),
}


def test_there_is_an_encoding_of_every_command() -> None:
    assert COMMANDS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_is_decoded_as_it_was_encoded(kind: str) -> None:
    @given(COMMANDS[kind])
    def check(command: Command) -> None:
        back = decode(encode(command))
        assert back == command
        assert type(back) is type(command)

    check()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"\xff\xff",
        b"null",
        b"[]",
        b'["Disconnect"]',
        b'["Disconnect",null]',
        b'["Disconnect",{}]',
        b'["Disconnect",{"reason":1}]',
        b'["Explode",{}]',
        b'[["Disconnect"],{}]',
        b'["Revoke",{"at":"x"}]',
    ],
)
def test_what_this_version_does_not_know_is_no_command(message: bytes) -> None:
    assert decode(message) is None


def test_what_a_later_version_adds_to_a_command_is_ignored() -> None:
    kind, content = json.loads(encode(Disconnect("x")))
    content["later"] = 1
    assert decode(json.dumps([kind, content]).encode()) == Disconnect("x")


# Together


async def test_all_nodes_hear_all_commands_in_one_order_their_own_included(
    one: Node, two: Node
) -> None:
    for first, second in zip(disconnects(50, "ann"), disconnects(50, "bob"), strict=True):
        one.bus.post(first)
        two.bus.post(second)
        await asyncio.sleep(0)
    await until(lambda: len(one.heard) == len(two.heard) == 100)
    assert one.heard == two.heard
    for user, sent in (("ann", disconnects(50, "ann")), ("bob", disconnects(50, "bob"))):
        mine = [one for one in one.heard if isinstance(one, Disconnect) and one.user_id == user]
        assert mine == sent


async def test_a_sender_has_heard_its_command_when_it_is_told_so(one: Node, two: Node) -> None:
    assert await one.bus.send(Disconnect("x", user_id="ann"))
    assert one.heard == [Disconnect("x", user_id="ann")]
    await until(lambda: two.heard == one.heard)


async def test_equal_commands_are_each_heard_once_by_everybody(one: Node, two: Node) -> None:
    same = Disconnect("x", user_id="ann")
    assert await asyncio.gather(*(node.bus.send(same) for node in (one, two, one))) == [True] * 3
    await until(lambda: len(one.heard) == len(two.heard) == 3)


async def test_other_applications_on_the_same_redis_hear_nothing(redis: Redis, one: Node) -> None:
    async with a_node(redis.port, secrets.token_hex(8)) as other:
        await one.bus.send(Disconnect("x"))
        await other.bus.send(Disconnect("y"))
        assert (one.heard, other.heard) == ([Disconnect("x")], [Disconnect("y")])


async def test_kinds_that_are_not_known_are_ignored_and_what_follows_is_heard(
    one: Node, two: Node
) -> None:
    await one.log.say([b"12345678" + b'["Explode",{}]', b"", b"\xff" * 20], kept={})
    await one.bus.send(Disconnect("x"))
    await until(lambda: two.heard == [Disconnect("x")])


async def test_a_handler_that_fails_keeps_nobody_from_hearing(one: Node) -> None:
    def fail(command: Command) -> None:
        raise RuntimeError("no")

    after: list[Command] = []
    one.bus.listen(fail)
    one.bus.listen(after.append)
    assert await one.bus.send(Disconnect("x"))
    assert await one.bus.send(Disconnect("y"))
    assert after == [Disconnect("x"), Disconnect("y")]
    assert one.journal.notes == ["a command of another node failed"] * 2


async def test_what_is_no_decision_is_not_for_nodes_that_start_later(
    redis: Redis, name: str, one: Node
) -> None:
    await one.bus.send(Disconnect("x"))
    async with a_node(redis.port, name) as late:
        await one.bus.send(Disconnect("y"))
        await until(lambda: late.heard == [Disconnect("y")])


# Decisions


async def test_nodes_that_start_later_hear_all_decisions_by_their_time(
    redis: Redis, name: str, one: Node, two: Node
) -> None:
    decisions: list[Revoke | ChangeIdentity] = [
        Revoke(5, token_id="t"),
        ChangeIdentity("ann", 9, roles=frozenset({"A"})),
        ChangeIdentity("ann", 3, topics=frozenset({"x"})),
        Revoke(7, user_id="bob"),
        Revoke(1, user_id="ann"),
    ]
    for index, decision in enumerate(decisions):
        assert await (one, two)[index % 2].bus.send(decision)
    async with a_node(redis.port, name) as late:
        assert late.heard == sorted(decisions, key=lambda decision: decision.at)


async def test_a_decision_replaces_an_earlier_one_of_the_same_kind(
    redis: Redis, name: str, one: Node
) -> None:
    for at in (1, 2, 3):
        await one.bus.send(Revoke(at, user_id="ann"))
        await one.bus.send(ChangeIdentity("ann", at, roles=frozenset({f"R{at}"})))
    await one.bus.send(ChangeIdentity("ann", 4, permissions=frozenset()))
    async with a_node(redis.port, name) as late:
        assert late.heard == [
            Revoke(3, user_id="ann"),
            ChangeIdentity("ann", 3, roles=frozenset({"R3"})),
            ChangeIdentity("ann", 4, permissions=frozenset()),
        ]


async def test_names_that_could_be_taken_for_each_other_are_not(
    redis: Redis, name: str, one: Node
) -> None:
    decisions = [
        Revoke(1, token_id="x"),
        Revoke(2, user_id="x"),
        Revoke(3, token_id='x", "y'),
        Revoke(4, token_id="x", user_id="y"),
        Revoke(5, user_id="null"),
    ]
    for decision in decisions:
        await one.bus.send(decision)
    async with a_node(redis.port, name) as late:
        assert late.heard == decisions


# Away


async def leave(proxy: Proxy, node: Node) -> None:
    proxy.refuse()
    await until(lambda: node.log.hearing.away is not None)


async def test_while_redis_is_away_commands_are_obeyed_here_and_the_sender_is_told_so(
    proxy: Proxy, shaky: Node, two: Node
) -> None:
    await leave(proxy, shaky)
    assert not await shaky.bus.send(Disconnect("x"))
    assert not await shaky.bus.send(Revoke(1, user_id="ann"))
    assert shaky.heard == [Disconnect("x"), Revoke(1, user_id="ann")]
    shaky.bus.post(Displace("ann", "n"))
    await until(lambda: shaky.heard[-1] == Displace("ann", "n"))
    assert two.heard == []


async def test_decisions_reach_the_others_when_redis_returns_and_the_rest_does_not(
    redis: Redis, name: str, proxy: Proxy, shaky: Node, two: Node
) -> None:
    await leave(proxy, shaky)
    await shaky.bus.send(Disconnect("x"))
    await shaky.bus.send(Revoke(1, user_id="ann"))
    await shaky.bus.send(ChangeIdentity("ann", 2, roles=frozenset()))
    proxy.pass_on()
    decisions = [Revoke(1, user_id="ann"), ChangeIdentity("ann", 2, roles=frozenset())]
    await until(lambda: two.heard == decisions)
    assert await shaky.bus.send(Displace("ann", "n"))
    await until(lambda: two.heard == [*decisions, Displace("ann", "n")])
    async with a_node(redis.port, name) as late:
        assert late.heard == decisions


async def test_decisions_of_the_others_are_heard_when_redis_returns(
    proxy: Proxy, shaky: Node, two: Node
) -> None:
    # What is read rarely has a connection of its own, which is cut as well.
    await shaky.log.read(Edge.LATEST)
    await leave(proxy, shaky)
    await two.bus.send(Revoke(1, user_id="ann"))
    proxy.pass_on()
    await until(lambda: Revoke(1, user_id="ann") in shaky.heard)


async def test_what_was_said_while_the_control_stream_forgot_it_is_known_by_its_decision(
    redis: Redis, name: str, proxy: Proxy, shaky: Node, two: Node
) -> None:
    await shaky.log.read(Edge.LATEST)
    await leave(proxy, shaky)
    await two.bus.send(Revoke(1, user_id="ann"))
    redis.command("XTRIM", f"{{{name}}}:control", "MAXLEN", "0")
    proxy.pass_on()
    await until(lambda: Revoke(1, user_id="ann") in shaky.heard)


async def test_a_black_hole_does_not_hold_a_sender_for_long(
    proxy: Proxy, shaky: Node, two: Node
) -> None:
    proxy.black_hole()
    async with asyncio.timeout(20):
        assert not await shaky.bus.send(Revoke(1, user_id="ann"))
    assert Revoke(1, user_id="ann") in shaky.heard
    proxy.pass_on()
    await until(lambda: Revoke(1, user_id="ann") in two.heard)


async def test_what_may_have_been_sent_before_the_cut_is_obeyed_all_the_same(
    proxy: Proxy, shaky: Node, two: Node
) -> None:
    await shaky.bus.send(Disconnect("before"))
    proxy.cut_answers(request=b"XADD", keep=0.0)
    await shaky.bus.send(Revoke(1, user_id="ann"))
    await until(lambda: Revoke(1, user_id="ann") in two.heard)
    assert set(shaky.heard) == {Disconnect("before"), Revoke(1, user_id="ann")}


async def test_a_redis_that_came_back_empty_is_told_all_decisions_again(
    tmp_path: Path, name: str
) -> None:
    redis = Redis(tmp_path)
    redis.start()
    try:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(a_node(redis.port, name))
            two = await stack.enter_async_context(a_node(redis.port, name))
            await one.bus.send(Revoke(1, user_id="ann"))
            await until(lambda: two.heard == [Revoke(1, user_id="ann")])
            await one.log.read(Edge.LATEST)
            await two.log.read(Edge.LATEST)
            redis.kill()
            await until(
                lambda: one.log.hearing.away is not None and two.log.hearing.away is not None
            )
            redis.start()
            await until(lambda: one.log.hearing.away is None and two.log.hearing.away is None)
            await until(lambda: redis.command("HLEN", f"{{{name}}}:decisions") == 1)
            late = await stack.enter_async_context(a_node(redis.port, name))
            assert late.heard == [Revoke(1, user_id="ann")]
    finally:
        redis.end()


async def test_decisions_outlive_a_flush(redis: Redis, name: str, one: Node, two: Node) -> None:
    await one.bus.send(Revoke(1, user_id="ann"))
    for key in ("log", "meta", "control", "decisions"):
        redis.command("DEL", f"{{{name}}}:{key}")
    await until(lambda: redis.command("HLEN", f"{{{name}}}:decisions") == 1)
    assert await two.bus.send(Disconnect("x"))
    await until(lambda: one.heard[-1] == Disconnect("x"))


async def test_loading_while_redis_is_away_says_so(proxy: Proxy, shaky: Node) -> None:
    await leave(proxy, shaky)
    with pytest.raises(LogAway):
        await shaky.bus.load()


async def test_flushing_waits_until_what_was_posted_is_on_its_way(one: Node, two: Node) -> None:
    for command in disconnects(20):
        one.bus.post(command)
    await one.bus.flush()
    await until(lambda: two.heard == disconnects(20))


async def test_closing_ends_what_cannot_be_sent(proxy: Proxy, shaky: Node) -> None:
    await leave(proxy, shaky)
    shaky.bus.post(Revoke(1, user_id="ann"))
    async with asyncio.timeout(20):
        await shaky.bus.flush()
        await shaky.bus.close()


async def test_decisions_are_asked_for_until_they_are_known(
    one: Node, shaky: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A return after which they cannot be read once is no reason never to know them."""
    kept, failures = shaky.log.kept, iter(range(3))

    def fails_at_first() -> AsyncIterator[tuple[str, bytes]]:
        if next(failures, None) is not None:
            raise LogAway("timed out")
        return kept()

    monkeypatch.setattr(shaky.log, "kept", fails_at_first)
    await one.bus.send(Revoke(5, token_id="stolen"))
    await until(lambda: Revoke(5, token_id="stolen") in shaky.heard)
    shaky.heard.clear()
    assert shaky.log.hearing.on_return is not None
    shaky.log.hearing.on_return()
    await until(lambda: shaky.heard == [Revoke(5, token_id="stolen")])


async def test_a_connection_that_is_cut_costs_no_command(
    proxy: Proxy, one: Node, shaky: Node
) -> None:
    proxy.cut_answers(request=b"XADD", keep=0.0)
    assert await shaky.bus.send(disconnects(1)[0])
    await until(lambda: proxy.cuts == 1 and disconnects(1)[0] in one.heard)
    await shaky.bus.flush()
    assert shaky.bus.unsent == 0


async def test_what_only_this_node_has_heard_is_counted(proxy: Proxy, shaky: Node) -> None:
    await leave(proxy, shaky)
    assert not await shaky.bus.send(disconnects(1)[0])
    assert shaky.bus.unsent > 0
