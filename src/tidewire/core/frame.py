"""An entry of the log or a control event → the bytes that readers get.

SSE framing follows the WHATWG HTML standard, section "Server-sent events". ``id:`` is the last
line of its block: clients that take an id as soon as they read its line would lose the event
if the connection were cut before the data.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from tidewire.core.event import VERSION, encode_json
from tidewire.core.log import Entry


def entry_json(entry: Entry) -> bytes:
    """The delivered JSON of an event: its id and timestamp put before its body."""
    return b'{"id":"%b","timestamp":%d,%b' % (entry.id.encode(), entry.timestamp, entry.body)


class Control(NamedTuple):
    """A control event: an envelope without id, made for one stream and not in the log.

    Attributes:
        event: the SSE name, and with it the handlers that fire in a browser.
        data: the payload.
        timestamp: Unix milliseconds.
        id: the SSE ``id:`` line: the cursor that a reader may come back with, if any.
        retry: the SSE ``retry:`` line, milliseconds.
        type: the JSON type, where it differs from the SSE name.
    """

    event: str
    data: Mapping[str, Any]
    timestamp: int
    id: str | None = None
    retry: int | None = None
    type: str | None = None


class Encoding(Protocol):
    """How one kind of transport writes; readers with the same encoding share bytes."""

    def entry(self, entry: Entry, cursor: str) -> bytes:
        """An entry, and the cursor of a reader who has read it."""
        ...

    def control(self, control: Control) -> bytes: ...


class SSEEncoding:
    """``text/event-stream``; without names every event reaches a browser's ``onmessage``.

    In chunks (RFC 9112 section 7.1) it is what stands on an HTTP/1.1 connection: each block is
    one chunk, so that blocks that were made once can be joined in any number.
    """

    __slots__ = ("_chunked", "_named")

    def __init__(self, *, named: bool, chunked: bool = False) -> None:
        self._named = named
        self._chunked = chunked

    def entry(self, entry: Entry, cursor: str) -> bytes:
        data = entry_json(entry)
        if self._named:
            block = b"event: %b\ndata: %b\nid: %b\n\n" % (
                entry.type.encode(),
                data,
                cursor.encode(),
            )
        else:
            block = b"data: %b\nid: %b\n\n" % (data, cursor.encode())
        return self._framed(block)

    def control(self, control: Control) -> bytes:
        envelope = {
            "type": control.type or control.event,
            "timestamp": control.timestamp,
            "priority": "normal",
            "source": "server",
            "version": VERSION,
            "data": control.data,
        }
        lines = [b"data: " + encode_json(envelope)]
        if self._named:
            lines.insert(0, b"event: " + control.event.encode())
        if control.retry is not None:
            lines.append(b"retry: %d" % control.retry)
        if control.id is not None:
            lines.append(b"id: " + control.id.encode())
        return self._framed(b"\n".join(lines) + b"\n\n")

    def _framed(self, block: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(block), block) if self._chunked else block


NAMED: Final = SSEEncoding(named=True)
UNNAMED: Final = SSEEncoding(named=False)
NAMED_CHUNKS: Final = SSEEncoding(named=True, chunked=True)
UNNAMED_CHUNKS: Final = SSEEncoding(named=False, chunked=True)
