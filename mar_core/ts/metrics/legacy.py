"""``ts.metrics.metric``, ``unit`` and ``metrics_store``: metrics as before TorchServe 0.6."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

from mar_core.ts.metrics.metric import (
    SIZE_UNITS,
    TIME_UNITS,
    UNITS,
    CachingMetric,
    Dimension,
    MetricTypes,
    log_metric,
    request_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.ts.metrics.metric import Listener
    from mar_core.ts.metrics.metric import Metric as Recorded

__all__ = ["Metric", "MetricAbstract", "MetricEncoder", "MetricUnit", "MetricsStore", "Units"]

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


class MetricEncoder(json.JSONEncoder):
    """Writes metrics and dimensions as JSON: ``json.dumps(…, cls=MetricEncoder)``."""

    def default(self, obj: Any) -> Any:
        """A metric or a dimension as a dict; anything else as JSON has it."""
        return obj.to_dict() if isinstance(obj, (Metric, Dimension)) else super().default(obj)


class MetricsStore:
    """Metrics by name, unit, request and dimensions.

    Args:
        request_ids: The id of each request by its index, or one id.
        model_name: The model's name.

    Attributes:
        store: The metrics in the order in which they were made.
        cache: The metrics by key.
        listener: Takes each recorded value, or None.
    """

    def __init__(self, request_ids: Any, model_name: str | None) -> None:
        self.store: list[Metric] = []
        self.request_ids = request_ids
        self.model_name = model_name
        self.cache: dict[str, Metric] = {}
        self.listener: Listener | None = None

    def add_counter(
        self, name: str, value: float, idx: int | None = None, dimensions: Any = None
    ) -> None:
        """Record a count."""
        self._add_or_update(name, value, self._get_req(idx), "count", "counter", dimensions)

    def add_time(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "ms",
        dimensions: Any = None,
    ) -> None:
        """Record a duration in ``ms`` or ``s``.

        Raises:
            ValueError: The unit is another.
        """
        if unit not in TIME_UNITS:
            raise ValueError(f"The unit of a time is ms or s, not {unit!r}.")
        self._add_or_update(name, value, self._get_req(idx), unit, None, dimensions)

    def add_size(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "MB",
        dimensions: Any = None,
    ) -> None:
        """Record a size in ``MB``, ``kB``, ``GB`` or ``B``.

        Raises:
            ValueError: The unit is another.
        """
        if unit not in SIZE_UNITS:
            raise ValueError(f"The unit of a size is MB, kB, GB or B, not {unit!r}.")
        self._add_or_update(name, value, self._get_req(idx), unit, None, dimensions)

    def add_percent(
        self, name: str, value: float, idx: int | None = None, dimensions: Any = None
    ) -> None:
        """Record a percentage."""
        self._add_or_update(name, value, self._get_req(idx), "percent", None, dimensions)

    def add_error(self, name: str, value: Any, dimensions: Any = None) -> None:
        """Record an error; it belongs to no request."""
        self._add_or_update(name, value, None, "", None, dimensions)

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str,
        idx: int | None = None,
        dimensions: Any = None,
    ) -> None:
        """Record a value of any kind."""
        self._add_or_update(name, value, self._get_req(idx), unit, None, dimensions)

    def _get_req(self, idx: int | None) -> Any:
        return request_of(self.request_ids, idx)

    def _add_or_update(  # noqa: PLR0917 - TorchServe's signature
        self,
        name: str,
        value: Any,
        req_id: Any,
        unit: str,
        metrics_method: str | None = None,
        dimensions: Any = None,
    ) -> None:
        if dimensions is not None and not isinstance(dimensions, list):
            raise ValueError("dimensions must be a list.")
        own = [Dimension("Level", "Error")]
        if req_id is not None:
            own = [Dimension("ModelName", self.model_name), Dimension("Level", "Model")]
        wanted = [*(dimensions or ()), *own]
        key = "-".join([name, unit, str(req_id), *map(str, wanted)])
        if key not in self.cache:
            metric = Metric(name, value, unit, wanted, req_id, metrics_method, self._emit)
            self.cache[key] = metric
            self.store.append(metric)
        self.cache[key].update(value)  # is recorded; the metric keeps the value it was made with

    def _emit(self, metric: Recorded) -> None:
        log_metric(metric)
        if self.listener is not None:
            self.listener(metric)
