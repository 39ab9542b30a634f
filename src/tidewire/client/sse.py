"""Bytes of a stream → its messages, as the WHATWG HTML standard reads them ("Server-sent events").

It works on bytes: lines end with CR LF, LF or CR and with nothing else, whatever Unicode says of
U+2028 and U+0085, and a character that the network cut in two is whole again before it is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MAX_BYTES: Final = 8 * 1024 * 1024
"""A message that is longer is none of ours: an event has at most 256 KiB."""

MAX_DIGITS: Final = 15
"""Of a ``retry:`` line."""

_BOM: Final = b"\xef\xbb\xbf"


class NotAStream(ValueError):
    """What comes is no stream of events."""


@dataclass(frozen=True, slots=True)
class Block:
    """One message, or only what it says of the time to come back.

    Attributes:
        data: its text; None if it has none.
        id: its ``id:`` line; None if it has none.
        event: its name.
        retry: its ``retry:`` line, milliseconds; None if it has none.
    """

    data: str | None
    id: str | None = None
    event: str = "message"
    retry: int | None = None


@dataclass(slots=True)
class Parser:
    """Takes bytes in pieces of any size. What was cut before its end is never given out."""

    _line: bytearray = field(default_factory=bytearray)
    _fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    _size: int = 0
    _at_start: bool = True
    _after_cr: bool = False

    def feed(self, data: bytes) -> Iterator[Block]:
        """Yields what is complete. Read it to its end before more is fed.

        Raises:
            NotAStream: a message is too long.
        """
        for line in self._lines(data):
            if line:
                self._take(line)
            elif self._fields:
                block = self._block()
                if block is not None:
                    yield block
        if self._size + len(self._line) > MAX_BYTES:
            raise NotAStream(f"A message has more than {MAX_BYTES} bytes.")

    def _lines(self, data: bytes) -> Iterator[bytes]:
        if self._after_cr and data:
            # It ended a line already, alone or with this.
            data = data.removeprefix(b"\n")
            self._after_cr = False
        begin = 0
        # The one is rare, and to look for it in each line is not free.
        has_cr = b"\r" in data
        while begin < len(data):
            end = data.find(b"\n", begin)
            after = end + 1
            if has_cr:
                cr = data.find(b"\r", begin, None if end < 0 else end)
                if cr >= 0:
                    end = cr
                    after = cr + (2 if data[cr + 1 : cr + 2] == b"\n" else 1)
                    self._after_cr = after == cr + 1 == len(data)
            if end < 0:
                self._line += data[begin:]
                return
            line = data[begin:end]
            begin = after
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            yield line

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name:
            self._size += len(line)
            self._fields.append((name, value.removeprefix(b" ")))

    def _block(self) -> Block | None:
        data: list[bytes] = []
        id_: str | None = None
        event, retry = "", None
        for name, value in self._fields:
            if name == b"data":
                data.append(value)
            elif name == b"id" and b"\0" not in value:
                id_ = value.decode(errors="replace")
            elif name == b"event":
                event = value.decode(errors="replace")
            elif name == b"retry" and value.isdigit() and len(value) <= MAX_DIGITS:
                retry = int(value)
        self._fields = []
        self._size = 0
        if not data and retry is None:
            return None
        text = b"\n".join(data).decode(errors="replace") if data else None
        return Block(text, id_, event or "message", retry)
