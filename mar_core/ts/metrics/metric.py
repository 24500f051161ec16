"""What a metric is: a name, a type, dimensions, and the values recorded for it."""

from __future__ import annotations

import enum
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "CachingMetric", "Dimension", "GeneralMetricsCacheError", "Metric", "MetricTypes",
    "MetricsCacheIOError", "MetricsCacheKeyError", "MetricsCachePyYamlError",
    "MetricsCacheTypeError", "MetricsCacheValueError", "log_metric", "request_of",
]  # fmt: skip

logger = logging.getLogger(__name__)

UNITS: Mapping[str | None, str] = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "MB": "Megabytes",
    "GB": "Gigabytes",
    "kB": "Kilobytes",
    "B": "Bytes",
    "": "unit",
    None: "unit",
}


TIME_UNITS = ("ms", "s")
SIZE_UNITS = ("MB", "kB", "GB", "B")


class MetricTypes(enum.Enum):
    """How the values of a metric add up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Dimension:
    """A name and a value that tell one series of a metric from another."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"

    def __repr__(self) -> str:
        return f"Dimension({self.name!r}, {self.value!r})"

    def to_dict(self) -> dict[str, Any]:
        """The pair as TorchServe writes it."""
        return {"Name": self.name, "Value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One recorded value.

    Attributes:
        name: The metric's name.
        value: The value.
        unit: Its unit in words, such as ``Milliseconds``.
        dimensions: Values by dimension, such as ``{"ModelName": "mnist", "Level": "Model"}``.
        type: How values of this metric add up.
        request_id: The id of the request, or of all requests of the batch, joined by commas.
        timestamp: Seconds since the epoch.
    """

    name: str
    value: float
    unit: str
    dimensions: Mapping[str, Any] = field(default_factory=dict)
    type: MetricTypes = MetricTypes.COUNTER
    request_id: str | None = None
    timestamp: float = field(default_factory=time.time)

    def __str__(self) -> str:
        dimensions = ",".join(f"{name}:{value}" for name, value in self.dimensions.items())
        request = f",{self.request_id}" if self.request_id else ""
        return (
            f"[METRICS]{self.name}.{self.unit}:{self.value}|#{dimensions}|#type:{self.type.name}"
            f"|#hostname:{socket.gethostname()},{int(self.timestamp)}{request}"
        )


class GeneralMetricsCacheError(Exception):
    """A metrics configuration cannot be used."""


class MetricsCacheIOError(OSError):
    """A metrics configuration cannot be read."""


class MetricsCachePyYamlError(ValueError):
    """A metrics configuration is not YAML."""


class MetricsCacheKeyError(KeyError):
    """There is no metric of that name and type, or no such key in a metrics configuration."""


class MetricsCacheTypeError(TypeError):
    """A name, unit, type or list of dimensions is not what it must be."""


class MetricsCacheValueError(ValueError):
    """A unit is not one of those that the call takes."""


Listener = Callable[[Metric], None]


class CachingMetric:
    """A metric that values are recorded for.

    Args:
        metric_name: Its name.
        unit: ``ms``, ``s``, ``percent``, ``count``, ``MB``, ``kB``, ``GB``, ``B`` or another word.
        dimension_names: The names of its dimensions, in the order in which values are given.
        metric_type: How its values add up.
        emit: Takes each recorded value; by default it is only logged.
    """

    def __init__(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] | None = None,
        metric_type: MetricTypes = MetricTypes.COUNTER,
        emit: Listener | None = None,
    ) -> None:
        self.metric_name = metric_name
        self.unit = UNITS.get(unit, unit)
        self.dimension_names = list(dimension_names or ())
        self.metric_type = metric_type
        self._emit = emit or log_metric

    def add_or_update(
        self, value: float, dimension_values: Sequence[Any] = (), request_id: str = ""
    ) -> None:
        """Record a value; one that makes no sense is logged as an error and left out.

        Args:
            value: The value; a counter's is not negative.
            dimension_values: One value for each of the metric's dimensions.
            request_id: The id of the request that it belongs to.
        """
        names = self.dimension_names
        if dimension_values is None or len(dimension_values) != len(names):
            self._reject(value, f"dimension values {dimension_values} do not fit {names}")
        elif self.metric_type is MetricTypes.COUNTER and value < 0:
            self._reject(value, "a counter's value cannot be negative")
        else:
            dimensions = dict(zip(names, dimension_values, strict=True))
            self._emit(
                Metric(
                    name=self.metric_name,
                    value=value,
                    unit=self.unit,
                    dimensions=dimensions,
                    type=self.metric_type,
                    request_id=request_id or None,
                )
            )

    def update(
        self, value: float, request_id: str = "", dimensions: Sequence[Dimension] = ()
    ) -> None:
        """Record a value with dimensions of its own, which replace the metric's."""
        self.dimension_names = [dimension.name for dimension in dimensions]
        self.add_or_update(value, [dimension.value for dimension in dimensions], request_id)

    def _reject(self, value: float, reason: str) -> None:
        logger.error("[METRICS]%s: the value %s was left out: %s", self.metric_name, value, reason)


def request_of(ids: Any, idx: int | None) -> Any:
    """The id of the request that a value belongs to; of none in particular, all of them.

    Args:
        ids: The id of each request of the batch by its index, or one id, or None.
        idx: The index of the request, or None.
    """
    if not isinstance(ids, dict):
        return ids
    return ids[idx] if idx in ids else ",".join(ids.values())


def log_metric(metric: Metric) -> None:
    """Write a recorded value to the log in TorchServe's format."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("%s", metric)
