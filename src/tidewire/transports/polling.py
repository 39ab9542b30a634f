"""Polling: one function for short and long polls. A poll is a reader that answers at once.

A request reads the log from its cursor until it has what was asked for, or has worked enough;
an answer that would be empty may be held. What is held is a live reader with a bell for a
sink: it rings when there is something to see, and the log is read again from the same cursor.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tidewire.core import notices
from tidewire.core.connections import Connection
from tidewire.core.errors import Draining
from tidewire.core.event import encode_json
from tidewire.core.frame import Control, entry_json
from tidewire.core.keeper import Keeper
from tidewire.core.log import PAGE_BYTES, Entry, Gap
from tidewire.core.position import Cursor, Edge, Since
from tidewire.core.reader import Reader
from tidewire.core.target import Identity
from tidewire.transports.asgi import Receive, until_disconnect
from tidewire.transports.filters import EVERYTHING, Filter

WORK_ENTRIES: Final = 5_000
WORK_BYTES: Final = 4 * 1024 * 1024
WORK_SECONDS: Final = 0.05
"""What one request reads at most, before it answers with what it has."""

REST_MS: Final = 10_000
"""When to poll again after an answer that had all there is, where the client does not wait."""


class PollRequest(NamedTuple):
    """What a poll asks for.

    Attributes:
        since: where to start.
        limit: events at most.
        wait: seconds to hold an answer that would be empty.
        until: where to end, for one who has what comes after it. Reached, the answer has exactly
            this cursor, and is not held.
        filter: which types and topics.
        client_type: what the client calls itself.
        client_info: what else it says of itself.
        instance_id: a tab's own name.
    """

    since: Since = Edge.LATEST
    limit: int = 20
    wait: float = 0
    until: Cursor | None = None
    filter: Filter = EVERYTHING
    client_type: str | None = None
    client_info: str | None = None
    instance_id: str | None = None


class PollAnswer:
    """What a poll found.

    Attributes:
        entries: what the identity may see, oldest first.
        cursor: everything up to here was looked at.
        more: whether the log held more; the client goes on at once.
        gap: what lies before the entries and was missed.
    """

    __slots__ = ("cursor", "entries", "gap", "more")

    def __init__(self, cursor: Cursor, gap: Gap | None) -> None:
        self.cursor = cursor
        self.entries: list[Entry] = []
        self.more = False
        self.gap = gap

    def ends(self, until: Cursor | None) -> bool:
        """Whether it has everything up to there."""
        return until is not None and self.cursor.reaches(until)

    @property
    def empty(self) -> bool:
        return not self.entries and not self.more and self.gap is None


class _BellEncoding:
    """Not bytes for anybody: a sign that there is something to read."""

    __slots__ = ()

    def entry(self, entry: Entry, cursor: str) -> bytes:
        return b"!"

    def control(self, control: Control) -> bytes:
        return b"!" if control.event == "gap" else b""


_BELL: Final = _BellEncoding()


class _Bell:
    """A sink that wakes the poll that holds it."""

    __slots__ = ("_rung", "encoding", "on_room")

    def __init__(self) -> None:
        self.encoding = _BELL
        self.on_room: Callable[[], None] | None = None
        self._rung = asyncio.Event()

    def offer(self, data: bytes) -> bool:
        if not self.room():
            return False
        self.write(data)
        return True

    def write(self, data: bytes) -> None:
        if data:
            self._rung.set()

    def room(self) -> bool:
        return not self._rung.is_set()

    def blocked_since(self) -> float | None:
        return None

    def close(self) -> None:
        self._rung.set()

    def abort(self) -> None:
        self._rung.set()

    async def rung(self) -> None:
        await self._rung.wait()


async def poll(
    keeper: Keeper, identity: Identity, request: PollRequest, receive: Receive
) -> PollAnswer:
    """Answers a poll, now or when there is something to see.

    Raises:
        Forbidden: a topic is not granted.
        RevokedCredential: it was revoked while the poll was held.
        LimitError: the answer would be held, and there is no room for it.
    """
    place = await keeper.hub.locate(request.since)
    answer = PollAnswer(place.cursor, place.gap)
    reader = await _answer(keeper, identity, request, receive, answer)
    keeper.timeline.polled(reader, request.instance_id, place.cursor, answer.cursor, answer.gap)
    return answer


async def _answer(
    keeper: Keeper, identity: Identity, request: PollRequest, receive: Receive, answer: PollAnswer
) -> Reader:
    """Fills an answer. Returns for whom it was read, as they are then."""
    deadline = keeper.clock.monotonic() + request.wait
    while True:
        bell = _Bell()
        reader = Reader(
            identity,
            bell,
            answer.cursor,
            types=request.filter.types,
            topics=request.filter.topics,
        )
        await _collect(keeper, reader, answer, request)
        left = deadline - keeper.clock.monotonic()
        if not answer.empty or left <= 0 or answer.ends(request.until):
            return reader
        try:
            again = await _hold(keeper, reader, bell, request, answer, left, receive)
        except Draining:
            # There is nothing to see, and no time to wait for it here.
            return reader
        if not again:
            return reader


async def _collect(
    keeper: Keeper, reader: Reader, answer: PollAnswer, request: PollRequest
) -> None:
    entries = size = 0
    began = keeper.clock.monotonic()
    while True:
        # Who does not wait may have published a moment ago, and wants to see it.
        page = await keeper.hub.pages.read(answer.cursor, PAGE_BYTES, fresh=not request.wait)
        # A poll may have been held since it was asked; it sees what may be seen now.
        reader.become(keeper.authority.judge(reader.identity))
        if page.gap is not None:
            if answer.entries or answer.gap is not None:
                # Trimmed meanwhile. The next poll, from this cursor, is told.
                answer.more = True
                return
            answer.gap = page.gap
            answer.cursor = answer.cursor.moved(page.start)
        for entry in page.entries:
            if answer.ends(request.until):
                break
            seen = entry.seen_by(answer.cursor)
            if not seen and reader.sees(entry):
                if len(answer.entries) == request.limit:
                    answer.more = True
                    return
                answer.entries.append(entry)
            answer.cursor = entry.pass_by(answer.cursor)
            entries += 1
            size += len(entry.body)
            if entries >= WORK_ENTRIES or size >= WORK_BYTES:
                break
        answer.more = not answer.ends(request.until) and (
            answer.cursor.position.offset < page.head.offset
            or not keeper.hub.has_all(answer.cursor)
        )
        if not answer.more or entries >= WORK_ENTRIES or size >= WORK_BYTES:
            return
        if keeper.clock.monotonic() - began >= WORK_SECONDS:
            return


async def _hold(
    keeper: Keeper,
    reader: Reader,
    bell: _Bell,
    request: PollRequest,
    answer: PollAnswer,
    seconds: float,
    receive: Receive,
) -> bool:
    """Waits for something to see. Moves the answer's cursor over what was not for it; returns
    whether to read again."""
    reader.cursor = answer.cursor
    connection = Connection(
        reader,
        "polling",
        connected_at=keeper.clock.now(),
        opened=keeper.clock.monotonic(),
        client_type=request.client_type,
        client_info=request.client_info,
        instance_id=request.instance_id,
    )
    keeper.admit(connection)
    tasks = [asyncio.create_task(bell.rung()), asyncio.create_task(until_disconnect(receive))]
    try:
        keeper.opened(connection)
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        # The bell itself, and not the task that waits for it: it may have been rung in the very
        # step in which the time was up, and then there is something to read.
        if not done and bell.room():
            answer.cursor = keeper.hub.reached(reader)
        return not bell.room() and not connection.closing
    finally:
        keeper.release(connection)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer_json(
    answer: PollAnswer, request: PollRequest, *, user_id: str, source: str, now: int
) -> bytes:
    """The body of an answer, as the wire contract has it; events as they were encoded once."""
    rest = 0 if answer.more or request.wait else REST_MS
    gap = answer.gap and notices.gap_data(answer.gap)
    head = {"userId": user_id, "timestamp": now, "since": str(request.since)}
    tail: dict[str, Any] = {
        "cursor": str(answer.cursor),
        "hasMore": answer.more,
        "gap": gap,
        "meta": {
            "eventSource": source,
            "filters": request.filter.to_json(),
            "nextPollIn": rest,
            "nextPollRecommended": now + rest,
            "serverTime": notices.iso(now),
        },
    }
    events = b",".join(entry_json(entry) for entry in answer.entries)
    return b'%b,"events":[%b],%b' % (encode_json(head)[:-1], events, encode_json(tail)[1:])
