"""`tidewire publish`: one event from the command line, or many from standard input."""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import httpx

from tidewire.client.errors import Refused
from tidewire.client.failure import problem_of
from tidewire.core.errors import InvalidBody

MAX_BATCH: Final = 500
READ_BYTES: Final = 256 * 1024
ATTEMPTS: Final = 5


def parse_json(text: str, where: str) -> Any:
    """JSON from the command line.

    Raises:
        InvalidBody: it is none; the error says where it stood.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidBody(
            f"{where} is not JSON: {error}. A string needs its quotes, as in '\"hello\"'."
        ) from None


def lines(descriptor: int) -> Iterator[list[str]]:
    """Lines as they come: as many as can be read at once, without waiting for more."""
    rest = b""
    while chunk := os.read(descriptor, READ_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            yield [line.decode() for line in whole if line.strip()]
    if rest.strip():
        yield [rest.decode()]


def batches(events: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(events), MAX_BATCH):
        yield events[begin : begin + MAX_BATCH]


def publish(
    http: httpx.Client,
    events: Sequence[Any],
    *,
    on_retry: Callable[[str, float], None] | None = None,
) -> list[str]:
    """Publishes events and returns their ids. What fails on the way is sent again under the
    same idempotency key, so that nothing is published twice.

    Raises:
        Refused: the server does not take them.
        httpx.TransportError: the server cannot be reached.
    """
    key = secrets.token_hex(16)
    for attempt in range(ATTEMPTS):
        last = attempt == ATTEMPTS - 1
        try:
            response = http.post(
                "/api/realtime/publish",
                json={"events": list(events)},
                headers={"Idempotency-Key": key},
            )
        except httpx.TransportError as error:
            if last:
                raise
            reason = str(error)
        else:
            if response.is_success:
                return list(response.json()["ids"])
            problem = problem_of(response)
            if last or not problem.get("retryable"):
                raise Refused(problem, response.status_code)
            reason = str(problem.get("detail"))
        delay = 0.2 * 2**attempt
        if on_retry is not None:
            on_retry(reason, delay)
        time.sleep(delay)
    raise AssertionError("the last attempt returns or raises")
