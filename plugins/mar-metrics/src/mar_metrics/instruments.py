"""The metrics themselves, kept by Prometheus' own client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mar_core import MetricTypes

if TYPE_CHECKING:
    from mar_core import Metric, RunSummary

__all__ = ["Instruments"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# The stage in which every batch takes part once, whatever the handler.
BATCH_STAGES = ("inference", "explain")


class Instruments:
    """Takes what the hooks report.

    Args:
        registry: Where to register the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._stages = Histogram(
            "mar_stage_seconds",
            "How long a stage of a batch took.",
            ["model", "stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._sizes = Histogram(
            "mar_batch_size",
            "Requests in a batch.",
            ["model"],
            buckets=SIZES,
            registry=registry,
        )
        self._errors = Counter(
            "mar_stage_errors",
            "Stages that raised, by the exception's class.",
            ["model", "stage", "error"],
            registry=registry,
        )
        self._inputs = Counter(
            "mar_run_inputs",
            "Inputs of finished runs.",
            ["model", "outcome"],
            registry=registry,
        )
        self._run_seconds = Gauge(
            "mar_run_seconds",
            "How long the last run took.",
            ["model"],
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self._own: dict[str, tuple[Any, tuple[str, ...]]] = {}

    def stage(
        self, *, model: str, stage: str, seconds: float, size: int, error: BaseException | None
    ) -> None:
        """Count one stage of one batch."""
        self._stages.labels(model, stage).observe(seconds)
        if stage in BATCH_STAGES:
            self._sizes.labels(model).observe(size)
        if error is not None:
            self._errors.labels(model, stage, type(error).__name__).inc()

    def recorded(self, *, model: str, metric: Metric) -> None:
        """Count a value that a handler recorded, with its dimensions as labels."""
        instrument, labels = self._instrument(metric)
        values = {_label(name): str(value) for name, value in metric.dimensions.items()}
        values["model"] = model
        child = instrument.labels(**{label: values.get(label, "") for label in labels})
        if metric.type is MetricTypes.GAUGE:
            child.set(metric.value)
        elif metric.type is MetricTypes.HISTOGRAM:
            child.observe(metric.value)
        elif metric.value >= 0:  # a counter only grows
            child.inc(metric.value)

    def run(self, summary: RunSummary) -> None:
        """Count a finished run."""
        outcomes = {
            "succeeded": summary.succeeded,
            "failed": summary.failed,
            "skipped": summary.skipped,
        }
        for outcome, count in outcomes.items():
            self._inputs.labels(summary.model, outcome).inc(count)
        self._run_seconds.labels(summary.model).set(summary.seconds)

    def _instrument(self, metric: Metric) -> tuple[Any, tuple[str, ...]]:
        """The instrument of a handler's metric; the first value decides its labels."""
        name = _name(metric)
        if name not in self._own:
            labels = ("model", *sorted({_label(dimension) for dimension in metric.dimensions}))
            labels = tuple(dict.fromkeys(labels))
            self._own[name] = _make(metric, name, labels, self._registry), labels
        return self._own[name]


def _make(metric: Metric, name: str, labels: tuple[str, ...], registry: CollectorRegistry) -> Any:
    text = f"{metric.name} as the handler records it."
    if metric.type is MetricTypes.GAUGE:
        return Gauge(name, text, labels, multiprocess_mode="mostrecent", registry=registry)
    kind = Histogram if metric.type is MetricTypes.HISTOGRAM else Counter
    return kind(name, text, labels, registry=registry)


def _name(metric: Metric) -> str:
    unit = "" if metric.unit.lower() in {"", "count", "unit"} else f"_{metric.unit}"
    kind = metric.type.name.lower()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", f"{metric.name}{unit}")
    plain = re.sub(r"\W+", "_", spaced, flags=re.ASCII).strip("_").lower()
    # One name may be recorded in two ways; a gauge and a counter of one name cannot be.
    return f"mar_handler_{plain}" if kind == "counter" else f"mar_handler_{plain}_{kind}"


def _label(dimension: str) -> str:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", dimension)
    return re.sub(r"\W", "_", plain, flags=re.ASCII).lower().lstrip("_0123456789") or "dimension"
