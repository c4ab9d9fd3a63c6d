"""OpenTelemetry traces, where the standard variables ask for them and the module has the packages.

A request's span continues the client's (``traceparent``, W3C Trace Context), and ``run()`` has a
span of its own below it, which is the current one in the script's thread.
"""

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}


class Tracing:
    """Makes spans.

    Args:
        provider: OpenTelemetry's ``TracerProvider``, exporter and all.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("skerry_scorer")
        self._api = importlib.import_module("opentelemetry.trace")
        self._context = importlib.import_module("opentelemetry.context")
        propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
        self._propagator = propagation.TraceContextTextMapPropagator()

    def begin(self, method: str, path: str, headers: Mapping[str, str]) -> "RequestSpan":
        """Begin the span of a request."""
        parent = self._propagator.extract(dict(headers))
        attributes = {"http.request.method": method, "url.path": path, "http.route": path}
        kind = self._api.SpanKind.SERVER
        name = f"{method} {path}"
        span = self._tracer.start_span(name, parent, kind=kind, attributes=attributes)
        return RequestSpan(self, span)

    @contextmanager
    def within(self, span: Any) -> Iterator[None]:
        """Have a span for ``run()`` below another; it is the current one inside the block."""
        inner = self._api.set_span_in_context(span)
        run = self._tracer.start_span("run", inner)
        token = self._context.attach(self._api.set_span_in_context(run))
        try:
            yield
        finally:
            self._context.detach(token)
            run.end()

    def failed(self, span: Any, status: int) -> None:
        """Note that a request has failed on this side."""
        codes = self._api.StatusCode
        span.set_status(codes.ERROR, f"status {status}")


class RequestSpan:
    """The span of one request."""

    def __init__(self, tracing: Tracing, span: Any) -> None:
        self._tracing = tracing
        self._span = span

    @property
    def trace_id(self) -> str:
        """Id of the trace, 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def inside(self) -> Any:
        """Return a context manager for the span of ``run()``."""
        return self._tracing.within(self._span)

    def end(self, status: int) -> None:
        """End it with the status that was answered."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._tracing.failed(self._span, status)
        self._span.end()


def tracing_of(env: Mapping[str, str], service: str) -> Tracing | None:
    """Return what makes spans, or None where nobody asked for them or nothing here can.

    Args:
        env: Variables of the OpenTelemetry specification; the exporter reads most of them itself.
        service: Name of the service where ``OTEL_SERVICE_NAME`` does not say.
    """
    if not any(env.get(name) for name in _ENDPOINTS):
        return None
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or env.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    protocol = next((env[name] for name in _PROTOCOLS if env.get(name)), "http/protobuf")
    try:
        exporter = importlib.import_module(_EXPORTERS.get(protocol, protocol)).OTLPSpanExporter()
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        processing = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
    except ImportError as error:
        log.warning("no traces: OTEL_… asks for them over %s, and %s", protocol, error)
        return None
    named = {} if env.get("OTEL_SERVICE_NAME") else {"service.name": service}
    # At exit it sends what is left, for as long as the process has then.
    provider = sdk.TracerProvider(resource=resources.Resource.create(named))
    provider.add_span_processor(processing.BatchSpanProcessor(exporter))
    # The script's own spans go the same way.
    importlib.import_module("opentelemetry.trace").set_tracer_provider(provider)
    return Tracing(provider)
