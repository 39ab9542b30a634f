"""Spans of what is published and read, for whoever traces.

Nothing of OpenTelemetry is imported: what is handed in is a tracer of its, or one like it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol, TypeAlias

Value: TypeAlias = str | bool | int | float


class Span(Protocol):
    """As much of ``opentelemetry.trace.Span`` as is used."""

    def set_attribute(self, key: str, value: Any) -> None: ...


class Tracer(Protocol):
    """As much of ``opentelemetry.trace.Tracer`` as is used."""

    def start_as_current_span(
        self, name: str, *, attributes: Any = None
    ) -> AbstractContextManager[Any]:
        """A span that is the current one until the context ends, and that notes what is raised."""
        ...


class _NoSpan:
    """Nobody looks at it."""

    __slots__ = ()

    def set_attribute(self, key: str, value: Value) -> None:
        pass


_NOBODY: Final = nullcontext(_NoSpan())

SYSTEM: Final = "messaging.system"
OPERATION: Final = "messaging.operation.type"
COUNT: Final = "messaging.batch.message_count"
MESSAGE_ID: Final = "messaging.message.id"
"""Names of OpenTelemetry's semantic conventions for messaging."""


class Tracing:
    """Makes spans, if there is a tracer."""

    __slots__ = ("_tracer",)

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    def span(
        self, name: str, operation: str, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[Span]:
        """A span named ``tidewire`` and what is done, with what is known of it at its begin."""
        if self._tracer is None:
            return _NOBODY
        return self._tracer.start_as_current_span(
            f"tidewire {name}",
            attributes={SYSTEM: "tidewire", OPERATION: operation, **attributes},
        )
