"""A proxy between a client and a server that does to HTTP what networks do."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: on, no seconds."""

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")


class Network:
    """One request a connection: so it is known what each of them is.

    Attributes:
        url: what to ask in place of the server's streams.
        requests: the first lines of all requests, in order.
        holds_streams: streams are read from the server, and nothing of them is passed on.
        cuts_held_polls: polls that may be held are cut at once. For those that may not, ten seconds
            of rest become a tenth of one.
        cut_stream: draws after how many bytes a stream is cut; None: it is not.
        loses_answers: answers to so many publishes are thrown away, and their connections cut.
        refuses_posts: what is posted fails before it is sent.
    """

    def __init__(self, target: int) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.holds_streams = False
        self.cuts_held_polls = False
        self.cut_stream: Callable[[], int] | None = None
        self.loses_answers = 0
        self.refuses_posts = False
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    def count(self, text: str) -> int:
        """How many requests had this in their first line."""
        return sum(text in line for line in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._pass(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(0 if length is None else int(length[1]))
        line = head.partition(b"\r\n")[0].decode()
        self.requests.append(line)
        is_stream = "/sse?" in line
        is_poll = "/polling?" in line
        posts = line.startswith("POST ")
        if (posts and self.refuses_posts) or (
            is_poll and self.cuts_held_polls and not line.count("wait=0")
        ):
            _reset(writer)
            return
        answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            server.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
            if is_stream:
                await self._pass_stream(reader, answers, writer)
                return
            answer = asyncio.create_task(answers.read())
            gone = asyncio.create_task(reader.read())
            try:
                await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    return
                if posts and "/publish" in line and self.loses_answers > 0:
                    self.loses_answers -= 1
                    _reset(writer)
                    return
                text = answer.result()
                if self.cuts_held_polls:
                    # Of the same length.
                    text = text.replace(b'"nextPollIn":10000', b'"nextPollIn":1e002')
                writer.write(text)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            finally:
                for task in (answer, gone):
                    task.cancel()
                await asyncio.gather(answer, gone, return_exceptions=True)
        finally:
            server.transport.abort()

    async def _pass_stream(
        self,
        reader: asyncio.StreamReader,
        answers: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        left = None if self.cut_stream is None else self.cut_stream()
        holds = self.holds_streams
        gone = asyncio.create_task(reader.read())
        try:
            while True:
                piece = asyncio.create_task(answers.read(65536))
                await asyncio.wait([piece, gone], return_when=asyncio.FIRST_COMPLETED)
                if not piece.done():
                    piece.cancel()
                    return
                data = piece.result()
                if not data:
                    return
                if holds:
                    continue
                writer.write(data if left is None else data[:left])
                await writer.drain()
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        # What was written arrives, and then the connection is lost.
                        writer.close()
                        await writer.wait_closed()
                        return
        finally:
            gone.cancel()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()


@asynccontextmanager
async def network(target: int) -> AsyncIterator[Network]:
    """A network in front of a port, which lets everything pass at first."""
    made = Network(target)
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}/api/sse"
    try:
        yield made
    finally:
        listener.close()
        await made.end()
        await listener.wait_closed()
