"""Why somebody got an event, or did not: from what is recorded of their connections. No I/O.

A *session* is one stream from its opening to its end, or one answer to a poll. Where it began and
where it ended says what it passed by; whom it was for then says what was written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tidewire.core.errors import InvalidCursor
from tidewire.core.log import Entry
from tidewire.core.position import Cursor, Position, Since, parse_since
from tidewire.core.target import Identity

Verdict: TypeAlias = Literal[
    "confirmed",
    "written",
    "behind",
    "notTarget",
    "filteredByType",
    "notSubscribed",
    "notConnected",
    "startedLater",
    "gapTold",
    "trimmed",
    "unknownEvent",
    "unknown",
]

DELIVERED: Final[Mapping[Verdict, bool | None]] = {
    "confirmed": True,
    "written": True,
    "behind": False,
    "notTarget": False,
    "filteredByType": False,
    "notSubscribed": False,
    "notConnected": False,
    "startedLater": False,
    "gapTold": False,
    "trimmed": None,
    "unknownEvent": None,
    "unknown": None,
}
"""Whether the event was written to the user, by verdict; None where nobody knows."""

REASONS: Final[Mapping[Verdict, str]] = {
    "confirmed": "It was written, and the client came back with a cursor behind it.",
    "written": "It was written to a stream, or in the answer to a poll.",
    "behind": "A stream is open, and has yet to be written so far.",
    "notTarget": "It is not for this user.",
    "filteredByType": "The client asked for other types.",
    "notSubscribed": "It is for a topic that the client did not subscribe to.",
    "notConnected": "The user was not connected, and has not polled since.",
    "startedLater": "The client connected later, and without a cursor before it.",
    "gapTold": "The client was told, by a gap, that it missed it.",
    "trimmed": "The log has trimmed it, so whom it was for is not known any more.",
    "unknownEvent": "The log holds no such event, and never did as far as it knows.",
    "unknown": "Nobody who is still there remembers enough to say.",
}

_ORDER: Final[tuple[Verdict, ...]] = (
    "written",
    "gapTold",
    "unknown",
    "behind",
    "filteredByType",
    "notSubscribed",
    "notTarget",
    "startedLater",
)
"""Of what several sessions show, the first of these counts."""


class Scope(NamedTuple):
    """Who a client was, and what it wanted.

    Attributes:
        identity: with the topics that were subscribed.
        types: the event types; empty = all.
    """

    identity: Identity
    types: frozenset[str]

    def to_json(self) -> dict[str, list[str]]:
        return {
            "roles": sorted(self.identity.roles),
            "topics": sorted(self.identity.topics),
            "types": sorted(self.types),
        }

    @classmethod
    def from_json(cls, user_id: str, told: Mapping[str, list[str]]) -> "Scope":
        roles, topics, types = (frozenset(told[name]) for name in ("roles", "topics", "types"))
        return cls(Identity(user_id, roles, topics=topics), types)


class Sighting(NamedTuple):
    """A record, as far as it matters here. Attributes as of `tidewire.core.recorder.Record`.

    Attributes:
        scope: who the client was; None where all clients of the node are meant.
        told: the record as administrators see it.
    """

    timestamp: int
    what: str
    client_id: str
    cursor: Cursor | None
    since: str | None
    scope: Scope | None
    told: Mapping[str, Any]


class Live(NamedTuple):
    """A stream or held poll that is open now.

    Attributes:
        client_id: which.
        opened_at: Unix milliseconds.
        cursor: up to where it was served.
        scope: who the client is.
    """

    client_id: str
    opened_at: int
    cursor: Cursor
    scope: Scope


class Memory(NamedTuple):
    """What one node remembers of a user.

    Attributes:
        since: from when on it has everything, Unix milliseconds.
        sightings: oldest first.
        live: what is open.
    """

    since: int
    sightings: Sequence[Sighting]
    live: Sequence[Live]


class Subject(NamedTuple):
    """The event in question.

    Attributes:
        id: its id.
        entry: the event; None if it was not found.
        floor: from where on the log has everything.
        head: how far it reaches.
    """

    id: Position
    entry: Entry | None
    floor: Position
    head: Position

    @property
    def offset(self) -> int:
        """Where it stands in the order of the log."""
        return (self.id if self.entry is None else self.entry.position).offset

    @property
    def trimmed(self) -> bool:
        """Whether it was there, and is not any more."""
        if self.entry is not None:
            return False
        if self.id.epoch == self.floor.epoch:
            return self.id.offset <= self.floor.offset
        return self.id.epoch != self.head.epoch and self.id.ms <= self.floor.ms

    def passed(self, cursor: Cursor) -> bool:
        """Whether a reader at this cursor has passed it by."""
        entry = self.entry
        if (entry is None or entry.in_log) and cursor.position.offset >= self.offset:
            return True
        return entry is not None and entry.seen_by(cursor)


class Explanation(NamedTuple):
    """What became of the event.

    Attributes:
        verdict: in a word.
        reason: in a sentence.
        delivered: whether it was written; None where nobody knows.
        evidence: the records that show it, oldest first.
    """

    verdict: Verdict
    reason: str
    delivered: bool | None
    evidence: list[Mapping[str, Any]]


class _Session(NamedTuple):
    """One stream, or one poll. ``start`` is None where its opening is forgotten; it may have been
    ``brought`` by the client."""

    opened_at: int
    start: Cursor | None
    end: Cursor
    is_open: bool
    scopes: Sequence[tuple[int, Scope]]
    gaps: Sequence[Sighting]
    sightings: Sequence[Sighting]

    @property
    def brought(self) -> bool:
        return bool(self.sightings) and self.sightings[0].what in ("resumed", "polled")


def explain(subject: Subject, user: str, memories: Iterable[Memory]) -> Explanation:
    """Says what became of an event for a user.

    Args:
        subject: the event.
        user: whose.
        memories: what each node remembers; of a node that did not answer one of now, without
            anything in it, and of one that is gone one of when it went.
    """
    kept = list(memories)
    sessions = [session for memory in kept for session in _sessions(memory)]
    if subject.entry is None:
        return _without_entry(subject, sessions)
    found = [(_seen(subject, subject.entry, session, sessions), session) for session in sessions]
    for verdict in _ORDER:
        of = [session for one, session in found if one == verdict]
        if of:
            break
    else:
        return _not_connected(subject, subject.entry, user, kept)
    if verdict == "written":
        first = min(session.opened_at for session in of)
        again = [each for each in sessions if _comes_back(subject, each, first)]
        if again:
            return _told("confirmed", [*of, *again])
    if verdict == "startedLater" and _forgotten(subject.entry, kept):
        return _told("unknown", of)
    return _told(verdict, of)


def _told(verdict: Verdict, sessions: Iterable[_Session]) -> Explanation:
    unique = {id(each.told): each for session in sessions for each in session.sightings}
    evidence = [each.told for each in sorted(unique.values(), key=lambda one: one.timestamp)]
    return Explanation(verdict, REASONS[verdict], DELIVERED[verdict], evidence)


def _without_entry(subject: Subject, sessions: Sequence[_Session]) -> Explanation:
    if not subject.trimmed:
        return _told("unknownEvent", ())
    told = [session for session in sessions if _gap_over(subject, session)]
    return _told("gapTold" if told else "trimmed", told)


def _not_connected(
    subject: Subject, entry: Entry, user: str, memories: Sequence[Memory]
) -> Explanation:
    target = entry.target
    by_name = target.users and not (target.roles or target.topics)
    if by_name and user not in target.users:
        return _told("notTarget", ())
    return _told("unknown" if _forgotten(entry, memories) else "notConnected", ())


def _forgotten(entry: Entry, memories: Sequence[Memory]) -> bool:
    """Whether something may have happened that no node remembers."""
    return any(memory.since > entry.timestamp for memory in memories)


def _seen(
    subject: Subject, entry: Entry, session: _Session, sessions: Sequence[_Session]
) -> Verdict | None:
    """What one session shows; None if it ended before the event."""
    missed, passed = _gap_over(subject, session), subject.passed(session.end)
    if not (missed or passed or session.is_open):
        return None
    scope = _scope_at(session, entry.timestamp)
    if scope is not None and not entry.target.includes(scope.identity):
        return "notSubscribed" if entry.target.topics else "notTarget"
    if scope is not None and scope.types and entry.type not in scope.types:
        return "filteredByType"
    if missed:
        return "gapTold"
    if not passed:
        return "behind"
    started_later = (
        session.opened_at > entry.timestamp
        if session.start is None
        else subject.passed(session.start)
    )
    if not started_later:
        return "written"
    # Where its cursor is from nobody knows: from one that read the event, perhaps.
    is_strange = session.brought and not any(_leads_to(each, session) for each in sessions)
    return "unknown" if is_strange else "startedLater"


def _leads_to(earlier: _Session, session: _Session) -> bool:
    """Whether a client may have the cursor with which a session begins from an earlier one."""
    if earlier is session or session.start is None or earlier.opened_at > session.opened_at:
        return False
    begin, offset = earlier.start, session.start.position.offset
    return earlier.end.position.offset >= offset and (
        begin is None or begin.position.offset < offset or not earlier.brought
    )


def _scope_at(session: _Session, timestamp: int) -> Scope | None:
    """Who the client was then; or at first, where that was later."""
    found: Scope | None = None
    for at, scope in session.scopes:
        if found is None or at <= timestamp:
            found = scope
    return found


def _comes_back(subject: Subject, session: _Session, first: int) -> bool:
    """Whether a session begins with a cursor that says that the event was read."""
    return (
        session.brought
        and session.opened_at >= first
        and session.start is not None
        and subject.passed(session.start)
    )


def _gap_over(subject: Subject, session: _Session) -> bool:
    return any(_missed(subject, gap) for gap in session.gaps)


def _missed(subject: Subject, gap: Sighting) -> bool:
    if gap.cursor is None or gap.cursor.position.offset < subject.offset:
        return False
    try:
        since: Since = parse_since(gap.since or "")
    except InvalidCursor:
        return False
    if isinstance(since, Cursor):
        return since.position.offset < subject.offset
    return isinstance(since, int) and since <= subject.id.ms


def _sessions(memory: Memory) -> Iterable[_Session]:
    streams: dict[str, list[Sighting]] = {}
    for_all: list[Sighting] = []
    gaps: list[Sighting] = []
    for sighting in memory.sightings:
        if sighting.scope is None:
            for_all.append(sighting)
        elif sighting.what == "polled":
            yield from _poll(sighting, sighting.scope, gaps)
            gaps = []
        elif sighting.what == "gap" and _is_of_poll(sighting, memory):
            gaps = [sighting]
        else:
            streams.setdefault(sighting.client_id, []).append(sighting)
    live = {each.client_id: each for each in memory.live}
    for client_id in {**streams, **live}:
        session = _stream(streams.get(client_id, []), live.get(client_id), for_all)
        if session is not None:
            yield session


def _is_of_poll(gap: Sighting, memory: Memory) -> bool:
    return not any(
        each.client_id == gap.client_id and each.what in ("opened", "resumed", "closing", "closed")
        for each in memory.sightings
    ) and all(each.client_id != gap.client_id for each in memory.live)


def _poll(polled: Sighting, scope: Scope, gaps: Sequence[Sighting]) -> Iterable[_Session]:
    if polled.cursor is None or polled.since is None:
        return
    start = Cursor.parse(polled.since)
    scopes = [(polled.timestamp, scope)]
    yield _Session(polled.timestamp, start, polled.cursor, False, scopes, gaps, [polled, *gaps])


def _stream(
    sightings: list[Sighting], live: Live | None, for_all: Sequence[Sighting]
) -> _Session | None:
    opening = next((each for each in sightings if each.what in ("opened", "resumed")), None)
    scopes = [(each.timestamp, each.scope) for each in sightings if each.scope is not None]
    if live is not None:
        end, is_open = live.cursor, True
        opened_at = live.opened_at if opening is None else opening.timestamp
        scopes = scopes or [(live.opened_at, live.scope)]
        closed_at = None
    else:
        stood = [each for each in sightings if each.cursor is not None]
        if not stood or stood[-1].cursor is None:
            return None
        end, is_open = stood[-1].cursor, False
        opened_at = (opening or sightings[0]).timestamp
        closed_at = sightings[-1].timestamp
    shared = [
        each
        for each in for_all
        if each.timestamp >= opened_at and (closed_at is None or each.timestamp <= closed_at)
    ]
    gaps = [each for each in sightings if each.what == "gap"] + shared
    start = None if opening is None else opening.cursor
    return _Session(opened_at, start, end, is_open, scopes, gaps, [*sightings, *shared])
