"""An event: frozen, and checked when it is made, so that a bad one cannot exist.

The JSON of an event is made here, once, without ``id`` and ``timestamp``: these exist only
after the log accepted it, and are put in front (`tidewire.core.frame`).
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic_core import PydanticSerializationError, to_jsonable_python

from tidewire.core.errors import EventTooLarge, InvalidEvent
from tidewire.core.target import EVERYONE, Target

Priority: TypeAlias = Literal["low", "normal", "high", "critical"]
"""Information for the reader: it changes neither order nor delivery."""

VERSION: Final = "1.0"
MAX_TYPE_LENGTH: Final = 128
MAX_EVENT_BYTES: Final = 256 * 1024

KNOWN_TYPES: Final = (
    "notification",
    "dashboardUpdate",
    "reportUpdate",
    "userUpdate",
    "systemAlert",
)
RESERVED_TYPES: Final = frozenset(
    {
        "connected",
        "disconnected",
        "disconnecting",
        "ping",
        "gap",
        "authExpiring",
        "error",
        "problem",
        "open",
    }
)

_PRIORITIES: Final = get_args(Priority)
# Controls (CR, LF and NUL among them) would break the SSE block; separators and surrogates
# break clients that split on them or cannot encode them.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})
# Allowed raw in JSON, but some SSE clients split lines on them. Within JSON they can only
# stand in a string, so replacing their UTF-8 bytes is safe.
_LINE_BREAKS: Final = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)


_JSON: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=to_jsonable_python
)


def check_type(name: str) -> str:
    """Returns the name of an event type if it is one.

    Raises:
        InvalidEvent: not 1–128 characters, or with control characters, line separators,
            commas, or spaces at its ends.
    """
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= MAX_TYPE_LENGTH
        or name != name.strip()
        or "," in name
        # What is printable has none of them, and is what nearly all are.
        or (
            not name.isprintable()
            and any(unicodedata.category(char) in _UNSAFE_CATEGORIES for char in name)
        )
    ):
        shown = repr(name[:MAX_TYPE_LENGTH]) if isinstance(name, str) else type(name).__name__
        raise InvalidEvent(
            f"{shown} is not an event type: 1–{MAX_TYPE_LENGTH} characters without control "
            "characters, commas or outer spaces.",
            field="type",
        )
    return name


def encode_json(value: Any) -> bytes:
    """Encodes to one line of JSON that every SSE client reads as one line.

    Takes what JSON has, and what pydantic can turn into it: datetimes, UUIDs, models, ….

    Raises:
        ValueError: NaN or an infinity, a lone surrogate, a cycle, or too deeply nested.
        TypeError: something that is no JSON.
    """
    try:
        text = _JSON.encode(value)
    except (RecursionError, PydanticSerializationError) as error:
        raise ValueError(str(error)) from error
    encoded = text.encode()
    for raw, escaped in _LINE_BREAKS:
        encoded = encoded.replace(raw, escaped)
    return encoded


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for somebody to know.

    ``metadata`` may carry the targets as the wire does (``userIds``, ``roles``, ``topics``),
    or ``target`` names them; not both. After the event is made, ``metadata`` holds only what
    subscribers get. The payload is encoded at once: changing ``data`` later changes nothing.

    Attributes:
        type: 1–128 characters; a known type or a custom name.
        data: the payload, any JSON.
        priority: information for the reader; changes neither order nor delivery.
        source: who made it.
        metadata: ``userId`` (the actor), ``correlationId`` and further keys.
        target: who may see it.
        session_id: ``metadata.sessionId``: stored, never delivered.
        id: given by the log; None until then.
        timestamp: when the log accepted it, Unix milliseconds; None until then.
        body: the delivered JSON after ``id`` and ``timestamp``, without the opening brace.

    Raises:
        InvalidEvent: a rule above is broken; ``extra["field"]`` says where.
        EventTooLarge: more than 256 KiB encoded.
    """

    type: str
    data: Any = None
    priority: Priority = "normal"
    source: str = "server"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    target: Target = EVERYONE
    id: str | None = field(default=None, kw_only=True)
    timestamp: int | None = field(default=None, kw_only=True)
    session_id: str | None = field(init=False, default=None)
    body: bytes = field(init=False, repr=False, compare=False, default=b"")

    def __post_init__(self) -> None:
        if check_type(self.type) in RESERVED_TYPES:
            raise InvalidEvent(
                f"The type {self.type!r} is reserved for the stream itself. Choose another name.",
                field="type",
            )
        if self.priority not in _PRIORITIES:
            raise InvalidEvent(
                f"{self.priority!r} is not a priority: low, normal, high or critical.",
                field="priority",
            )
        if not isinstance(self.source, str) or not 0 < len(self.source) <= MAX_TYPE_LENGTH:
            raise InvalidEvent(
                f"source must be a string of 1–{MAX_TYPE_LENGTH} characters.", field="source"
            )
        self._split_metadata()
        object.__setattr__(self, "body", self._encode())
        if self.size > MAX_EVENT_BYTES:
            raise EventTooLarge(
                f"The event has {self.size} bytes; at most {MAX_EVENT_BYTES} are taken. Publish a "
                "reference and let readers fetch the rest."
            )

    @property
    def size(self) -> int:
        """Bytes that the event counts for, in limits and in the log: its body and its targets."""
        if self.target.everyone:
            return len(self.body)
        targets = (self.target.users, self.target.roles, self.target.topics)
        return len(self.body) + sum(len(name.encode()) for names in targets for name in names)

    def _split_metadata(self) -> None:
        if not isinstance(self.metadata, Mapping):
            raise InvalidEvent("metadata must be an object.", field="metadata")
        metadata = dict(self.metadata)
        if not metadata:
            # As most events that are for everyone.
            object.__setattr__(self, "metadata", metadata)
            return
        if not all(isinstance(key, str) for key in metadata):
            raise InvalidEvent("The keys of metadata must be strings.", field="metadata")
        named = Target.from_metadata(metadata)
        if not named.everyone:
            if not self.target.everyone:
                raise InvalidEvent(
                    "Targets are given twice. Use either 'target' or the keys in metadata.",
                    field="target",
                )
            object.__setattr__(self, "target", named)
        for key in ("userId", "sessionId", "correlationId"):
            if key in metadata and not (isinstance(metadata[key], str) and metadata[key]):
                raise InvalidEvent(
                    f"metadata.{key} must be a string that is not empty.", field=f"metadata.{key}"
                )
        object.__setattr__(self, "session_id", metadata.pop("sessionId", None))
        object.__setattr__(self, "metadata", metadata)

    def _encode(self) -> bytes:
        content: dict[str, Any] = {
            "type": self.type,
            "priority": self.priority,
            "source": self.source,
            "version": VERSION,
            "data": self.data,
        }
        if self.metadata:
            content["metadata"] = self.metadata
        try:
            names = (*self.target.users, *self.target.roles, *self.target.topics)
            "".join((self.session_id or "", *names)).encode()
            return encode_json(content)[1:]
        except (ValueError, TypeError) as error:
            raise InvalidEvent(
                f"The event cannot be written as JSON: {error}.", field="data"
            ) from error
