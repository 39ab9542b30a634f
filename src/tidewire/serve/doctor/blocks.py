"""Blocks of an event stream out of the bytes of an answer, as they come."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

CODED: Final = ("gzip", "deflate")
"""What can be undone here. Of what is coded otherwise it is seen only that something comes."""


@dataclass(frozen=True, slots=True)
class Block:
    """One event.

    Attributes:
        event: its name.
        cursor: its SSE ``id``, if it has one.
        envelope: its JSON; empty if that cannot be read.
        after: seconds since the stream was asked for.
    """

    event: str
    cursor: str | None
    envelope: dict[str, Any]
    after: float

    @property
    def data(self) -> dict[str, Any]:
        """What the envelope carries; empty if that is no object."""
        data = self.envelope.get("data")
        return data if isinstance(data, dict) else {}


class Blocks:
    """Takes bytes, gives blocks (WHATWG HTML, section 9.2.6, as far as our server writes)."""

    def __init__(self, coding: str = "") -> None:
        """``coding``: the Content-Encoding of the answer."""
        # 32: whichever of the two headers it has.
        self._inflate = zlib.decompressobj(32 + zlib.MAX_WBITS) if coding in CODED else None
        self._rest = b""

    def feed(self, data: bytes, after: float) -> Iterator[Block]:
        """The blocks that end in these bytes; ``after`` as in `Block`."""
        if self._inflate is not None:
            try:
                data = self._inflate.decompress(data)
            except zlib.error:
                return
        *whole, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for raw in whole:
            block = _block(raw.decode(errors="replace"), after)
            if block is not None:
                yield block


def _block(text: str, after: float) -> Block | None:
    fields: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    if "data" not in fields:
        return None
    try:
        envelope = json.loads("\n".join(fields["data"]))
    except ValueError:
        envelope = None
    event = fields.get("event", ["message"])[-1]
    cursor = fields.get("id", [""])[-1] or None
    return Block(event, cursor, envelope if isinstance(envelope, dict) else {}, after)
