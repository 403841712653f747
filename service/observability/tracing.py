"""OpenTelemetry traces: a span for each request and each stage of its search.

The standard variables alone switch traces on (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` …). Needs the extra `tracing`. A span continues the trace of the
caller's `traceparent` header (W3C).
"""

from __future__ import annotations

import os
from time import time_ns
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.errors import MissingExtra
from retrieval.results import Timings
from service.observability.metrics import route_label

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
STAGES = ("encode", "retrieve", "fetch")


def provider_from_environment() -> TracerProvider | None:
    """Return the configured provider; None without endpoint.  Raises MissingExtra."""
    if not any(os.environ.get(name) for name in ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED") == "true":
        return None
    os.environ.setdefault("OTEL_SERVICE_NAME", "attendex")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra("tracing", f"{ENDPOINTS[0]} is set, and tracing") from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class TracingMiddleware:
    """A server span around each request."""

    def __init__(self, app: ASGIApp, *, provider: TracerProvider) -> None:
        self.app = app
        self._tracer = provider.get_tracer("attendex")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = TraceContextTextMapPropagator().extract(carrier)
        span = self._tracer.start_span(scope["method"], parent, kind=trace.SpanKind.SERVER)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(trace.StatusCode.ERROR)
            await send(message)

        try:
            with trace.use_span(span):
                await self.app(scope, receive, sending)
        finally:
            _describe(span, scope)
            timings = scope["state"].get("timings")
            if timings is not None:
                _add_stages(self._tracer, span, timings)
            span.end()


def _describe(span: Span, scope: Scope) -> None:
    """Set the attributes of a span; none reveals the query."""
    route = route_label(scope)
    span.update_name(f"{scope['method']} {route}")
    span.set_attributes(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "url.scheme": scope.get("scheme", "http"),
            "attendex.request_id": scope["state"].get("request_id", ""),
        }
    )


def _add_stages(tracer: Tracer, span: Span, timings: Timings) -> None:
    """Add child spans from measured durations, one after the other."""
    from opentelemetry import trace

    context = trace.set_span_in_context(span)
    start = time_ns() - sum(_ns(getattr(timings, stage)) for stage in STAGES)
    for stage in STAGES:
        end = start + _ns(getattr(timings, stage))
        tracer.start_span(stage, context, start_time=start).end(end)
        start = end


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
