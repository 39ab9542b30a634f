"""How many events were written to a reader, without a count for each delivery."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock, FakeJournal, FakeSink
from tidewire.core.event import Event
from tidewire.core.hub import Hub
from tidewire.core.log import Entry, Page
from tidewire.core.position import Cursor, Position
from tidewire.core.reader import HIGH_WATER, Reader
from tidewire.core.target import EVERYONE, Identity, Target
from tidewire.logs import Retention
from tidewire.logs.memory import MemoryLog

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.lists(st.sampled_from(("all", "ann", "bob")), max_size=4)),
        st.tuples(st.sampled_from(("open", "stop", "read")), st.integers(0, 3)),
    ),
    max_size=25,
)
TARGETS = {"all": EVERYONE, "ann": Target.of(["ann"]), "bob": Target.of(["bob"])}


@given(steps)
async def test_it_is_as_many_as_the_sink_was_written(taken: list[tuple[str, object]]) -> None:
    log = MemoryLog(Retention(), clock=FakeClock())
    hub = Hub(log, clock=FakeClock(), journal=FakeJournal())
    await hub.start()
    readers: list[Reader] = []
    try:
        for step, what in taken:
            if step == "publish":
                assert isinstance(what, list)
                if not what:
                    continue
                pad = "x" * (HIGH_WATER // 3)
                events = [Event("news", pad, target=TARGETS[name]) for name in what]
                await hub.publish(events)
                hub.receive(await log.read(Cursor(hub.position)))
            elif step == "open":
                user = "ann" if what else "bob"
                reader = Reader(Identity(user), FakeSink(), Cursor(await hub.head()))
                hub.attach(reader)
                readers.append(reader)
            else:
                for reader in readers[int(str(what)) :]:
                    sink = reader.sink
                    assert isinstance(sink, FakeSink)
                    sink.stop_reading() if step == "stop" else sink.read_on()
        for reader in readers:
            sink = reader.sink
            assert isinstance(sink, FakeSink)
            written = (sink.taken + sink.waiting).count(b"event: news")
            assert reader.delivered == written
    finally:
        await hub.stop()


async def test_what_its_kin_was_given_before_it_came_is_not_its_own() -> None:
    log = MemoryLog(Retention(), clock=FakeClock())
    hub = Hub(log, clock=FakeClock(), journal=FakeJournal())
    await hub.start()
    try:
        first = Reader(Identity("ann"), FakeSink(), hub.cursor)
        hub.attach(first)
        position = Position(hub.position.ms, hub.position.offset + 1, hub.position.epoch)
        entry = Entry(position, "news", EVERYONE, Event("news").body)
        hub.receive(Page(hub.position, (entry,), position))
        second = Reader(Identity("bob"), FakeSink(), hub.cursor)
        hub.attach(second)
        assert (first.delivered, second.delivered) == (1, 0)
        hub.detach(first)
        assert first.delivered == 1
    finally:
        await hub.stop()
