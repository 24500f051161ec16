"""The same numbers for OpenTelemetry: to a collector, or as lines of JSON to a file.

The values of all processes are added up by Prometheus' client; here they are put into
OpenTelemetry's data model and handed to its exporter, as one stream with one start time.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.metrics.export import MetricsData

__all__ = ["exporter_for", "metrics_data"]

MAKES_NO_POINT = ("_created",)


def exporter_for(target: str, registry: Any) -> Callable[[], None]:
    """What sends the numbers of a registry.

    Args:
        target: ``otlp``, or a file.
        registry: Prometheus' registry.

    Raises:
        UsageError: OpenTelemetry is not installed.
    """
    try:
        import opentelemetry.sdk.metrics.export  # noqa: F401 - only to know that it is there

        if target == "otlp":
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    except ImportError as error:
        raise UsageError(
            "MAR_METRICS_OTEL needs OpenTelemetry.",
            hint="Install it: `pip install 'mar-metrics[otel]'`.",
        ) from error
    started = time.time_ns()
    if target != "otlp":
        return lambda: _append(Path(target), metrics_data(registry, started))
    exporter = OTLPMetricExporter()
    return lambda: _send(exporter, metrics_data(registry, started))


def metrics_data(registry: Any, started: int) -> MetricsData:
    """The numbers of a registry in OpenTelemetry's data model.

    Args:
        registry: Prometheus' registry.
        started: When counting began, in nanoseconds since the epoch.
    """
    from opentelemetry.sdk.metrics.export import (
        MetricsData,
        ResourceMetrics,
        ScopeMetrics,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    now = time.time_ns()
    metrics = [
        metric
        for family in registry.collect()
        if (metric := _metric(family, started, now)) is not None
    ]
    scope = ScopeMetrics(scope=InstrumentationScope("mar-metrics"), metrics=metrics, schema_url="")
    resource = Resource.create({"service.name": "mar"})
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(family: Any, started: int, now: int) -> Any:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Gauge,
        Histogram,
        Metric,
        NumberDataPoint,
        Sum,
    )

    samples = [s for s in family.samples if not s.name.endswith(MAKES_NO_POINT)]
    if not samples:
        return None
    total = AggregationTemporality.CUMULATIVE
    data: Any
    if family.type == "histogram":
        data = Histogram(_histogram_points(samples, started, now), total)
    else:
        points = [NumberDataPoint(sample.labels, started, now, sample.value) for sample in samples]
        data = Sum(points, total, is_monotonic=True) if family.type == "counter" else Gauge(points)
    unit = "s" if family.name.endswith("_seconds") else "1"
    return Metric(name=family.name, description=family.documentation, unit=unit, data=data)


def _histogram_points(samples: Iterable[Any], started: int, now: int) -> list[Any]:
    """One point for each set of labels; Prometheus' buckets add up, OpenTelemetry's do not."""
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

    groups: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        group = groups.setdefault(tuple(sorted(labels.items())), {"buckets": [], "sum": 0.0})
        if sample.name.endswith("_bucket"):
            group["buckets"].append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            group["sum"] = sample.value
    points = []
    for key, group in groups.items():
        bounds, sums = zip(*sorted(group["buckets"]), strict=True)
        counts = [count - before for count, before in zip(sums, (0, *sums[:-1]), strict=True)]
        points.append(
            HistogramDataPoint(
                attributes=dict(key),
                start_time_unix_nano=started,
                time_unix_nano=now,
                count=sums[-1],
                sum=group["sum"],
                bucket_counts=counts,
                explicit_bounds=bounds[:-1],
                # What Prometheus' client does not keep is left out, as the protocol allows.
                min=None,  # type: ignore[arg-type]
                max=None,  # type: ignore[arg-type]
            )
        )
    return points


def _append(path: Path, data: MetricsData) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(data.to_json(indent=None) + "\n")


def _send(exporter: Any, data: MetricsData) -> None:
    from opentelemetry.sdk.metrics.export import MetricExportResult

    if exporter.export(data) is not MetricExportResult.SUCCESS:
        raise OSError("the OpenTelemetry collector did not take them")
