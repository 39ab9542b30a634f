"""The registry of connections, and the life of each."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeSink
from tidewire.core.connections import (
    IDLE_AFTER,
    TRANSITIONS,
    Connection,
    Connections,
    ConnectionState,
    Happening,
    new_client_id,
)
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import Reader
from tidewire.core.target import Identity

STALE_AFTER = 30.0


def connection(user: str = "ann", opened: float = 0.0, *, transport: str = "sse") -> Connection:
    reader = Reader(Identity(user), FakeSink(), Cursor(Position(1, 0, "abcd")))
    return Connection(reader, transport, connected_at=0, opened=opened)


def sink_of(it: Connection) -> FakeSink:
    assert isinstance(it.reader.sink, FakeSink)
    return it.reader.sink


@pytest.mark.parametrize(
    ("state", "happening"),
    list(product(ConnectionState, Happening)),
    ids=lambda value: str(value.value),
)
def test_a_connection_moves_only_as_the_table_says(
    state: ConnectionState, happening: Happening
) -> None:
    it = connection()
    it.state = state
    moved = it.happen(happening)
    assert moved is ((state, happening) in TRANSITIONS)
    assert it.state is TRANSITIONS.get((state, happening), state)


def test_every_state_is_reached_from_the_first_and_leads_to_the_last() -> None:
    def reached(start: ConnectionState) -> set[ConnectionState]:
        found = {start}
        while True:
            more = {to for (of, _), to in TRANSITIONS.items() if of in found} - found
            if not more:
                return found
            found |= more

    assert reached(ConnectionState.CONNECTING) == set(ConnectionState)
    for state in ConnectionState:
        assert ConnectionState.DISCONNECTING in reached(state)
    assert reached(ConnectionState.DISCONNECTING) == {ConnectionState.DISCONNECTING}


def test_nothing_but_opening_makes_a_connection_connected_for_the_first_time() -> None:
    assert {what for (of, what) in TRANSITIONS if of is ConnectionState.CONNECTING} == {
        Happening.OPENED,
        Happening.CLOSING,
    }


def test_client_ids_have_128_random_bits() -> None:
    ids = {new_client_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(bytes.fromhex(id_)) == 16 for id_ in ids)


def test_connections_are_found_by_id_and_by_user() -> None:
    registry = Connections()
    ann, again, bob = connection(), connection(), connection("bob")
    for each in (ann, again, bob):
        registry.add(each)
    assert (len(registry), registry.users) == (3, 2)
    assert list(registry) == [ann, again, bob]
    assert registry.get(again.id) is again
    assert registry.get("nobody") is None
    assert list(registry.of_user("ann")) == [ann, again]
    assert list(registry.of_user("zoe")) == []


def test_a_removed_connection_leaves_nothing_and_may_be_removed_again() -> None:
    registry = Connections()
    ann, again = connection(), connection()
    registry.add(ann)
    registry.add(again)
    registry.remove(ann)
    registry.remove(ann)
    assert (list(registry), registry.users) == ([again], 1)
    registry.remove(again)
    assert (len(registry), registry.users) == (0, 0)
    assert list(registry.of_user("ann")) == []


def test_a_connection_that_is_added_again_is_there_once() -> None:
    registry = Connections()
    it, other = connection(), connection()
    for each in (it, it, other, it):
        registry.add(each)
    assert list(registry) == list(registry.of_user("ann")) == [it, other]
    assert registry.states()["connecting"] == registry.transports()["sse"] == 2
    registry.remove(it)
    assert (list(registry), registry.states()["connecting"]) == ([other], 1)


def test_a_connection_is_in_one_registry_and_under_an_id_of_its_own() -> None:
    registry, elsewhere = Connections(), Connections()
    it, twin = connection(), connection("bob")
    twin.id = it.id
    registry.add(it)
    with pytest.raises(ValueError, match="one registry"):
        elsewhere.add(it)
    with pytest.raises(ValueError, match="id of its own"):
        registry.add(twin)
    elsewhere.remove(it)
    registry.remove(twin)
    assert (list(registry), list(elsewhere)) == ([it], [])
    it.happen(Happening.OPENED)
    assert (registry.states()["connected"], elsewhere.states()["connected"]) == (1, 0)


def test_a_users_connections_may_go_while_they_are_gone_through() -> None:
    registry = Connections()
    for _ in range(3):
        registry.add(connection())
    for each in registry.of_user("ann"):
        registry.remove(each)
    assert len(registry) == 0


def test_all_states_are_counted_by_name() -> None:
    registry = Connections()
    for state in (ConnectionState.CONNECTED, ConnectionState.CONNECTED, ConnectionState.STALE):
        it = connection()
        it.state = state
        registry.add(it)
    assert registry.states() == {
        "connecting": 0,
        "connected": 2,
        "idle": 0,
        "stale": 1,
        "disconnecting": 0,
    }


def recounted(registry: Connections) -> tuple[dict[str, int], Counter[str], int]:
    """What the registry counts, by a look at each."""
    counted = Counter(it.state for it in registry)
    return (
        {state.value: counted[state] for state in ConnectionState},
        Counter(it.transport for it in registry),
        sum(it.closing for it in registry),
    )


# Which of the connections that there have been, and what becomes of it.
changes = st.tuples(
    st.integers(0, 9),
    st.one_of(
        st.sampled_from(Happening),
        st.sampled_from(["add", "remove", "look", "make room"]),
        st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["sse", "polling"])),
    ),
    st.sampled_from([None, 0.0]),
)


@given(st.lists(changes, max_size=60))
def test_the_numbers_are_always_those_of_a_recount(
    steps: list[tuple[int, Happening | str | tuple[str, str], float | None]],
) -> None:
    registry = Connections()
    known: list[Connection] = []
    for now, (which, what, blocked) in enumerate(steps):
        it = known[which % len(known)] if known else None
        if isinstance(what, tuple):
            known.append(connection(what[0], 100.0 * now, transport=what[1]))
            registry.add(known[-1])
        elif it is None:
            continue
        elif isinstance(what, Happening):
            # Also of one that has gone: it is counted no more.
            it.happen(what)
        elif what == "add":
            # Also one that is there, and one that has gone.
            registry.add(it)
        elif what == "remove":
            registry.remove(it)
        else:
            sink_of(it).blocked = blocked
            if what == "look":
                registry.sweep(it, 100.0 * now, STALE_AFTER)
            else:
                registry.dispensable(it.user_id, 100.0 * now, STALE_AFTER)
        told = registry.states(), registry.transports(), registry.closing
        assert told == recounted(registry)
        assert sum(told[0].values()) == len(registry)
        by_user = [each for user in registry.all_users() for each in registry.of_user(user)]
        assert Counter(by_user) == Counter(registry)


def state(it: Connection) -> ConnectionState:
    return it.state


def opened(registry: Connections) -> Connection:
    it = connection()
    it.happen(Happening.OPENED)
    registry.add(it)
    return it


def test_three_minutes_without_an_event_make_a_connection_idle() -> None:
    registry = Connections()
    it = opened(registry)
    assert not registry.sweep(it, IDLE_AFTER, STALE_AFTER)
    assert state(it) is ConnectionState.CONNECTED
    registry.sweep(it, IDLE_AFTER + 0.1, STALE_AFTER)
    assert state(it) is ConnectionState.IDLE
    assert IDLE_AFTER == 180


def test_an_event_makes_it_connected_again() -> None:
    registry = Connections()
    it = opened(registry)
    registry.sweep(it, 200, STALE_AFTER)
    it.reader.delivered_at = 210
    registry.sweep(it, 220, STALE_AFTER)
    assert state(it) is ConnectionState.CONNECTED
    registry.sweep(it, 210 + IDLE_AFTER + 1, STALE_AFTER)
    assert state(it) is ConnectionState.IDLE


@pytest.mark.parametrize("before", [ConnectionState.CONNECTED, ConnectionState.IDLE])
def test_a_peer_that_takes_nothing_is_stale_first_and_condemned_by_the_next_sweep(
    before: ConnectionState,
) -> None:
    registry = Connections()
    it = opened(registry)
    if before is ConnectionState.IDLE:
        it.happen(Happening.QUIET)
    assert state(it) is before
    sink_of(it).blocked = 100.0
    assert not registry.sweep(it, 100 + STALE_AFTER, STALE_AFTER)
    assert state(it) is not ConnectionState.STALE
    assert not registry.sweep(it, 101 + STALE_AFTER, STALE_AFTER)
    assert state(it) is ConnectionState.STALE
    assert registry.sweep(it, 131 + STALE_AFTER, STALE_AFTER)


def test_a_stale_peer_that_takes_again_is_spared() -> None:
    registry = Connections()
    it = opened(registry)
    sink_of(it).blocked = 100.0
    registry.sweep(it, 140, STALE_AFTER)
    sink_of(it).blocked = None
    assert not registry.sweep(it, 170, STALE_AFTER)
    assert state(it) is ConnectionState.CONNECTED
    registry.sweep(it, 190, STALE_AFTER)
    assert state(it) is ConnectionState.IDLE


def test_a_connection_that_has_not_opened_is_neither_idle_nor_condemned() -> None:
    registry = Connections()
    it = connection()
    registry.add(it)
    sink_of(it).blocked = 0.0
    assert not registry.sweep(it, 1000, STALE_AFTER)
    assert not registry.sweep(it, 2000, STALE_AFTER)
    assert state(it) is ConnectionState.CONNECTING


def test_one_that_was_told_to_go_and_does_not_take_even_that_is_condemned() -> None:
    registry = Connections()
    it, quick = opened(registry), opened(registry)
    for each in (it, quick):
        each.happen(Happening.CLOSING)
    sink_of(it).blocked = 100.0
    assert not registry.sweep(it, 100 + STALE_AFTER, STALE_AFTER)
    assert registry.sweep(it, 101 + STALE_AFTER, STALE_AFTER)
    assert not registry.sweep(quick, 101 + STALE_AFTER, STALE_AFTER)


def test_who_is_on_the_way_out_does_not_count_as_open() -> None:
    registry = Connections()
    it, _ = opened(registry), opened(registry)
    it.happen(Happening.CLOSING)
    assert (registry.open_of("ann"), registry.open_of("bob")) == (1, 0)


def test_the_oldest_stale_or_else_idle_connection_makes_room() -> None:
    registry = Connections()
    fresh, idle, late_idle, stale = (opened(registry) for _ in range(4))
    now = 1000.0
    assert registry.dispensable("bob", now, STALE_AFTER) is None
    fresh.reader.delivered_at = now
    sink_of(stale).blocked = now - STALE_AFTER - 1
    assert registry.dispensable("ann", now, STALE_AFTER) is stale
    registry.remove(stale)
    assert registry.dispensable("ann", now, STALE_AFTER) is idle
    registry.remove(idle)
    assert registry.dispensable("ann", now, STALE_AFTER) is late_idle
    registry.remove(late_idle)
    assert registry.dispensable("ann", now, STALE_AFTER) is None
