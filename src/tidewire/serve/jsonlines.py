"""JSON that people write: on the command line, and by lines on standard input."""

import json
import os
from collections.abc import Iterator
from typing import Any, Final

from tidewire.core.errors import InvalidBody

READ_BYTES: Final = 256 * 1024


def parse_json(text: str | bytes, where: str) -> Any:
    """One value.

    Raises:
        InvalidBody: it is none; the error says where it stood.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidBody(
            f"{where} is not JSON: {error}. A string needs its quotes, as in '\"hello\"'."
        ) from None


def lines(descriptor: int) -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, as they come: as many as can be read at once, without waiting for
    more. Empty ones are left out."""
    count = 0
    rest = b""
    while chunk := os.read(descriptor, READ_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            yield _numbered(whole, count + 1)
            count += len(whole)
    yield _numbered([rest], count + 1)


def _numbered(whole: list[bytes], first: int) -> list[tuple[int, bytes]]:
    return [(number, line) for number, line in enumerate(whole, first) if line.strip()]
