"""What arrives: events of the log, control events beside them, and answers to polls.

Times are Unix milliseconds. What is read here may come from a newer server, or from something in
between that is none; so what is needed is looked at, and what is not known is kept in ``raw``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event of the log, as subscribers get it.

    Attributes:
        id: its identity: unique, and never changed.
        type: a known type or a custom name.
        data: the payload.
        timestamp: when it was accepted.
        priority: information for the reader.
        source: who made it.
        version: of the format.
        metadata: what the publisher put there, without targets.
        raw: the JSON as it came.
    """

    id: str
    type: str
    data: Any = None
    timestamp: int = 0
    priority: str = "normal"
    source: str = "server"
    version: str = "1.0"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole: what lies in ``(from_, to]`` was missed. Fetch anew what depends on it.

    Attributes:
        from_: the cursor that was asked with.
        to: where reading goes on.
        reason: ``expired``, ``epoch``, ``future`` or ``replayLimit``.
        raw: the control event as it came; empty where a poll told it.
    """

    from_: str
    to: str
    reason: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Control:
    """What a stream says beside the events of the log, and the client of itself.

    Attributes:
        type: ``connected``, ``ping``, ``gap``, ``authExpiring``, ``error``, ``disconnecting``;
            ``disconnected`` (``reason``, ``willReconnect``, ``nextIn`` in ms) is the client's own.
        data: what goes with it.
        raw: the JSON as it came; empty for the client's own.
    """

    type: str
    data: Mapping[str, Any]
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


Item: TypeAlias = Envelope | Gap | Control
"""What one reads, in the order in which it happened."""


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """The events after a cursor, and what to ask with next.

    Attributes:
        events: oldest first.
        cursor: everything up to here was looked at.
        has_more: whether to go on at once.
        gap: what was missed before the events.
        next_poll_in: milliseconds until the next poll.
    """

    events: tuple[Envelope, ...]
    cursor: str
    has_more: bool = False
    gap: Gap | None = None
    next_poll_in: float = 0


def read_message(text: str) -> Envelope | Control:
    """One message of a stream. Events of the log have an id, control events have none.

    Raises:
        ValueError: it is neither.
    """
    try:
        value = json.loads(text)
        if "id" in value:
            return _envelope(value)
        control = Control(value["type"], value["data"], value)
        _check(control)
        return control
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"A message is no event: {error!r}.") from error


def read_answer(text: str) -> PollAnswer:
    """The answer to a poll.

    Raises:
        ValueError: it is none. Some proxies answer for others, with a page and a 200.
    """
    try:
        body = json.loads(text)
        gap = body["gap"]
        next_poll_in = body["meta"]["nextPollIn"]
        if not (isinstance(body["cursor"], str) and next_poll_in >= 0):
            raise TypeError("cursor or nextPollIn")
        return PollAnswer(
            tuple(_envelope(event) for event in body["events"]),
            body["cursor"],
            bool(body["hasMore"]),
            None if gap is None else gap_of(gap),
            next_poll_in,
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"The answer is none to a poll: {error!r}.") from error


def gap_of(data: Mapping[str, Any], raw: Mapping[str, Any] | None = None) -> Gap:
    """A gap, as streams and answers to polls tell it."""
    gap = Gap(data["from"], data["to"], data["reason"], raw or {})
    if not all(isinstance(text, str) for text in (gap.from_, gap.to, gap.reason)):
        raise TypeError("a gap of other types")
    return gap


def _envelope(value: Mapping[str, Any]) -> Envelope:
    event = Envelope(
        value["id"],
        value["type"],
        value.get("data"),
        value.get("timestamp", 0),
        value.get("priority", "normal"),
        value.get("source", "server"),
        value.get("version", "1.0"),
        value.get("metadata") or {},
        value,
    )
    if not (isinstance(event.id, str) and isinstance(event.type, str)):
        raise TypeError("an id or a type that is no text")
    return event


def _check(control: Control) -> None:
    """Looks at what the client acts upon."""
    data = control.data
    if not isinstance(control.type, str) or not isinstance(data, Mapping):
        raise TypeError("a control event without a type or data")
    match control.type:
        case "connected":
            if not (isinstance(data["clientId"], str) and data["serverInfo"]["pingInterval"] > 0):
                raise TypeError("connected")
        case "gap":
            gap_of(data)
        case "error":
            if not (isinstance(data["code"], str) and isinstance(data["recovery"], str)):
                raise TypeError("error")
        case "disconnecting":
            after = data["reconnectAfter"]
            if not (isinstance(data["reason"], str) and (after is None or after >= 0)):
                raise TypeError("disconnecting")
