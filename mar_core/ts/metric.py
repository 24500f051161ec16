"""``ts.metrics.metric``, ``ts.metrics.metric_abstract`` and ``ts.metrics.unit``."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from mar_core.ts.metrics.values import UNITS, CachingMetric, MetricTypes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.ts.metrics import Dimension
    from mar_core.ts.metrics.values import Listener

__all__ = ["Metric", "MetricAbstract", "MetricUnit", "Units"]

MetricAbstract = CachingMetric


class Units:
    """Units in words."""

    def __init__(self) -> None:
        self.units = dict(UNITS)


MetricUnit = Units()


class Metric:
    """One value of a metric, and how to record others.

    Args:
        name: Its name.
        value: Its value.
        unit: Its unit, short.
        dimensions: Its dimensions.
        request_id: The request that it belongs to, or None.
        metric_method: Kept for handlers that read it.
        emit: Takes each recorded value.
    """

    def __init__(  # noqa: PLR0917 - TorchServe's signature
        self,
        name: str,
        value: float,
        unit: str,
        dimensions: Sequence[Dimension],
        request_id: str | None = None,
        metric_method: str | None = None,
        emit: Listener | None = None,
    ) -> None:
        self.metric_type = MetricTypes.COUNTER
        self.dimensions = dimensions
        self.dimension_names = [dimension.name for dimension in dimensions]
        self.dimension_values = [dimension.value for dimension in dimensions]
        self._caching = CachingMetric(name, unit, self.dimension_names, self.metric_type, emit)
        self.name = name
        self.unit = self._caching.unit
        self.value = value
        self.request_id = request_id
        self.metric_method = metric_method

    def update(self, value: float) -> None:
        """Record a value."""
        self._caching.add_or_update(value, self.dimension_values, self.request_id or "")

    def reset(self) -> None:
        """Record 0."""
        self.update(0)

    def __str__(self) -> str:
        dimensions = ",".join(map(str, self.dimensions))
        request = f",{self.request_id}" if self.request_id else ""
        host, now = socket.gethostname(), int(time.time())
        return f"{self.name}.{self.unit}:{self.value}|#{dimensions}|#hostname:{host},{now}{request}"

    def to_dict(self) -> dict[str, Any]:
        """The metric as TorchServe writes it."""
        return {
            "MetricName": self.name,
            "Value": self.value,
            "Unit": self.unit,
            "Dimensions": self.dimensions,
            "Timestamp": int(time.time()),
            "HostName": socket.gethostname(),
            "RequestId": self.request_id,
        }
