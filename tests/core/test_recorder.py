"""The flight recorder keeps the newest, and nothing else."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tidewire.core.position import Cursor, Position
from tidewire.core.recorder import Recorder
from tidewire.core.target import Identity

ANN, BOB = Identity("ann"), Identity("bob")


def at(offset: int) -> Cursor:
    return Cursor(Position(1, offset, "abcd"))


def test_a_record_is_told_as_it_was_noted() -> None:
    clock = FakeClock()
    recorder = Recorder(clock)
    recorder.note("opened", "c1", ANN, frozenset({"news"}), cursor=at(3))
    recorder.note("gap", "c1", ANN, cursor=at(5), since="1-1-abcd", detail="expired")
    opened, gap = recorder.of_client("c1")
    assert opened.to_json("n1") == {
        "timestamp": clock.now(),
        "clientId": "c1",
        "userId": "ann",
        "node": "n1",
        "what": "opened",
        "cursor": "1-3-abcd",
        "detail": None,
    }
    assert opened.types == {"news"}
    assert gap.to_json("n1")["from"] == "1-1-abcd"


def test_what_all_streams_were_told_is_told_of_each_user() -> None:
    recorder = Recorder(FakeClock())
    recorder.note("opened", "c1", ANN)
    recorder.note("opened", "c2", BOB)
    recorder.note("gap", "", None)
    assert [record.what for record in recorder.of_user("ann")] == ["opened", "gap"]
    assert [record.what for record in recorder.of_user("cid")] == ["gap"]


users = st.sampled_from((ANN, BOB))


@given(st.integers(1, 8), st.lists(st.tuples(users, st.integers(0, 3)), max_size=40))
def test_it_keeps_the_newest_in_order(size: int, notes: list[tuple[Identity, int]]) -> None:
    clock = FakeClock()
    recorder = Recorder(clock, size=size)
    began = clock.now()
    model: list[tuple[int, str, Cursor]] = []
    for identity, ms in notes:
        clock.jump(ms)
        recorder.note("behind", identity.user_id, identity, cursor=at(len(model)))
        model.append((clock.now(), identity.user_id, at(len(model))))
    kept = model[-size:]
    assert len(recorder) == len(kept)
    for user in ("ann", "bob"):
        found = [(r.timestamp, r.user_id, r.cursor) for r in recorder.of_user(user)]
        assert found == [one for one in kept if one[1] == user]
    wrapped = len(model) >= size
    assert recorder.kept_since == (kept[0][0] if wrapped else began)


def test_a_full_ring_takes_no_more_room() -> None:
    recorder = Recorder(FakeClock(), size=100)

    def weight() -> int:
        columns = (getattr(recorder, name) for name in recorder.__slots__)
        return sum(sys.getsizeof(column) for column in columns if isinstance(column, list))

    before = weight()
    cursor = at(1)
    for _ in range(1_000):
        recorder.note("opened", "c1", ANN, cursor=cursor)
    assert weight() == before
