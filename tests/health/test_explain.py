"""Why somebody got an event, or did not."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.event import Event
from tidewire.core.log import Entry
from tidewire.core.position import Cursor, Position
from tidewire.core.target import EVERYONE, Identity, Target
from tidewire.health.explain import (
    DELIVERED,
    REASONS,
    Explanation,
    Live,
    Memory,
    Scope,
    Sighting,
    Subject,
    explain,
)

EPOCH = "abcd"
BORN = 1_000
"""The time of the event of offset 0; each comes ten milliseconds after the one before."""


def position(offset: int) -> Position:
    return Position(BORN + 10 * offset, offset, EPOCH)


def at(offset: int, **seen: int) -> Cursor:
    return Cursor(position(offset), tuple(seen.items()))


def entry(offset: int, target: Target = EVERYONE, type_: str = "news", **more: Any) -> Entry:
    return Entry(position(offset), type_, target, Event(type_).body, **more)


def subject(
    offset: int = 5,
    target: Target = EVERYONE,
    *,
    floor: int = 0,
    head: int = 9,
    lost: bool = False,
) -> Subject:
    found = None if lost else entry(offset, target)
    return Subject(position(offset), found, position(floor), position(head))


def scope(*roles: str, topics: Sequence[str] = (), types: Sequence[str] = ()) -> Scope:
    identity = Identity("ann", frozenset(roles), topics=frozenset(topics))
    return Scope(identity, frozenset(types))


PLAIN = scope()


class Past:
    """What a node remembers, made step by step. Times are those of events of an offset."""

    def __init__(self, since: int = 0) -> None:
        self.since = BORN + 10 * since
        self.sightings: list[Sighting] = []
        self.live: list[Live] = []

    def saw(
        self,
        time: float,
        what: str,
        cursor: Cursor | None,
        client: str = "c1",
        *,
        who: Scope | None = PLAIN,
        since: str | None = None,
    ) -> "Past":
        ms = round(BORN + 10 * time)
        told = {"what": what, "clientId": client, "timestamp": ms}
        self.sightings.append(Sighting(ms, what, client, cursor, since, who, told))
        return self

    def is_live(
        self, cursor: Cursor, client: str = "c1", who: Scope = PLAIN, opened: float = 2
    ) -> "Past":
        self.live.append(Live(client, round(BORN + 10 * opened), cursor, who))
        return self

    def memory(self) -> Memory:
        return Memory(self.since, self.sightings, self.live)


def streamed(start: int, end: int, who: Scope = PLAIN, client: str = "c1") -> Past:
    """A stream that was open while these events came."""
    past = Past().saw(start, "opened", at(start), client, who=who)
    past.saw(end + 0.5, "closing", at(end), client, who=who)
    return past.saw(end + 0.6, "closed", at(end), client, who=who)


ANN, BOB, ROLE = Target.of(["ann"]), Target.of(["bob"]), Target.of(roles=["R"])
TOPIC = Target.of(topics=["t"])

SITUATIONS: dict[str, tuple[Subject, Past, str]] = {
    "written to a stream that is open": (
        subject(),
        Past().saw(2, "opened", at(2)).is_live(at(9)),
        "written",
    ),
    "written to a stream that has closed since": (subject(), streamed(2, 7), "written"),
    "written, and the client came back behind it": (
        subject(),
        streamed(2, 7).saw(8, "resumed", at(7), "c2").is_live(at(9), "c2", opened=8),
        "confirmed",
    ),
    "written, and a new stream that began at the head confirms nothing": (
        subject(),
        streamed(2, 7).saw(8, "opened", at(7), "c2").is_live(at(9), "c2", opened=8),
        "written",
    ),
    "written after the client came back from before it": (
        subject(),
        streamed(2, 4).saw(6, "resumed", at(4), "c2").is_live(at(9), "c2", opened=6),
        "written",
    ),
    "in the answer to a poll": (
        subject(),
        Past().saw(6, "polled", at(6), "tab", since=str(at(3))),
        "written",
    ),
    "in the answer to a poll, and polled on from there": (
        subject(),
        Past()
        .saw(6, "polled", at(6), "tab", since=str(at(3)))
        .saw(7, "polled", at(8), "tab", since=str(at(6))),
        "confirmed",
    ),
    "polled only from after it on": (
        subject(),
        Past().saw(7, "polled", at(8), "tab", since=str(at(6))),
        "unknown",
    ),
    "back from behind it, and nobody knows from where": (
        subject(),
        Past().saw(8, "resumed", at(7), "c2").is_live(at(9), "c2", opened=8),
        "unknown",
    ),
    "back from behind it, and another tab wanted other types": (
        subject(),
        streamed(2, 7, scope(types=["other"]))
        .saw(9, "resumed", at(8), "c2")
        .is_live(at(9), "c2", opened=9),
        "unknown",
    ),
    "came after it, and came back since": (
        subject(),
        streamed(7, 8).saw(9, "resumed", at(8), "c2").is_live(at(9), "c2", opened=9),
        "startedLater",
    ),
    "a stream that is behind": (
        subject(),
        Past().saw(2, "opened", at(2)).saw(3, "behind", at(3)).is_live(at(3)),
        "behind",
    ),
    "a stream that was behind and has caught up": (
        subject(),
        Past()
        .saw(2, "opened", at(2))
        .saw(3, "behind", at(3))
        .saw(8, "caughtUp", at(8))
        .is_live(at(8)),
        "written",
    ),
    "a stream that was behind when it ended": (
        subject(),
        Past().saw(2, "opened", at(2)).saw(3, "behind", at(3)).saw(8, "closed", at(3)),
        "notConnected",
    ),
    "for somebody else": (subject(target=BOB), streamed(2, 7), "notTarget"),
    "for somebody else, and nobody was there": (subject(target=BOB), Past(), "notTarget"),
    "for another role": (subject(target=ROLE), streamed(2, 7, scope("S")), "notTarget"),
    "for a role that was given only later": (
        subject(target=ROLE),
        streamed(2, 7).saw(8, "identityChanged", at(7), who=scope("R")).is_live(at(9)),
        "notTarget",
    ),
    "for a role that was taken only later": (
        subject(target=ROLE),
        Past()
        .saw(2, "opened", at(2), who=scope("R"))
        .saw(8, "identityChanged", at(8))
        .is_live(at(9)),
        "written",
    ),
    "of a type that was not wanted": (
        subject(),
        streamed(2, 7, scope(types=["other"])),
        "filteredByType",
    ),
    "of a type that only one of two tabs wanted": (
        subject(),
        streamed(2, 7, scope(types=["other"]))
        .saw(3, "opened", at(3), "c2")
        .is_live(at(9), "c2", opened=3),
        "written",
    ),
    "for a topic that was not subscribed to": (
        subject(target=TOPIC),
        streamed(2, 7, scope(topics=["u"])),
        "notSubscribed",
    ),
    "for a topic that was subscribed to": (
        subject(target=TOPIC),
        streamed(2, 7, scope(topics=["t"])),
        "written",
    ),
    "left before it, and never came back": (subject(), streamed(1, 3), "notConnected"),
    "never there": (subject(target=ANN), Past(), "notConnected"),
    "never there, as far as is remembered": (subject(target=ANN), Past(since=7), "unknown"),
    "came after it": (
        subject(),
        Past().saw(7, "opened", at(7)).is_live(at(9), opened=7),
        "startedLater",
    ),
    "came after it, and what was before is forgotten": (
        subject(),
        Past(since=6).saw(7, "opened", at(7)).is_live(at(9), opened=7),
        "unknown",
    ),
    "open since before it, and the opening is forgotten": (
        subject(),
        Past(since=8).is_live(at(9), opened=2),
        "written",
    ),
    "told that it was missed when it came back": (
        subject(floor=3),
        Past().saw(8, "opened", at(7)).saw(8, "gap", at(7), since=str(at(1))).is_live(at(9)),
        "gapTold",
    ),
    "told that it was missed, and it is not for this user": (
        subject(target=BOB),
        Past().saw(8, "opened", at(7)).saw(8, "gap", at(7), since=str(at(1))).is_live(at(9)),
        "notTarget",
    ),
    "told that it was missed, of an event that is trimmed": (
        subject(floor=7, lost=True),
        Past().saw(8, "opened", at(7)).saw(8, "gap", at(7), since=str(at(1))).is_live(at(9)),
        "gapTold",
    ),
    "told of another gap": (
        subject(),
        Past().saw(8, "opened", at(4)).saw(8, "gap", at(4), since=str(at(1))).is_live(at(9)),
        "written",
    ),
    "told of a gap that began after it": (
        subject(),
        Past().saw(2, "opened", at(2)).saw(8, "gap", at(8), since=str(at(6))).is_live(at(9)),
        "written",
    ),
    "told in the answer to a poll": (
        subject(floor=7, lost=True),
        Past()
        .saw(8, "gap", at(7), "", since=str(at(1)))
        .saw(8, "polled", at(9), "", since=str(at(7))),
        "gapTold",
    ),
    "all streams of the node were told of a gap": (
        subject(),
        Past()
        .saw(2, "opened", at(2))
        .saw(8, "gap", at(7), "", who=None, since=str(at(4)))
        .is_live(at(9)),
        "gapTold",
    ),
    "all streams were told of a gap after this one had closed": (
        subject(),
        streamed(2, 7).saw(9, "gap", at(9), "", who=None, since=str(at(4))),
        "written",
    ),
    "trimmed": (subject(floor=7, lost=True), streamed(2, 7), "trimmed"),
    "of an epoch that the log has forgotten": (
        Subject(Position(BORN, 3, "zzzz"), None, position(3), position(9)),
        Past(),
        "trimmed",
    ),
    "beyond the head": (subject(99, lost=True), Past(), "unknownEvent"),
    "of a log that never was": (
        Subject(Position(BORN + 80, 3, "zzzz"), None, position(3), position(9)),
        Past(),
        "unknownEvent",
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_is_told_as_it_was(name: str) -> None:
    event, past, verdict = SITUATIONS[name]
    told = explain(event, "ann", [past.memory()])
    assert told.verdict == verdict
    assert (told.reason, told.delivered) == (REASONS[told.verdict], DELIVERED[told.verdict])


def test_every_verdict_is_told_in_some_situation() -> None:
    assert {verdict for _, _, verdict in SITUATIONS.values()} == set(REASONS) == set(DELIVERED)


def test_the_records_that_show_it_are_told_in_order() -> None:
    other = Past().saw(6, "opened", at(6), "c9").is_live(at(9), "c9", opened=6)
    told = explain(subject(), "ann", [other.memory(), streamed(2, 7).memory()])
    assert [record["what"] for record in told.evidence] == ["opened", "closing", "closed"]
    assert {record["clientId"] for record in told.evidence} == {"c1"}


def test_what_nodes_remember_is_put_together() -> None:
    there = Past().saw(8, "resumed", at(7), "c2").is_live(at(9), "c2", opened=8)
    told = explain(subject(), "ann", [there.memory(), streamed(2, 7).memory()])
    assert told.verdict == "confirmed"


def test_where_a_node_did_not_answer_nobody_says_that_somebody_was_not_there() -> None:
    silent = Memory(BORN + 1_000, (), ())
    assert explain(subject(target=ANN), "ann", [Past().memory(), silent]).verdict == "unknown"
    assert explain(subject(), "ann", [streamed(2, 7).memory(), silent]).verdict == "written"


def test_of_the_time_before_a_node_went_nobody_says_that_somebody_was_not_there() -> None:
    gone = Memory(position(6).ms, (), ())
    late = Past().saw(8, "opened", at(8)).is_live(at(9), opened=8)
    for past in (Past(), late):
        told = explain(subject(5, target=ANN), "ann", [past.memory(), gone])
        assert (told.verdict, told.delivered) == ("unknown", None)
        assert explain(subject(7, target=ANN), "ann", [past.memory(), gone]).delivered is False
    assert explain(subject(), "ann", [streamed(2, 7).memory(), gone]).verdict == "written"


def test_an_event_of_a_spool_is_written_where_the_cursor_says_that_it_was_seen() -> None:
    afloat = Entry(Position(BORN + 55, 3, "sabc"), "news", EVERYONE, b"", producer="sabc", number=3)
    event = Subject(afloat.position, afloat, position(0), position(5))
    seen = Past().saw(2, "opened", at(2)).is_live(at(5, sabc=3))
    unseen = Past().saw(2, "opened", at(2)).is_live(at(5, sabc=2))
    assert explain(event, "ann", [seen.memory()]).verdict == "written"
    assert explain(event, "ann", [unseen.memory()]).verdict == "behind"


# Against a model: streams that come and go on a log that grows.

steps = st.lists(
    st.sampled_from(("publish", "open", "resume", "close", "block", "drain")), max_size=40
)


@given(steps)
def test_what_it_says_is_what_was_written(taken: list[str]) -> None:
    past, written, head, client = Past(), set[int](), 0, 0
    stands: int | None = None
    left_at, blocked = 0, False
    for time, step in enumerate(taken):
        name = f"c{client}"
        if step == "publish":
            head += 1
            if stands is not None and not blocked:
                stands = head
                written.add(head)
        elif step in ("open", "resume") and stands is None:
            client += 1
            begin = head if step == "open" else left_at
            what = "opened" if step == "open" else "resumed"
            past.saw(head + time / 1000, what, at(begin), f"c{client}")
            written |= set(range(begin + 1, head + 1))
            stands, blocked = head, False
        elif step == "close" and stands is not None:
            past.saw(head + time / 1000, "closed", at(stands), name)
            left_at, stands = stands, None
        elif step == "block" and stands is not None and not blocked:
            blocked = True
            past.saw(head + time / 1000, "behind", at(stands), name)
        elif step == "drain" and stands is not None and blocked:
            blocked = False
            written |= set(range(stands + 1, head + 1))
            stands = head
            past.saw(head + time / 1000, "caughtUp", at(head), name)
    if stands is not None:
        past.is_live(at(stands), f"c{client}")
    for offset in range(1, head + 1):
        told: Explanation = explain(subject(offset, head=head), "ann", [past.memory()])
        assert told.delivered is (offset in written), (offset, told.verdict)
