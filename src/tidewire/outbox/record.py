"""An event as text, as the table keeps it: the JSON of one to be published over HTTP."""

import json
from typing import Any, Final

from tidewire.core.errors import InvalidEvent
from tidewire.core.event import Event, encode_json

_FIELDS: Final = frozenset({"type", "data", "priority", "source", "metadata"})


def encode(event: Event) -> str:
    """An event as text.

    Raises:
        ValueError: it has an id already: a log has accepted it.
    """
    if event.id is not None:
        raise ValueError("an event that is in a log already cannot be published again")
    content: dict[str, Any] = json.loads(b"{" + event.body)
    del content["version"]
    metadata = {**content.get("metadata", {}), **event.target.to_metadata()}
    if event.session_id is not None:
        metadata["sessionId"] = event.session_id
    return encode_json({**content, "metadata": metadata} if metadata else content).decode()


def decode(text: str) -> Event:
    """The event that was encoded. Text that something else has written is checked as well.

    Raises:
        InvalidEvent: it is not the JSON of an event.
        EventTooLarge: it is over the limit of one.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"This is not JSON: {error}.") from error
    if not isinstance(content, dict) or "type" not in content:
        raise InvalidEvent("An event is an object with a type.")
    unknown = content.keys() - _FIELDS
    if unknown:
        raise InvalidEvent(f"{min(unknown)!r} is no field of an event that is to be published.")
    return Event(**content)
