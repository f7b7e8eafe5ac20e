"""Traces come from httpx's own instrumentation; the clients need no code for it."""

from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nas_sdk import AsyncNasClient, NasClient
from nas_sdk.testing import VirtualClock
from tests.support.both_clients import KINDS, Driver
from tests.support.loopback import http_answer, loopback

DONE = http_answer(b'{"ok": true}')
DOWN = http_answer(b'{"error": "temporarily_unavailable"}', "503 Service Unavailable")


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield provider
    instrumentor.uninstrument()
    provider.shutdown()


@pytest.fixture
def exporter(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def status_of(span: ReadableSpan) -> object:
    attributes = span.attributes or {}
    return attributes.get("http.response.status_code", attributes.get("http.status_code"))


@pytest.mark.parametrize("kind", KINDS)
async def test_every_attempt_is_a_span(kind: str, exporter: InMemorySpanExporter) -> None:
    answers = iter([DOWN, DONE])
    with loopback(lambda seen: next(answers)) as server:
        make = NasClient if kind == "sync" else AsyncNasClient
        call = Driver(make(server.url, "s3cr3t", clock=VirtualClock()))
        await call("cancel", "job-1")
        await call.close()
    spans = exporter.get_finished_spans()
    assert [status_of(span) for span in spans] == [503, 200]
    assert all(span.name.startswith("POST") for span in spans)
    assert "s3cr3t" not in "".join(span.to_json() for span in spans)
    assert ["traceparent" in seen.headers for seen in server.seen] == [True, True]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_calls_of_a_batch_belong_to_the_callers_span(
    kind: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with loopback(lambda seen: DONE) as server:
        make = NasClient if kind == "sync" else AsyncNasClient
        call = Driver(make(server.url, "s3cr3t"))
        with provider.get_tracer("test").start_as_current_span("converge") as parent:
            await call("cancel_many", ["a", "b", "c"])
        await call.close()
    calls = [span for span in exporter.get_finished_spans() if span.name != "converge"]
    parents = [span.parent.span_id if span.parent else None for span in calls]
    assert parents == [parent.get_span_context().span_id] * 3
