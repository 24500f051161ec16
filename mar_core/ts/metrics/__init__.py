"""Metrics that handlers record with ``context.metrics``: TorchServe's calls, and a listener.

Each recorded value is one ``Metric``. It is written to the log in TorchServe's format and handed to
the cache's ``listener``; the predictor sets that to call the hook ``mar_metric_recorded``.
"""

from __future__ import annotations

from mar_core.ts.metrics.cache import MetricsCache
from mar_core.ts.metrics.config import MetricDefinition, MetricsConfig, metrics_for
from mar_core.ts.metrics.metric import (
    CachingMetric,
    Dimension,
    Metric,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
)

__all__ = [
    "CachingMetric", "Dimension", "Metric", "MetricDefinition", "MetricTypes", "MetricsCache",
    "MetricsCacheKeyError", "MetricsCacheTypeError", "MetricsCacheValueError", "MetricsConfig",
    "metrics_for",
]  # fmt: skip
