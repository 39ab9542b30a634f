"""JSON that people write: on the command line, and by lines on standard input."""

import os
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json

from tidewire.core.errors import EventTooLarge, InvalidBody
from tidewire.core.event import MAX_EVENT_BYTES

READ_BYTES: Final = 256 * 1024

MAX_LINE_BYTES: Final = 8 * MAX_EVENT_BYTES
"""No event is that long, also where six bytes stand for each of its characters."""


def parse_json(text: str | bytes, where: str) -> Any:
    """One value, as the server would read it; bytes are UTF-8, with or without its mark.

    Raises:
        InvalidBody: it is none; the error says where it stood.
    """
    try:
        # Bytes of the command line that are no text come as lone surrogates.
        given = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        return from_json(given.decode("utf-8-sig"))
    except UnicodeError as error:
        raise InvalidBody(f"{where} is not UTF-8: {error}.") from None
    except ValueError as error:
        raise InvalidBody(
            f"{where} is not JSON: {error}. A string needs its quotes, as in '\"hello\"'."
        ) from None


def lines(descriptor: int) -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, as they come: as many as can be read at once, without waiting for
    more. Empty ones are left out.

    Raises:
        EventTooLarge: a line is longer than any event; it is not read to its end.
    """
    count = 0
    rest = bytearray()
    while chunk := os.read(descriptor, READ_BYTES):
        *whole, last = chunk.split(b"\n")
        if whole:
            whole[0] = bytes(rest) + whole[0]
            rest.clear()
            yield _numbered(whole, count + 1)
            count += len(whole)
        rest += last
        if len(rest) > MAX_LINE_BYTES:
            raise EventTooLarge(
                f"Line {count + 1} has more than {MAX_LINE_BYTES} bytes, and an event has at most "
                f"{MAX_EVENT_BYTES}. Each line is one."
            )
    yield _numbered([bytes(rest)], count + 1)


def _numbered(whole: list[bytes], first: int) -> list[tuple[int, bytes]]:
    return [(number, line) for number, line in enumerate(whole, first) if line.strip()]
