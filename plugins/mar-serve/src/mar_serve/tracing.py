"""OpenTelemetry traces: a span for each request, and in it where its time went.

Spans are made when the answer is known, from the times that were taken anyway: a request that is
not traced costs a comparison with None. The environment says where they go:

- ``OTEL_TRACES_EXPORTER=otlp``, or ``OTEL_EXPORTER_OTLP_ENDPOINT`` and its like, as in every
  program that knows OpenTelemetry;
- ``MAR_METRICS_OTEL``, the variable of mar-metrics: ``otlp``, or a file; then the spans are lines
  of JSON in a file beside it, ``x.traces.jsonl`` for ``x.jsonl``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mar_core import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mar_serve.queues import Job

__all__ = ["Tracer", "make_tracer"]

logger = logging.getLogger("mar_serve.tracing")

OTEL = "MAR_METRICS_OTEL"
EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# In the order in which a worker goes through them.
STAGES = ("read", "preprocess", "inference", "explain", "postprocess")
NANO = 1e9
ERROR = 500


class Named(Protocol):
    """A version, for its spans."""

    @property
    def name(self) -> str:
        """What requests call the model."""

    @property
    def version(self) -> str:
        """What they call the version."""


class Tracer:
    """Makes spans of requests that are over.

    Args:
        provider: OpenTelemetry's provider.
        close: What ends it.
    """

    def __init__(self, provider: Any, close: Callable[[], None]) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("mar-serve")
        self._extract = TraceContextTextMapPropagator().extract
        self._close = close

    def record(self, found: Named, job: Job, status: int) -> None:
        """Make the spans of one request.

        Args:
            found: The version that answered.
            job: The request, with the times that it took.
            status: The status of its answer.
        """
        try:
            self._record(found, job, status)
        except Exception:
            logger.exception("a request could not be traced")

    def _record(self, found: Named, job: Job, status: int) -> None:
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        now, clock = time.time_ns(), time.monotonic()

        def at(moment: float) -> int:
            return now - int((clock - moment) * NANO)

        parent = self._extract(_carrier(job.request.headers))
        attributes = {
            "http.request.method": "POST",
            "http.response.status_code": status,
            "mar.model.name": found.name,
            "mar.model.version": found.version,
            "mar.request.id": job.request.id,
        }
        span = self._tracer.start_span(
            f"predict {found.name}",
            context=parent,
            kind=SpanKind.SERVER,
            start_time=at(job.arrived),
            attributes=attributes,
        )
        if status >= ERROR:
            span.set_status(StatusCode.ERROR)
        context = set_span_in_context(span)
        begun = job.begun or clock
        self._child("queue", context, at(job.arrived), at(begun), {})
        self._stages(context, at(begun), job)
        span.end(now)

    def _stages(self, context: Any, start: int, job: Job) -> None:
        """One span for each stage; the worker measures durations, and they follow each other."""
        batch = {"mar.batch.size": job.batch_size}
        for stage in STAGES:
            seconds = (job.stages or {}).get(stage)
            if seconds is not None:
                end = start + int(seconds * NANO)
                self._child(stage, context, start, end, batch)
                start = end

    def _child(
        self, name: str, context: Any, start: int, end: int, attributes: Mapping[str, Any]
    ) -> None:
        span = self._tracer.start_span(
            name, context=context, start_time=start, attributes=dict(attributes)
        )
        span.end(end)

    def close(self) -> None:
        """Send what has not been sent."""
        self._close()


def make_tracer() -> Tracer | None:
    """The tracer that the environment asks for; None where it asks for none.

    Raises:
        UsageError: It asks for one, and OpenTelemetry is not installed.
    """
    target = _target(os.environ)
    if target is None:
        return None
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider

        processor, close = _processor(target)
    except ImportError as error:
        raise UsageError(
            "The environment asks for traces, and OpenTelemetry is not installed.",
            hint="Install it: `pip install 'mar-serve[otel]'`.",
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", "mar-serve")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(processor)

    def shut() -> None:
        provider.shutdown()
        close()

    return Tracer(provider, shut)


def _target(environment: Mapping[str, str]) -> str | None:
    exporter = environment.get(EXPORTER, "").strip().lower()
    if exporter == "none":
        return None
    if exporter in {"otlp", "console"}:
        return exporter
    asked = environment.get(OTEL, "").strip()
    if asked:
        return asked
    return "otlp" if any(environment.get(name) for name in ENDPOINTS) else None


def _processor(target: str) -> tuple[Any, Callable[[], None]]:
    """What takes the spans, and what lets go of where they went."""
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        ConsoleSpanExporter,
    )

    if target == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return BatchSpanProcessor(OTLPSpanExporter()), lambda: None
    files = contextlib.ExitStack()
    more: dict[str, Any] = {}
    if target != "console":
        path = Path(target)
        path = path.with_name(f"{path.stem}.traces{path.suffix or '.jsonl'}")
        more["out"] = files.enter_context(path.open("a", encoding="utf-8"))
    exporter = ConsoleSpanExporter(formatter=_line, **more)
    return BatchSpanProcessor(exporter), files.close


def _line(span: Any) -> str:
    return f"{span.to_json(indent=None)}\n"


def _carrier(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers that name the trace, whatever their case."""
    wanted = ("traceparent", "tracestate")
    return {name.lower(): str(v) for name, v in headers.items() if name.lower() in wanted}
