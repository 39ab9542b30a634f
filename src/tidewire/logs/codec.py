"""An entry as a Redis stream keeps it: a header of routing fields, and the body as it is sent.

A node that relays an entry reads the header alone: ``epoch size number producer accepted type``,
then the targets and the session, divided by control characters that types cannot have and that
names have escaped.
"""

import sys
from typing import Final

from tidewire.core.event import Event
from tidewire.core.log import Entry
from tidewire.core.position import Position
from tidewire.core.target import EVERYONE, Target

_FIELD: Final = "\x1e"
_NAME: Final = "\x1f"
_KINDS: Final = {"u": "users", "r": "roles", "t": "topics"}
_ESCAPES: Final = (("\\", "\\\\"), (_FIELD, "\\e"), (_NAME, "\\f"))


def encode(event: Event) -> bytes:
    """The end of the header of an event, from its type on: what is known before it is accepted."""
    target = event.target
    names = [
        kind + _escape(name)
        for kind, listed in (("u", target.users), ("r", target.roles), ("t", target.topics))
        for name in sorted(listed)
    ]
    return _FIELD.join(
        (
            event.type,
            _NAME.join(names),
            # An empty session is none; the format has no other.
            _escape(event.session_id or ""),
        )
    ).encode()


def decode(id_: bytes, header: bytes, body: bytes) -> Entry:
    """An entry from what a stream holds."""
    ms, _, offset = id_.partition(b"-")
    # A later version may have more to say at the end.
    head, names, session = header.decode().split(_FIELD, 3)[:3]
    epoch, _, number, producer, accepted, type_ = head.split(" ", 5)
    # The same words stand in thousands of entries that are kept.
    return Entry(
        Position(int(ms), int(offset), sys.intern(epoch)),
        sys.intern(type_),
        _target(names) if names else EVERYONE,
        body,
        _unescape(session) if session else None,
        sys.intern(producer),
        int(number),
        None if accepted == "-" else Position.parse(accepted),
    )


def spooled(event: Event, place: Position, *, accepted: Position | None = None) -> Entry:
    """An entry of a spool: it stands at ``place``, whose epoch is the producer.

    Args:
        event: what was accepted.
        place: where it stands.
        accepted: its id, where it has another one than its place.
    """
    return Entry(
        place,
        event.type,
        event.target,
        event.body,
        event.session_id,
        place.epoch,
        place.offset,
        accepted or place,
    )


def _target(names: str) -> Target:
    listed: dict[str, list[str]] = {}
    for name in names.split(_NAME):
        listed.setdefault(_KINDS[name[0]], []).append(_unescape(name[1:]))
    return Target(**{kind: frozenset(found) for kind, found in listed.items()})


def _escape(text: str) -> str:
    for raw, escaped in _ESCAPES:
        text = text.replace(raw, escaped)
    return text


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return "\\".join(
        part.replace("\\f", _NAME).replace("\\e", _FIELD) for part in text.split("\\\\")
    )
