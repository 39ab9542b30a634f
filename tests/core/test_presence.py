"""Presence: what a node knows of the others, and what it says of itself."""

from tests.fakes import FakeSink
from tidewire.core.connections import Connection, Connections, Happening
from tidewire.core.control import Attendance
from tidewire.core.position import Cursor, Position
from tidewire.core.presence import LEASE_SECONDS, USERS_TOGETHER, Presence
from tidewire.core.reader import Reader
from tidewire.core.target import Identity

START = Cursor(Position(1, 0, "aaaa"))


def connection(user: str = "ann") -> Connection:
    return Connection(Reader(Identity(user), FakeSink(), START), "sse", connected_at=0, opened=0.0)


def told(presence: Presence, *attendances: Attendance, now: float = 0.0) -> Presence:
    for attendance in attendances:
        presence.hear(attendance, now)
    return presence


def here() -> Presence:
    return Presence("here")


def nodes(presence: Presence) -> list[str]:
    return [node for node, _ in presence]


# The others


def test_alone_nobody_is_elsewhere() -> None:
    presence = here()
    assert len(presence) == 0
    assert presence.users == set()
    assert presence.elsewhere("ann") == 0
    assert presence.dispensable("ann") is None


def test_a_users_connections_are_added_up_over_the_other_nodes() -> None:
    presence = told(
        here(),
        Attendance("b", {"ann": (2, 0), "bob": (1, 0)}),
        Attendance("c", {"ann": (3, 1)}),
    )
    assert [presence.elsewhere(user) for user in ("ann", "bob", "cid")] == [5, 1, 0]
    assert presence.users == {"ann", "bob"}
    assert nodes(presence) == ["b", "c"]


def test_what_is_told_replaces_what_was_told_of_the_users_that_it_names() -> None:
    presence = told(
        here(),
        Attendance("b", {"ann": (2, 0), "bob": (1, 0)}),
        Attendance("b", {"ann": (1, 0)}),
    )
    assert [presence.elsewhere(user) for user in ("ann", "bob")] == [1, 1]


def test_a_user_who_left_is_there_no_more() -> None:
    presence = told(here(), Attendance("b", {"ann": (2, 0)}), Attendance("b", {"ann": (0, 0)}))
    assert presence.elsewhere("ann") == 0
    assert presence.users == set()


def test_a_whole_attendance_leaves_nobody_whom_it_does_not_name() -> None:
    presence = told(
        here(),
        Attendance("b", {"ann": (2, 0), "bob": (1, 0)}),
        Attendance("b", {"bob": (3, 0)}, whole=True),
    )
    assert [presence.elsewhere(user) for user in ("ann", "bob")] == [0, 3]


def test_a_node_with_a_spare_connection_of_a_user_is_named() -> None:
    presence = told(
        here(),
        Attendance("b", {"ann": (2, 0), "bob": (1, 1)}),
        Attendance("c", {"ann": (3, 1)}),
    )
    assert [presence.dispensable(user) for user in ("ann", "bob", "cid")] == ["c", "b", None]
    told(presence, Attendance("c", {"ann": (3, 0)}))
    assert presence.dispensable("ann") is None


def test_figures_stay_until_others_are_told() -> None:
    presence = told(here(), Attendance("b", figures={"connections": 2}), Attendance("b"))
    assert [one.figures for _, one in presence] == [{"connections": 2}]
    told(presence, Attendance("b", figures={"connections": 3}))
    assert [one.figures for _, one in presence] == [{"connections": 3}]


# Their ends


def test_a_node_that_goes_vanishes_at_once() -> None:
    presence = told(here(), Attendance("b", {"ann": (2, 1)}), Attendance("b", gone=True))
    assert len(presence) == 0
    assert presence.elsewhere("ann") == 0
    assert presence.expire(1e9) == []


def test_a_node_that_was_never_there_may_go() -> None:
    assert len(told(here(), Attendance("b", gone=True))) == 0


def test_a_node_that_says_nothing_vanishes_with_its_lease_and_its_users_are_told() -> None:
    presence = told(here(), Attendance("b", {"ann": (2, 0)}), Attendance("c"))
    told(presence, Attendance("c"), now=1.0)
    assert presence.expire(LEASE_SECONDS) == []
    [(node, neighbour)] = presence.expire(LEASE_SECONDS + 0.5)
    assert (node, neighbour.users) == ("b", {"ann": (2, 0)})
    assert nodes(presence) == ["c"]
    assert presence.expire(LEASE_SECONDS + 0.5) == []


def test_every_word_of_a_node_renews_its_lease() -> None:
    presence = here()
    for now in range(0, 100, int(LEASE_SECONDS)):
        told(presence, Attendance("b"), now=float(now))
        assert presence.expire(float(now)) == []
    assert nodes(presence) == ["b"]


def test_a_node_that_was_deaf_believes_all_of_them_for_another_lease() -> None:
    presence = told(here(), Attendance("b"), Attendance("c"))
    presence.excuse(100.0)
    assert presence.expire(100.0 + LEASE_SECONDS) == []
    assert len(presence.expire(101.0 + LEASE_SECONDS)) == 2


def test_of_the_nodes_that_are_left_one_speaks_for_a_lost_one() -> None:
    names = ["a", "b", "c", "d"]
    for lost in names:
        left = [name for name in names if name != lost]
        speakers = []
        for name in left:
            presence = Presence(name)
            # Some have let go of the lost one already, and some have not.
            others = names if name < "c" else left
            told(presence, *(Attendance(other) for other in others if other != name))
            if presence.speaks_for(lost):
                speakers.append(name)
        assert speakers == left[:1]


# What it says of itself


def test_at_first_there_is_nobody_to_name() -> None:
    [said] = here().attendance(Connections(), {"x": 1})
    assert said == Attendance("here", {}, figures={"x": 1})


def test_users_are_named_whose_numbers_may_have_changed_since() -> None:
    presence, connections = here(), Connections()
    ann, bob = connection("ann"), connection("bob")
    connections.add(ann)
    connections.add(bob)
    [said] = presence.attendance(connections, {})
    assert said.users == {"ann": (1, 0), "bob": (1, 0)}
    [said] = presence.attendance(connections, {})
    assert said.users == {}
    connections.remove(bob)
    [said] = presence.attendance(connections, {})
    assert said.users == {"bob": (0, 0)}


def test_a_connection_on_its_way_out_does_not_count_and_an_idle_one_is_spare() -> None:
    presence, connections = here(), Connections()
    leaving, idle, busy = connection(), connection(), connection()
    for one in (leaving, idle, busy):
        connections.add(one)
        one.happen(Happening.OPENED)
    leaving.happen(Happening.CLOSING)
    idle.happen(Happening.QUIET)
    [said] = presence.attendance(connections, {}, whole=True)
    assert said.users == {"ann": (2, 1)}


def test_a_sweep_tells_of_those_whose_state_has_changed() -> None:
    presence, connections = here(), Connections()
    quiet = connection("ann")
    connections.add(quiet)
    connections.add(connection("bob"))
    quiet.happen(Happening.OPENED)
    list(presence.attendance(connections, {}))
    connections.sweep(quiet, 1_000.0, 30.0)
    [said] = presence.attendance(connections, {})
    assert said.users == {"ann": (1, 1)}


def test_all_users_are_named_where_the_whole_is_asked_for() -> None:
    presence, connections = here(), Connections()
    connections.add(connection("ann"))
    list(presence.attendance(connections, {}))
    [said] = presence.attendance(connections, {}, whole=True, asks=True)
    assert said == Attendance("here", {"ann": (1, 0)}, whole=True, asks=True)


def test_many_users_take_several_messages_and_another_node_knows_them_all() -> None:
    presence, connections = here(), Connections()
    count = 2 * USERS_TOGETHER + 1
    for number in range(count):
        connections.add(connection(f"u{number}"))
    said = list(presence.attendance(connections, {"x": 1}, whole=True, asks=True))
    assert [len(one.users) for one in said] == [USERS_TOGETHER, USERS_TOGETHER, 1]
    assert [(one.whole, one.asks, dict(one.figures)) for one in said] == [
        (True, True, {"x": 1}),
        (False, False, {}),
        (False, False, {}),
    ]
    other = told(Presence("other"), Attendance("here", {"gone": (1, 0)}), *said)
    assert len(other.users) == count
