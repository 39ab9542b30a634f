"""The control events of the stream, one function each. None of them is in the log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from tidewire.core.errors import TidewireError
from tidewire.core.frame import Control
from tidewire.core.log import Gap
from tidewire.core.position import Cursor

REFRESH_URL = "/api/auth/sse-token/refresh"


class ServerInfo(TypedDict):
    """What a stream says of the server that writes it."""

    version: str
    capabilities: Sequence[str]
    pingInterval: int
    """Milliseconds."""


class ClientInfo(TypedDict):
    """What a server knows of the client that it writes to."""

    connectedAt: int
    authMethod: str
    clientType: str | None


class ConnectedData(TypedDict):
    """The first that a stream says."""

    clientId: str
    serverInfo: ServerInfo
    clientInfo: ClientInfo
    resumed: bool
    """Whether the stream goes on exactly where the cursor stood."""
    degraded: bool
    """Whether the shared log is away, and only this node's publishers are heard."""


class PingData(TypedDict):
    """A sign of life."""

    timestamp: int
    serverTime: str
    """ISO 8601, in UTC."""
    sequence: int
    head: str
    """The cursor up to which the stream was served."""


class AuthExpiringData(TypedDict):
    """The authority of a stream ends soon."""

    expiresAt: int
    refreshUrl: str
    """Where a new credential extends the stream."""


class DisconnectingData(TypedDict):
    """The last that a stream says."""

    reason: str
    reconnectAfter: int | None
    """Milliseconds until one may come back; null: one may not."""


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
    data: PingData = {
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
    data: AuthExpiringData = {"expiresAt": expires_at, "refreshUrl": REFRESH_URL}
    return Control("authExpiring", data, now)


def problem(error: TidewireError, *, now: int) -> Control:
    """A failure, told within a stream. (``event: error`` would fire EventSource's own.)"""
    return Control("problem", error.problem(), now, type="error")


def disconnecting(reason: str, reconnect_after: int | None, *, now: int) -> Control:
    """The last event of a stream that we close. ``reconnect_after``: ms; None = stay away."""
    data: DisconnectingData = {"reason": reason, "reconnectAfter": reconnect_after}
    return Control("disconnecting", data, now, retry=reconnect_after)
