"""Whether streams get through: at once, whole, and for as long as they should."""

import math
from dataclasses import dataclass
from typing import Final

from tidewire.serve.doctor import mends
from tidewire.serve.doctor.finding import Finding, failed, passed, skipped, warned
from tidewire.serve.doctor.wire import Watch

OPENED: Final = "stream.opened"
BUFFERING: Final = "stream.buffering"
COMPRESSION: Final = "stream.compression"
HEADERS: Final = "stream.headers"
PING: Final = "stream.ping"
IDLE: Final = "stream.idle"

OPEN_SECONDS: Final = 10.0
"""In which a stream must say ``connected``: so long do clients wait."""
SLOW_SECONDS: Final = 2.0
USUAL_IDLE_SECONDS: Final = 60.0
"""After which proxies cut what is silent, if nobody tells them otherwise."""


def ping_wait(interval: float) -> float:
    """How long after ``connected`` a ping must have come: an interval, and what a busy server
    and network may add. In seconds, as the interval."""
    return interval * 1.1 + 2


@dataclass(frozen=True, slots=True)
class Streams:
    """Two streams that were opened together.

    Attributes:
        plain: one that may not be compressed, held until its first ping.
        coded: one that may, as that of a browser, until ``connected``.
        patience: how many seconds ``connected`` was waited for.
        timeout: seconds that a check may wait.
        quickest: seconds of the quickest answer that came by the same way.
    """

    plain: Watch
    coded: Watch
    patience: float
    timeout: float
    quickest: float


def judge(seen: Streams) -> list[Finding]:
    """All checks of streams."""
    return [
        _opened(seen),
        _buffering(seen),
        _compression(seen),
        _headers(seen.plain),
        *_quiet(seen),
    ]


def refusal(watch: Watch) -> str | None:
    """What was answered in place of a stream; None if nothing was."""
    return None if watch.is_stream or watch.answer is None else watch.answer.told


def is_limited(watch: Watch) -> bool:
    """Whether it was refused because there are too many, or too often."""
    return watch.answer is not None and watch.answer.status == 429


def _opened(seen: Streams) -> Finding:
    plain = seen.plain
    if is_limited(plain):
        return skipped(OPENED, "The stream was refused, with 429: see limits.rates.")
    if (told := refusal(plain)) is not None:
        return failed(
            OPENED,
            f"In place of a stream the answer is {told}.",
            "Look whether the proxy passes /api/sse to the server, too, with its query and "
            "headers.",
            _times(plain),
        )
    if plain.connected is not None and plain.answer is not None:
        proxy = plain.answer.headers.get("server")
        # By nothing that comes could one tell HTTP/1.0 from 1.1 there.
        between = f" What {proxy} speaks to the server, be it HTTP/1.0, works." if proxy else ""
        return passed(
            OPENED,
            f"A stream says 'connected' after {_ms(plain.connected.after)}, its head comes after "
            f"{_ms(plain.answer.seconds)}.{between}",
            _times(plain),
        )
    if plain.ended_after is not None:
        return failed(
            OPENED,
            f"The stream ended after {plain.ended_after:.1f} s, before it said 'connected'"
            f"{f': {plain.failure}' if plain.failure else ''}.",
            "The error log of the proxy says why.",
            _times(plain),
        )
    return skipped(OPENED, "The stream is held back: see stream.buffering.")


def _buffering(seen: Streams) -> Finding:
    plain = seen.plain
    if plain.connected is not None:
        if plain.connected.after > SLOW_SECONDS + seen.quickest:
            return warned(
                BUFFERING,
                f"'connected' came only after {plain.connected.after:.1f} s, other answers after "
                f"{_ms(seen.quickest)}.",
                f"Something may hold streams back for a while.\n{mends.BUFFERING}",
                _times(plain),
            )
        return passed(BUFFERING, "What the server writes comes at once.", _times(plain))
    if not plain.is_stream or plain.ended_after is not None:
        return skipped(BUFFERING, "There was no stream.")
    came = (
        "not a byte"
        if plain.answer is None
        else f"the head after {_ms(plain.answer.seconds)}, and nothing of the stream"
    )
    return failed(
        BUFFERING,
        f"Within {seen.patience:g} s there came {came}, other answers came after "
        f"{_ms(seen.quickest)}: something between holds streams back.",
        mends.BUFFERING,
        _times(plain),
    )


def _compression(seen: Streams) -> Finding:
    coded = seen.coded
    if seen.plain.connected is None:
        return skipped(COMPRESSION, "There was no stream that comes without.")
    if not coded.is_stream or coded.failure is not None:
        return skipped(COMPRESSION, "A second stream could not be opened.")
    coding = "" if coded.answer is None else coded.answer.headers.get("content-encoding", "")
    measured = {**_times(coded), "contentEncoding": coding or None}
    if coded.first_after is None or (coding in ("", "identity") and coded.connected is None):
        return failed(
            COMPRESSION,
            f"A stream that may be compressed, as browsers offer it, is held back: nothing within "
            f"{seen.patience:g} s, without compression {_ms(seen.plain.connected.after)}.",
            mends.COMPRESSION,
            measured,
        )
    if coding not in ("", "identity"):
        return warned(
            COMPRESSION,
            f"Streams are compressed on the way ({coding}). They get through, but each takes a "
            "quarter of a MiB of the proxy's memory, and little is gained.",
            mends.COMPRESSION,
            measured,
        )
    return passed(COMPRESSION, "Streams are not compressed on the way.", measured)


def _headers(plain: Watch) -> Finding:
    if plain.answer is None or not plain.is_stream:
        return skipped(HEADERS, "There was no head of a stream.")
    headers = plain.answer.headers
    told = headers.get("cache-control", "")
    accel = headers.get("x-accel-buffering")
    measured = {
        "cacheControl": told or None,
        "xAccelBuffering": accel,
        "server": headers.get("server"),
    }
    directives = {part.strip().lower() for part in told.split(",")}
    if not directives & {"no-store", "no-cache"}:
        return failed(
            HEADERS,
            f"Cache-Control is {told or 'missing'}, and the server sends 'no-store, no-transform': "
            "a cache may keep the stream, or wait for its end.",
            mends.CACHE_CONTROL,
            measured,
        )
    if "no-transform" not in directives:
        return warned(
            HEADERS,
            f"Cache-Control is {told!r}, without the 'no-transform' that the server sends: a CDN "
            "may compress the stream.",
            mends.CACHE_CONTROL,
            measured,
        )
    asked = "X-Accel-Buffering: no" if accel else "X-Accel-Buffering was taken by a proxy"
    return passed(HEADERS, f"Cache-Control is {told!r}; {asked}.", measured)


def _quiet(seen: Streams) -> list[Finding]:
    plain, interval = seen.plain, seen.plain.ping_interval
    if plain.connected is None or interval is None:
        reason = "There was no stream to wait on."
        return [skipped(PING, reason), skipped(IDLE, reason)]
    opened = plain.connected.after
    ping = plain.block("ping")
    if ping is not None:
        return [*_pinged(ping.after - opened, interval)]
    if plain.block("disconnecting") is not None:
        reason = "The server went down, or sent the stream away, before the first ping."
        return [skipped(PING, reason), skipped(IDLE, reason)]
    if plain.ended_after is not None:
        silent = plain.ended_after - opened
        return [
            skipped(PING, "The stream was cut before: see stream.idle."),
            failed(
                IDLE,
                f"The stream was cut after {silent:.1f} s of silence, before the first ping, which "
                f"comes after {interval:g} s: something between ends what is quiet too early.",
                mends.IDLE,
                {"cutAfterMs": round(silent * 1000), "pingIntervalMs": round(interval * 1000)},
            ),
        ]
    needed = opened + ping_wait(interval)
    if seen.timeout < needed:
        reason = (
            f"Pings come every {interval:g} s, and it was waited for {seen.timeout:g} s. Until "
            "then the stream was not cut."
        )
        mend = f"Give --timeout {math.ceil(needed)}."
        return [skipped(PING, reason, mend), skipped(IDLE, reason, mend)]
    return [
        failed(
            PING,
            f"No ping came within {plain.waited - opened:.1f} s of a stream that had opened, and "
            f"they come every {interval:g} s: something between holds small pieces back.",
            mends.BUFFERING,
            {"waitedMs": round(plain.waited * 1000), "pingIntervalMs": round(interval * 1000)},
        ),
        skipped(IDLE, "See stream.ping."),
    ]


def _pinged(quiet: float, interval: float) -> tuple[Finding, Finding]:
    measured = {"afterMs": round(quiet * 1000), "pingIntervalMs": round(interval * 1000)}
    ping = passed(PING, f"The first ping came after {quiet:.1f} s.", measured)
    if interval >= USUAL_IDLE_SECONDS - 5:
        return ping, warned(
            IDLE,
            f"The stream was quiet for {quiet:.1f} s and not cut here; but many proxies and "
            f"mobile networks cut what is quiet for {USUAL_IDLE_SECONDS:.0f} s.",
            "On the server: TIDEWIRE_PING_INTERVAL=30.",
            measured,
        )
    return ping, passed(
        IDLE, f"The stream was quiet for {quiet:.1f} s, and not cut. It is never longer.", measured
    )


def _times(watch: Watch) -> dict[str, int | None]:
    seconds = {
        "headMs": None if watch.answer is None else watch.answer.seconds,
        "firstByteMs": watch.first_after,
        "connectedMs": None if watch.connected is None else watch.connected.after,
    }
    return {name: None if told is None else round(told * 1000) for name, told in seconds.items()}


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
