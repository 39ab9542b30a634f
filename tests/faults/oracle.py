"""The oracle: whether what a client was told is what the wire contract promises.

(accepted ∩ visible) − received ⊆ announced gaps; nothing twice; each publisher's own order;
nothing that is not for the client; every event under the id that its publisher was told.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.faults.history import Accepted, History, Hole, Seen, To, Who, holes_in, seen_in

SHOWN = 12
"""Complaints of one kind that are shown."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a fault may cost.

    Attributes:
        gaps: reasons of gaps that may be announced.
        lost_before: what a publisher began before this moment (monotonic seconds) may be missing,
            where a gap was announced in its place. Later events may not, gap or not.
        lost: keys that may be missing without a gap.
        renamed: keys of events that may come under another id than their publisher was told.
    """

    gaps: frozenset[str] = frozenset()
    lost_before: float = 0.0
    lost: Collection[str] = ()
    renamed: Collection[str] = ()


NOTHING = Allowance()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one client's history; empty where nothing is.

    Attributes:
        missing: what may still come.
        wrong: what nothing that comes can make right.
    """

    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        return self.wrong + self.missing


def judge(
    who: Who,
    history: History,
    accepted: Sequence[Accepted],
    sent: dict[str, To],
    allowance: Allowance = NOTHING,
) -> Verdict:
    """Compares what one client was told with what was accepted while it followed.

    Args:
        who: the client.
        history: what it was told.
        accepted: what was accepted since it first had a cursor.
        sent: whatever was sent, accepted or not, and whom it was for.
        allowance: what may be missing.
    """
    promised = {event.key: event for event in accepted}
    wrong = [
        *_repeats(history),
        *_disorder(history),
        *_strange(who, history, sent),
        *_renamed(history, promised, allowance),
        *_needless_gaps(history, allowance),
    ]
    return Verdict(_missing(who, history, accepted, allowance), _shown(wrong))


def _repeats(history: History) -> list[str]:
    counts = Counter(event.key for event in seen_in(history))
    complaints = []
    for key, count in counts.items():
        if count > 1:
            times = [
                f"{event.id} by {event.node}" for event in seen_in(history) if event.key == key
            ]
            complaints.append(f"received {count} times: {key} ({', '.join(times)})")
    return complaints


def _disorder(history: History) -> list[str]:
    last: dict[str, Seen] = {}
    complaints = []
    for event in seen_in(history):
        before = last.get(event.publisher)
        if before is not None and event.number < before.number:
            complaints.append(
                f"out of order: {event.key} ({event.id} by {event.node}), "
                f"{event.at - before.at:.1f} s after {before.key} ({before.id} by {before.node})"
            )
        last[event.publisher] = event
    return complaints


def _strange(who: Who, history: History, sent: dict[str, To]) -> list[str]:
    complaints = []
    for event in seen_in(history):
        to = sent.get(event.key)
        if to is None:
            complaints.append(f"received what nobody sent: {event.key}")
        elif not to.includes(who):
            complaints.append(f"received what is not for {who.user}: {event.key}, for {to}")
    return complaints


def _renamed(history: History, promised: dict[str, Accepted], allowance: Allowance) -> list[str]:
    complaints = []
    for event in seen_in(history):
        promise = promised.get(event.key)
        if promise is None or promise.id == event.id or event.key in allowance.renamed:
            continue
        complaints.append(
            f"another id: {event.key} was accepted as {promise.id}, came as {event.id}"
        )
    return complaints


def _needless_gaps(history: History, allowance: Allowance) -> list[str]:
    return [
        f"a gap that is not allowed: {hole.reason}, ({hole.from_}, {hole.to}]"
        for hole in holes_in(history)
        if hole.reason not in allowance.gaps
    ]


def _missing(
    who: Who, history: History, accepted: Sequence[Accepted], allowance: Allowance
) -> list[str]:
    received = {event.key for event in seen_in(history)}
    missing = [
        event
        for event in accepted
        if event.to.includes(who) and event.key not in received and event.key not in allowance.lost
    ]
    complaints = []
    for event in missing:
        excuse = event.began < allowance.lost_before
        if excuse and _announced(event, history, allowance):
            continue
        why = "no gap in its place" if excuse else "and nothing allows it"
        complaints.append(
            f"missing: {event.key} ({event.id}, {event.status}, by {event.node}), {why}"
        )
    return _shown(complaints)


def _announced(event: Accepted, history: History, allowance: Allowance) -> bool:
    """Whether a gap stands where the event would: between those of its publisher that were
    received before and after it."""
    before, after = -1, len(history)
    for index, item in enumerate(history):
        if isinstance(item, Seen) and item.publisher == event.publisher:
            if item.number < event.number:
                before = index
            elif after == len(history):
                after = index
    return any(
        isinstance(item, Hole) and item.reason in allowance.gaps
        for item in history[before + 1 : after]
    )


def _shown(complaints: list[str]) -> list[str]:
    if len(complaints) <= SHOWN:
        return complaints
    return [*complaints[:SHOWN], f"… and {len(complaints) - SHOWN} more"]
