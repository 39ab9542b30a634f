"""How a client stands, for showing it."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tidewire.client.failure import Failure
from tidewire.client.model import Method, State

ConnectionStatus: TypeAlias = Literal[
    "disconnected", "connecting", "connected", "reconnecting", "stopped"
]


@dataclass(frozen=True, slots=True)
class Status:
    """How a client stands. Equal as long as nothing in it changes.

    Attributes:
        connection_status: ``disconnected``, ``connecting``, ``connected``, ``reconnecting`` or
            ``stopped``.
        is_connected: whether events arrive.
        active_method: by what events are read, or shall be: ``sse`` or ``polling``; None: nothing.
        method: the same, more exactly: ``longPolling`` or ``shortPolling``.
        sse_failures: of streams, in a row.
        polling_failures: of polls, in a row.
        reason: why it is not, or was last not, connected: a code of a failure, or what happened.
        error: that failure; None once it is connected again.
        client_id: by what name the server knows the open stream.
        retry_in: ms from the failure until it tries again; None: it does not wait for that.
    """

    connection_status: ConnectionStatus
    is_connected: bool
    active_method: Literal["sse", "polling"] | None
    method: Method | None
    sse_failures: int
    polling_failures: int
    reason: str | None
    error: Failure | None
    client_id: str | None
    retry_in: float | None = field(compare=False)


def status_of(state: State, now: float) -> Status:
    """How a state looks from outside; ``now``: ms of the clock that its timers are of."""
    method = None if state.phase in ("idle", "stopped") else state.method
    stream = None if state.link is None else state.link.stream
    due = state.timers.get("next") if state.phase == "waiting" else None
    return Status(
        connection_status=_connection_status(state),
        is_connected=state.phase == "open",
        active_method=None if method is None else "sse" if method == "sse" else "polling",
        method=method,
        sse_failures=state.sse_failures,
        polling_failures=state.polling_failures,
        reason=state.reason,
        error=state.error,
        client_id=None if stream is None else stream.client_id,
        retry_in=None if due is None else max(0, due - now),
    )


def _connection_status(state: State) -> ConnectionStatus:
    match state.phase:
        case "idle":
            return "disconnected"
        case "open":
            return "connected"
        case "stopped":
            return "stopped"
        case _:
            # Whoever was connected has a cursor.
            fresh = state.error is None and state.cursor is None
            return "connecting" if fresh else "reconnecting"
