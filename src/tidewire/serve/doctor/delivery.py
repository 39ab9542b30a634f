"""Whether an event arrives: by a stream, by polling, after a cut, and only where it may."""

import secrets
from dataclasses import dataclass, replace
from typing import Final

from tidewire.serve.doctor import mends
from tidewire.serve.doctor.authentication import CURSOR
from tidewire.serve.doctor.blocks import Block
from tidewire.serve.doctor.credential import Credential
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped
from tidewire.serve.doctor.streams import is_limited
from tidewire.serve.doctor.wire import Answer, NoAnswer, Stream, Watch, Wire

PUBLISH: Final = "delivery.publish"
STREAM: Final = "delivery.stream"
POLLING: Final = "delivery.polling"
TARGETS: Final = "delivery.targets"
RESUME: Final = "delivery.resume"

TEST: Final = "/api/realtime/test"
POLL: Final = "/api/realtime/polling"
TYPE: Final = "tidewire.doctor"
"""Of the events that are published: for the one who asks, or for nobody."""

ARRIVE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a few events.

    Attributes:
        start: the answer that told where the log stood before; the others only if it is good.
        others: to publishing for a user that there is not; None: it was not tried.
        own: to publishing for the one who asks.
        streamed: the stream that was open meanwhile; None: streams do not work here.
        streamed_ms: milliseconds from publishing to the stream; None: it did not come.
        polled: the poll after it; None: it had no answer.
        second: to publishing while no stream was open.
        resumed: the stream that then came with its cursor in the header.
        by_query: the one with its cursor in the query, where the first did not resume.
    """

    start: Answer
    others: Answer | None = None
    own: Answer | None = None
    streamed: Watch | None = None
    streamed_ms: int | None = None
    polled: Answer | None = None
    second: Answer | None = None
    resumed: Watch | None = None
    by_query: Watch | None = None

    @property
    def own_id(self) -> str | None:
        """The id of the event for the one who asks."""
        return _id(self.own)


async def try_out(
    wire: Wire, credential: Credential, *, streams_work: bool, timeout: float
) -> Delivery:
    """Publishes a few events, for the one who asks and for a user that there is not, and looks
    who gets them.

    Args:
        wire: to the deployment.
        credential: of the one who asks.
        streams_work: whether to wait for streams at all.
        timeout: seconds that each wait may take.

    Raises:
        NoAnswer: to a request other than a poll there was no answer.
    """
    patience = min(ARRIVE_SECONDS, timeout)
    start = await wire.ask("GET", CURSOR, credential)
    seen = Delivery(start)
    since = start.json.get("cursor")
    if start.status != 200 or not isinstance(since, str):
        return seen
    if not streams_work:
        others = await _publish(wire, credential, _nobody())
        own = await _publish(wire, credential, None)
        return replace(seen, others=others, own=own, polled=await _poll(wire, credential, since))
    async with wire.stream(credential, params={"types": TYPE, "since": since}) as stream:
        await stream.until(lambda block: block.event == "connected", patience)
        others = await _publish(wire, credential, _nobody())
        began = stream.watch.waited
        own = await _publish(wire, credential, None)
        block = await _arrived(stream, _id(own), patience)
        seen = replace(
            seen,
            others=others,
            own=own,
            streamed=stream.watch,
            streamed_ms=None if block is None else max(0, round((block.after - began) * 1000)),
            polled=await _poll(wire, credential, since),
        )
    if block is None or block.cursor is None:
        return seen
    second = await _publish(wire, credential, None)
    seen = replace(seen, second=second)
    if _id(second) is None:
        return seen
    header = {"last-event-id": block.cursor}
    async with wire.stream(credential, params={"types": TYPE}, headers=header) as stream:
        await _resumed(stream, _id(second), patience)
        seen = replace(seen, resumed=stream.watch)
    if _did_resume(stream.watch):
        return seen
    query = {"types": TYPE, "lastEventId": block.cursor}
    async with wire.stream(credential, params=query) as stream:
        await _resumed(stream, _id(second), patience)
        return replace(seen, by_query=stream.watch)


def _nobody() -> str:
    # A name that nobody has: what is published for it reaches nobody.
    return f"tidewire-doctor-{secrets.token_hex(8)}"


async def _poll(wire: Wire, credential: Credential, since: str) -> Answer | None:
    try:
        return await wire.ask("GET", POLL, credential, params={"types": TYPE, "since": since})
    except NoAnswer:
        return None


async def _publish(wire: Wire, credential: Credential, user: str | None) -> Answer:
    target = {} if user is None else {"targetValue": user}
    body = {"type": TYPE, "message": "tidewire doctor was here", "priority": "low", **target}
    return await wire.ask("POST", TEST, credential, body=body)


async def _arrived(stream: Stream, event_id: str | None, patience: float) -> Block | None:
    if event_id is None:
        return None
    until = stream.watch.waited + patience
    return await stream.until(lambda block: block.envelope.get("id") == event_id, until)


async def _resumed(stream: Stream, event_id: str | None, patience: float) -> None:
    await stream.until(lambda block: block.event == "connected", patience)
    if _did_resume(stream.watch):
        await _arrived(stream, event_id, patience)


def _did_resume(watch: Watch) -> bool:
    return watch.connected is not None and watch.connected.data.get("resumed") is True


def _id(answer: Answer | None) -> str | None:
    told = None if answer is None or answer.status != 200 else answer.json.get("eventId")
    return told if isinstance(told, str) else None


def _ids(seen: Delivery) -> list[str]:
    events = None if seen.polled is None else seen.polled.json.get("events")
    if not isinstance(events, list):
        return []
    return [str(event.get("id")) for event in events if isinstance(event, dict)]


def judge(seen: Delivery, *, streams_work: bool) -> list[Finding]:
    """All checks of delivery."""
    published = _published(seen)
    if published.status != "pass":
        reason = f"Nothing was published: see {PUBLISH}."
        rest = [skipped(name, reason) for name in (STREAM, POLLING, TARGETS, RESUME)]
        return [published, *rest]
    return [
        published,
        _streamed(seen, streams_work=streams_work),
        _polled(seen),
        _targets(seen),
        _resume(seen),
    ]


def _published(seen: Delivery) -> Finding:
    answer = seen.own or seen.start
    if seen.own_id is not None and seen.own is not None:
        return passed(PUBLISH, f"An event is accepted after {seen.own.ms} ms.", {"ms": seen.own.ms})
    if answer.status == 429:
        return skipped(PUBLISH, "Publishing was refused, with 429: see limits.rates.")
    return failed(
        PUBLISH,
        f"An event for oneself is not accepted: {answer.told}",
        "If it is no problem of Tidewire's that stands there, the proxy refuses POST on /api/. "
        "nginx: no `limit_except GET`.",
        {"status": answer.status},
    )


def _streamed(seen: Delivery, *, streams_work: bool) -> Finding:
    watch = seen.streamed
    if not streams_work or watch is None:
        return skipped(STREAM, "Streams do not open here.")
    if is_limited(watch):
        return skipped(STREAM, "The stream was refused, with 429: see limits.rates.")
    if seen.streamed_ms is not None:
        return passed(
            STREAM,
            f"An event reaches a stream {seen.streamed_ms} ms after publishing began.",
            {"ms": seen.streamed_ms},
        )
    return failed(
        STREAM,
        f"A stream opened, and an event that was published did not reach it within "
        f"{ARRIVE_SECONDS:.0f} s.",
        f"If it opens and then is silent, it is held back.\n{mends.BUFFERING}\nIf several servers "
        "answer here, they must share a log: see nodes.log.",
    )


def _polled(seen: Delivery) -> Finding:
    polled = seen.polled
    if polled is None:
        return failed(
            POLLING,
            "A poll has no answer: clients have nothing to fall back to.",
            "The error log of the proxy says why.",
        )
    if polled.status == 429:
        return skipped(POLLING, "The poll was refused, with 429: see limits.rates.")
    if polled.status != 200 or "events" not in polled.json:
        return failed(
            POLLING,
            f"A poll is answered {polled.told}: clients have nothing to fall back to.",
            "Let the proxy pass /api/realtime/polling on to the server, with its query.",
            {"status": polled.status},
        )
    measured = {"ms": polled.ms}
    if seen.own_id not in _ids(seen):
        return failed(
            POLLING,
            "A poll after an event was accepted does not have it.",
            "Let nothing cache /api/realtime/polling; nginx: `proxy_cache off;` there. If several "
            "servers answer here, they must share a log: see nodes.log.",
            measured,
        )
    same = ", under the same id" if seen.streamed_ms is not None else ""
    return passed(POLLING, f"A poll has the event after {polled.ms} ms{same}.", measured)


def _targets(seen: Delivery) -> Finding:
    others = seen.others
    if others is None or others.status == 403:
        return skipped(
            TARGETS, "To publish for another user the credential needs the permission 'publish'."
        )
    hidden = _id(others)
    if hidden is None:
        return skipped(TARGETS, f"An event for another user was not accepted: {others.told}")
    streamed = [] if seen.streamed is None else seen.streamed.blocks
    if hidden in _ids(seen) or any(block.envelope.get("id") == hidden for block in streamed):
        return failed(
            TARGETS,
            "An event for another user arrived.",
            "No proxy can do that, unless it answers for one user what it kept for another: let "
            "nothing cache /api/. Otherwise tell us.",
        )
    return passed(TARGETS, "An event for another user did not arrive, one for oneself did.")


def _resume(seen: Delivery) -> Finding:
    watch = seen.resumed
    if seen.second is None or watch is None:
        return skipped(RESUME, "There was no stream to come back to.")
    if is_limited(watch):
        return skipped(RESUME, "The stream was refused, with 429: see limits.rates.")
    missed = _id(seen.second)
    came = [block.envelope.get("id") for block in watch.blocks if "id" in block.envelope]
    if _did_resume(watch):
        if came[:1] == [missed]:
            return passed(
                RESUME, "A stream that was cut goes on where it was: what was missed came first."
            )
        return failed(
            RESUME,
            "A stream that was cut says that it goes on, and what was missed does not come.",
            f"It may be held back.\n{mends.BUFFERING}",
        )
    if (gap := watch.block("gap")) is not None:
        return failed(
            RESUME,
            f"A cursor of a moment ago is answered by a gap, reason {gap.data.get('reason')!r}.",
            "If several servers answer here, they must share a log: see nodes.log. Otherwise the "
            "server was restarted, or keeps too little (TIDEWIRE_RETENTION_EVENTS).",
        )
    if seen.by_query is not None and _did_resume(seen.by_query):
        return failed(
            RESUME,
            "A cursor in the header Last-Event-ID does not arrive, one in the query does: "
            "something takes the header away. A native EventSource misses events then, in silence.",
            mends.LAST_EVENT_ID,
        )
    return failed(
        RESUME,
        "A stream that was cut does not go on where it was.",
        mends.LAST_EVENT_ID,
        {"failure": watch.failure},
    )
