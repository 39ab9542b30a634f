"""Spans, by the SDK of OpenTelemetry."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.http.server import Live, live, make_tidewire
from tidewire import Event


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def server(spans: InMemorySpanExporter) -> AsyncIterator[Live]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with live(make_tidewire(tracer=provider.get_tracer("tidewire"))) as server:
        yield server


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_what_is_published_is_a_span_with_its_id(
    server: Live, spans: InMemorySpanExporter
) -> None:
    id_ = await server.publish("news", 1)
    (span,) = spans.get_finished_spans()
    assert span.name == "tidewire publish"
    assert told(span) == {
        "messaging.system": "tidewire",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 1,
        "messaging.message.id": id_,
        "tidewire.durable": True,
    }


async def test_streams_and_polls_are_spans_that_say_from_where_and_what_they_found(
    server: Live, spans: InMemorySpanExporter
) -> None:
    cursor = await server.cursor()
    await server.publish("news", 1)
    spans.clear()
    async with server.stream(since=cursor):
        pass
    await server.poll(since=cursor)
    stream, poll = spans.get_finished_spans()
    assert (stream.name, poll.name) == ("tidewire stream", "tidewire poll")
    assert told(stream)["tidewire.since"] == told(poll)["tidewire.since"] == cursor
    assert told(stream)["tidewire.resumed"] is True
    assert told(poll)["messaging.batch.message_count"] == 1
    # Who asked is nobody's business there.
    assert "alice" not in str([told(stream), told(poll)])


async def test_what_fails_is_a_span_with_the_error(
    server: Live, spans: InMemorySpanExporter
) -> None:
    await server.tidewire.drain()
    with pytest.raises(Exception, match="going down"):
        await server.tidewire.publish(Event("news", 1))
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_nothing_of_it_is_loaded_where_nobody_traces() -> None:
    code = (
        "import sys; from tidewire import Tidewire; Tidewire(dev=True).app; "
        "sys.exit('opentelemetry.sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
