"""The two ways to read: a stream, and a poll. Each tells what comes of it until it has failed or
was answered, and leaves nothing open, also when it is cancelled."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

import httpx

from tidewire.client.failure import Failure, answer_failure, thrown
from tidewire.client.messages import read_answer, read_message
from tidewire.client.model import Answered, Failed, Link, Message, Retry, Signal
from tidewire.client.source import Source
from tidewire.client.sse import NotAStream, Parser

LIMIT: Final = 500
"""Events at most in one answer, as many as the server gives."""

# The connection has times of its own, and knows what is held.
NO_TIMEOUT: Final = httpx.Timeout(None)

Tell: TypeAlias = Callable[[Signal], Awaitable[None]]
"""Takes a signal, and returns when there is room for another."""

Transport: TypeAlias = Callable[[Source, Link, Tell], Awaitable[None]]


async def follow(source: Source, link: Link, tell: Tell) -> None:
    """Reads a stream."""
    try:
        failure = await _follow(source, link, tell)
    except NotAStream as error:
        failure = _no_stream(error)
    except Exception as error:
        # Whatever a library does not make its own error of.
        failure = thrown(error, "NETWORK")
    await tell(Failed(failure))


async def _follow(source: Source, link: Link, tell: Tell) -> Failure:
    params = dict(source.params)
    # What is squeezed together may be held back until there is more of it.
    headers = {**source.request("text/event-stream"), "Accept-Encoding": "identity"}
    if link.cursor is not None:
        headers["Last-Event-ID"] = link.cursor
    elif source.since != "latest":
        params["since"] = source.since
    url = source.endpoints.stream.copy_merge_params(params)
    async with source.http.stream("GET", url, headers=headers, timeout=NO_TIMEOUT) as response:
        if not response.is_success:
            return await answer_failure(response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            return _no_stream(NotAStream("The answer is no stream."))
        parser = Parser()
        async with aclosing(response.aiter_bytes()) as pieces:  # type: ignore[type-var]
            async for data in pieces:
                for block in parser.feed(data):
                    if block.retry is not None:
                        await tell(Retry(block.retry))
                    if block.data is not None:
                        await tell(_message(block.data, block.id))
    return Failure("CLOSED", "The stream ended.")


def _message(text: str, cursor: str | None) -> Message:
    try:
        return Message(read_message(text), cursor or None)
    except ValueError as error:
        raise NotAStream(str(error)) from error


def _no_stream(error: NotAStream) -> Failure:
    return Failure("NOT_A_STREAM", str(error), recovery="fallback_polling", cause=error)


async def poll(source: Source, link: Link, tell: Tell) -> None:
    """Polls once. Whether the answer may be held is the only difference between long and short
    polls."""
    try:
        signal = await _poll(source, link)
    except Exception as error:
        signal = Failed(thrown(error, "NETWORK"))
    await tell(signal)


async def _poll(source: Source, link: Link) -> Signal:
    params = {
        **source.params,
        "since": source.since if link.cursor is None else link.cursor,
        "limit": str(LIMIT),
        "wait": f"{source.hold / 1000 if link.held else 0:g}",
    }
    url = source.endpoints.polling.copy_merge_params(params)
    headers = source.request("application/json")
    async with source.http.stream("GET", url, headers=headers, timeout=NO_TIMEOUT) as response:
        if not response.is_success:
            return Failed(await answer_failure(response))
        await response.aread()
        try:
            return Answered(read_answer(response.text))
        except ValueError as error:
            return Failed(Failure("NOT_AN_ANSWER", str(error), cause=error))
