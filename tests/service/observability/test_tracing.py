"""Traces: the attributes of a span and its parent; no traces by default."""

from __future__ import annotations

import asyncio
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.app import create_app
from service.config.settings import load_settings
from service.observability.tracing import provider_from_environment
from service.runtime.encoder_registry import EncoderRegistry
from tests.service.test_routes import SEARCH

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_a_span_with_its_stages_below(collections: Path, encoders: EncoderRegistry) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app(collections, load_settings({"log.requests": False}), encoders=encoders, tracing=provider)

    async def ask() -> None:
        async with app.router.lifespan_context(app) as state:

            async def with_state(scope: dict[str, object], receive: object, send: object) -> None:
                await app({**scope, "state": dict(state)}, receive, send)  # type: ignore[arg-type]

            transport = httpx.ASGITransport(with_state)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                headers = {"traceparent": PARENT}
                assert (await client.get(SEARCH, params={"q": "private matter"}, headers=headers)).is_success
                assert (await client.get("/nothing")).status_code == 404

    asyncio.run(ask())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    request = spans["GET /v1/collections/{name}/search"]
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert request.attributes["http.response.status_code"] == 200
    for stage in ("encode", "retrieve", "fetch"):
        assert spans[stage].parent.span_id == request.context.span_id
        assert spans[stage].start_time <= spans[stage].end_time
    assert spans["GET unmatched"].attributes["http.response.status_code"] == 404
    assert not any("private" in str(span.attributes) + span.name for span in spans.values())


def test_nothing_is_sent_unless_the_standard_variables_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert provider_from_environment() is None


def test_spans_go_to_the_endpoint_of_the_standard_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    received: queue.Queue[str] = queue.Queue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        provider = provider_from_environment()
        assert provider is not None
        provider.get_tracer("test").start_span("x").end()
        provider.shutdown()
        path = received.get(timeout=20)
        server.shutdown()
        thread.join()
    assert path == "/v1/traces"
    assert received.empty()
