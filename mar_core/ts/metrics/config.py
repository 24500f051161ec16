"""``ts.metrics.metric_cache_*``: the metrics cache under TorchServe's names, read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mar_core.ts.metrics import (
    MetricsCache,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
)

__all__ = [
    "GeneralMetricsCacheError",
    "MetricCacheAbstract",
    "MetricsCacheIOError",
    "MetricsCacheKeyError",
    "MetricsCachePyYamlError",
    "MetricsCacheTypeError",
    "MetricsCacheValueError",
    "MetricsCacheYamlImpl",
]

MetricCacheAbstract = MetricsCache


class GeneralMetricsCacheError(Exception):
    """The metrics file cannot be used."""


class MetricsCacheIOError(OSError):
    """The metrics file cannot be read."""


class MetricsCachePyYamlError(ValueError):
    """The metrics file is not YAML."""


class MetricsCacheYamlImpl(MetricsCache):
    """A metrics cache that knows the metrics of a file from the start.

    Args:
        config_file_path: The file. Under ``model_metrics`` it lists by type, with ``name``,
            ``unit`` and ``dimensions``.

    Raises:
        MetricsCacheTypeError: There is no file name.
        MetricsCacheIOError: The file cannot be read.
        MetricsCachePyYamlError: The file is not YAML.
    """

    def __init__(self, config_file_path: str | None) -> None:
        import yaml

        super().__init__()
        if not config_file_path:
            raise MetricsCacheTypeError("The name of the metrics file is missing.")
        self.config_file_path = config_file_path
        try:
            text = Path(config_file_path).read_text(encoding="utf-8")
            self._parsed: Any = yaml.safe_load(text)
        except OSError as error:
            raise MetricsCacheIOError(f"{config_file_path} cannot be read: {error}.") from error
        except yaml.YAMLError as error:
            raise MetricsCachePyYamlError(f"{config_file_path} is not YAML: {error}") from error

    def initialize_cache(self) -> None:
        """Make the metrics of the file known.

        Raises:
            MetricsCacheKeyError: A key or a type is missing or unknown.
            MetricsCacheValueError: There are no metrics.
        """
        try:
            section = self._parsed["model_metrics"]
        except (KeyError, TypeError):
            raise MetricsCacheKeyError(f"{self.config_file_path} has no model_metrics.") from None
        if not section:
            raise MetricsCacheValueError(f"{self.config_file_path}: model_metrics is empty.")
        for kind, metrics in section.items():
            for metric in metrics:
                self._add(kind, metric)

    def _add(self, kind: str, metric: dict[str, Any]) -> None:
        try:
            name, unit, dimensions = metric["name"], metric["unit"], metric["dimensions"]
            self.add_metric_to_cache(name, unit, dimensions, MetricTypes(kind))
        except (KeyError, ValueError) as error:
            raise MetricsCacheKeyError(
                f"{self.config_file_path}: a metric under {kind!r} is not complete: {error}."
            ) from error
