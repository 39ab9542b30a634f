"""Control events: their names, payloads and ids."""

from tidewire.core import notices
from tidewire.core.errors import ExpiredToken
from tidewire.core.log import Gap
from tidewire.core.position import Cursor, Position

POSITION = Position(1764000000000, 42, "k3f9")
NOW = 1_764_000_000_123


def test_a_moment_is_iso_8601_in_utc_to_the_millisecond() -> None:
    assert notices.iso(NOW) == "2025-11-24T16:00:00.123Z"
    assert notices.iso(0) == "1970-01-01T00:00:00.000Z"


def test_connected_carries_the_cursor_unless_a_gap_follows() -> None:
    assert notices.connected({"a": 1}, cursor="1-2-abcd", now=NOW).id == "1-2-abcd"
    control = notices.connected({"a": 1}, cursor=None, now=NOW)
    assert (control.event, control.id, control.data) == ("connected", None, {"a": 1})


def test_a_ping_carries_the_cursor_as_its_id() -> None:
    cursor = Cursor(POSITION, (("s8", 5),))
    control = notices.ping(cursor, sequence=3, now=NOW)
    assert (control.event, control.id) == ("ping", str(cursor))
    assert control.data == {
        "timestamp": NOW,
        "serverTime": "2025-11-24T16:00:00.123Z",
        "sequence": 3,
        "head": str(cursor),
    }


def test_the_id_of_a_gap_is_where_reading_goes_on() -> None:
    cursor = Cursor(POSITION, (("s8", 5),))
    control = notices.gap(Gap("1-1-abcd", POSITION, "epoch"), cursor=cursor, now=NOW)
    assert (control.event, control.id) == ("gap", str(cursor))
    assert control.data == {"from": "1-1-abcd", "to": str(POSITION), "reason": "epoch"}


def test_auth_expiring_says_when_and_where_to_refresh() -> None:
    control = notices.auth_expiring(NOW + 5, now=NOW)
    assert (control.event, control.id) == ("authExpiring", None)
    assert control.data == {
        "expiresAt": NOW + 5,
        "refreshUrl": "/api/auth/sse-token/refresh",
    }


def test_a_problem_is_not_named_error_on_the_stream_but_is_one_in_json() -> None:
    control = notices.problem(ExpiredToken("It is over."), now=NOW)
    assert (control.event, control.type, control.id) == ("problem", "error", None)
    assert control.data["code"] == "AUTH_EXPIRED_TOKEN"


def test_disconnecting_sets_the_time_to_come_back() -> None:
    control = notices.disconnecting("shutdown", 250, now=NOW)
    assert (control.event, control.retry) == ("disconnecting", 250)
    assert control.data == {"reason": "shutdown", "reconnectAfter": 250}


def test_disconnecting_for_good_sets_none() -> None:
    control = notices.disconnecting("revoked", None, now=NOW)
    assert control.retry is None
    assert control.data == {"reason": "revoked", "reconnectAfter": None}
