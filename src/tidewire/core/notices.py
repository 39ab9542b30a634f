"""The control events of the stream, one function each. None of them is in the log."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tidewire.core.errors import TidewireError
from tidewire.core.frame import Control
from tidewire.core.log import Gap
from tidewire.core.position import Cursor

REFRESH_URL = "/api/auth/sse-token/refresh"


def iso(ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def connected(data: Mapping[str, Any], *, cursor: str | None, now: int) -> Control:
    """The first event of every stream; ``cursor`` is None when a gap follows."""
    return Control("connected", data, now, id=cursor)


def ping(cursor: Cursor, *, sequence: int, now: int) -> Control:
    """A sign of life that carries the position up to which the stream was served, so that the
    cursor of a quiet or filtered stream does not age out of the log."""
    data = {
        "timestamp": now,
        "serverTime": iso(now),
        "sequence": sequence,
        "head": str(cursor),
    }
    return Control("ping", data, now, id=str(cursor))


def gap_data(missed: Gap) -> dict[str, str]:
    """A hole, as streams and answers to polls tell it."""
    return {"from": missed.from_, "to": str(missed.to), "reason": missed.reason}


def gap(missed: Gap, *, cursor: Cursor, now: int) -> Control:
    """A hole, said aloud; its id is the cursor of a reader who goes on after it."""
    return Control("gap", gap_data(missed), now, id=str(cursor))


def auth_expiring(expires_at: int, *, now: int) -> Control:
    """Comes before the authority of a stream ends. ``expires_at``: Unix milliseconds."""
    return Control("authExpiring", {"expiresAt": expires_at, "refreshUrl": REFRESH_URL}, now)


def problem(error: TidewireError, *, now: int) -> Control:
    """A failure, told within a stream. (``event: error`` would fire EventSource's own.)"""
    return Control("problem", error.problem(), now, type="error")


def disconnecting(reason: str, reconnect_after: int | None, *, now: int) -> Control:
    """The last event of a stream that we close. ``reconnect_after``: ms; None = stay away."""
    data = {"reason": reason, "reconnectAfter": reconnect_after}
    return Control("disconnecting", data, now, retry=reconnect_after)
