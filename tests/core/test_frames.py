"""The frames of what came last."""

from tests.fakes import CountingEncoding
from tidewire.core.event import Event
from tidewire.core.frame import NAMED, NAMED_CHUNKS, UNNAMED, Control
from tidewire.core.frames import Frames
from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.core.target import EVERYONE


def entry(offset: int, epoch: str = "abcd", pad: int = 0) -> Entry:
    event = Event("notification", {"n": offset, "pad": "x" * pad})
    return Entry(Position(1, offset, epoch), event.type, EVERYONE, event.body)


def test_an_entry_is_encoded_once_for_an_encoding() -> None:
    counting = CountingEncoding()
    frames = Frames()
    it = entry(1)
    first = frames.frame(it, it.id, counting)
    assert frames.frame(it, it.id, counting) is first
    assert counting.calls == 1
    assert frames.frame(it, it.id, UNNAMED) == UNNAMED.entry(it, it.id)
    assert frames.frame(it, it.id, NAMED_CHUNKS) == NAMED_CHUNKS.entry(it, it.id)


def test_another_entry_at_the_same_offset_has_its_own_frame() -> None:
    frames = Frames()
    one, other = entry(1), entry(1, "wxyz")
    assert frames.frame(one, one.id, NAMED) != frames.frame(other, other.id, NAMED)
    assert frames.frame(one, one.id, NAMED) == NAMED.entry(one, one.id)


def test_a_reader_who_has_seen_more_has_a_frame_with_its_own_cursor() -> None:
    frames = Frames()
    it = entry(1)
    frames.frame(it, it.id, NAMED)
    guests = f"{it.id}~sother00.3"
    assert frames.frame(it, guests, NAMED).endswith(f"id: {guests}\n\n".encode())
    assert frames.frame(it, it.id, NAMED).endswith(f"id: {it.id}\n\n".encode())


def test_what_came_first_is_forgotten_first_and_the_bytes_are_bounded() -> None:
    counting = CountingEncoding()
    frames = Frames(max_bytes=20_000)
    made = [entry(n, pad=1000) for n in range(1, 101)]
    for each in made:
        frames.frame(each, each.id, counting)
    assert counting.calls == 100
    frames.frame(made[-1], made[-1].id, counting)
    assert counting.calls == 100
    frames.frame(made[0], made[0].id, counting)
    assert counting.calls == 101
    assert 0 < frames._bytes <= 20_000


def test_a_chunk_holds_exactly_one_block() -> None:
    it = entry(1)
    block = NAMED.entry(it, it.id)
    assert NAMED_CHUNKS.entry(it, it.id) == b"%x\r\n%b\r\n" % (len(block), block)
    control = Control("ping", {}, 1)
    told = NAMED.control(control)
    assert NAMED_CHUNKS.control(control) == b"%x\r\n%b\r\n" % (len(told), told)
