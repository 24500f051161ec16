"""The metrics of one loaded archive: what ``context.metrics`` is."""

from __future__ import annotations

import copy
import enum
from typing import TYPE_CHECKING, Any

from mar_core.ts.metrics.metric import (
    SIZE_UNITS,
    TIME_UNITS,
    CachingMetric,
    Dimension,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
    log_metric,
    request_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.ts.metrics.metric import Listener, Metric

__all__ = ["MetricsCache"]


class Unsaid(enum.Enum):
    """The type of an argument that the caller left out."""

    UNSAID = enum.auto()


UNSAID = Unsaid.UNSAID
_ENUM = "a MetricTypes enum"


class MetricsCache:
    """What ``context.metrics`` is.

    Args:
        model_name: Becomes the dimension ``ModelName`` of values that belong to a request.

    Attributes:
        cache: The known metrics, by type and name.
        store: Empty; there for handlers that read it.
        request_ids: The id of each request of this batch, by its index.
        listener: Takes each recorded value, or None.
    """

    def __init__(self, model_name: str | None = None) -> None:
        self.cache: dict[MetricTypes, dict[str, CachingMetric]] = {}
        self.store: list[Any] = []
        self.request_ids: dict[int, str] | str | None = None
        self.model_name = model_name
        self.listener: Listener | None = None

    def set_request_ids(self, request_ids: dict[int, str] | str | None) -> None:
        """Say which requests the next values belong to."""
        self.request_ids = request_ids

    def add_metric(  # noqa: PLR0917 - TorchServe's signature
        self,
        name: str,
        value: float,
        unit: str,
        idx: int | None = None,
        dimensions: list[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> None:
        """Record a value of any kind.

        Args:
            name: The metric's name.
            value: The value.
            unit: Its unit.
            idx: The index of the request that it belongs to; None for the whole batch.
            dimensions: Dimensions beside ``ModelName`` and ``Level``, which are added to the list.
            metric_type: How values of this metric add up.
        """
        self._record(name, value, unit, self._request(idx), dimensions, metric_type)

    def add_counter(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        dimensions: list[Dimension] | None = None,
    ) -> None:
        """Record a count."""
        self._record(name, value, "count", self._request(idx), dimensions, MetricTypes.COUNTER)

    def add_time(  # noqa: PLR0917 - TorchServe's signature
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "ms",
        dimensions: list[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        """Record a duration in ``ms`` or ``s``.

        Raises:
            MetricsCacheValueError: The unit is another.
        """
        if unit not in TIME_UNITS:
            raise MetricsCacheValueError(f"The unit of a time is ms or s, not {unit!r}.")
        self._record(name, value, unit, self._request(idx), dimensions, metric_type)

    def add_size(  # noqa: PLR0917 - TorchServe's signature
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "MB",
        dimensions: list[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        """Record a size in ``MB``, ``kB``, ``GB`` or ``B``.

        Raises:
            MetricsCacheValueError: The unit is another.
        """
        if unit not in SIZE_UNITS:
            raise MetricsCacheValueError(f"The unit of a size is MB, kB, GB or B, not {unit!r}.")
        self._record(name, value, unit, self._request(idx), dimensions, metric_type)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        dimensions: list[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        """Record a percentage."""
        self._record(name, value, "percent", self._request(idx), dimensions, metric_type)

    def add_error(self, name: str, value: float, dimensions: list[Dimension] | None = None) -> None:
        """Record an error; it belongs to no request."""
        self._record(name, value, "", None, dimensions, MetricTypes.COUNTER)

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] | None = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> CachingMetric:
        """Make a metric known, in place of one of the same name and type.

        Args:
            metric_name: Its name.
            unit: Its unit.
            dimension_names: The names of its dimensions; None for none.
            metric_type: How its values add up.

        Raises:
            MetricsCacheTypeError: An argument is not what it must be.
        """
        _check(metric_name, str, "metric_name", "a str")
        _check(unit, str, "unit", "a str")
        _check(metric_type, MetricTypes, "metric_type", _ENUM)
        if dimension_names is not None:
            _check(dimension_names, (list, tuple), "dimension_names", "a list of strings")
        metric = CachingMetric(metric_name, unit, dimension_names, metric_type, self.emit)
        self.cache.setdefault(metric_type, {})[metric_name] = metric
        return metric

    def get_metric(
        self, metric_name: str, metric_type: MetricTypes | Unsaid = UNSAID
    ) -> CachingMetric:
        """A known metric.

        Args:
            metric_name: Its name.
            metric_type: Its type. Where it is not said, the counter of that name, as in TorchServe,
                or else the gauge or the histogram.

        Raises:
            MetricsCacheKeyError: There is none of that name and type.
            MetricsCacheTypeError: An argument is not what it must be.
        """
        _check(metric_name, str, "metric_name", "a str")
        wanted = tuple(MetricTypes) if isinstance(metric_type, Unsaid) else (metric_type,)
        for kind in wanted:
            _check(kind, MetricTypes, "metric_type", _ENUM)
            if metric_name in self.cache.get(kind, {}):
                return self.cache[kind][metric_name]
        what = "metric" if isinstance(metric_type, Unsaid) else metric_type.value
        raise MetricsCacheKeyError(f"There is no {what} of the name {metric_name!r}.")

    def cache_keys(self) -> list[str]:
        """``type:name`` of every known metric."""
        return [f"{kind.value}:{name}" for kind, known in self.cache.items() for name in known]

    def emit(self, metric: Metric) -> None:
        """Log a recorded value and hand it to the listener."""
        log_metric(metric)
        if self.listener is not None:
            self.listener(metric)

    def _request(self, idx: int | None) -> str | None:
        found: str | None = request_of(self.request_ids, idx)
        return found

    def _record(  # noqa: PLR0917 - as many as its callers have
        self,
        name: str,
        value: float,
        unit: str,
        request_id: str | None,
        dimensions: list[Dimension] | None,
        metric_type: MetricTypes,
    ) -> None:
        # As in TorchServe the caller's own list is completed, so that `update` can take it next.
        wanted = dimensions if isinstance(dimensions, list) else list(dimensions or ())
        names = {dimension.name for dimension in wanted}
        if request_id is not None and "ModelName" not in names:
            wanted.append(Dimension("ModelName", self.model_name))
        if "Level" not in names:
            wanted.append(Dimension("Level", "Error" if request_id is None else "Model"))
        try:
            metric = self.get_metric(name, metric_type)
        except MetricsCacheKeyError:
            known = [dimension.name for dimension in wanted]
            metric = self.add_metric_to_cache(name, unit, known, metric_type)
        metric.add_or_update(value, [dimension.value for dimension in wanted], request_id or "")

    def __deepcopy__(self, memo: dict[int, Any]) -> MetricsCache:
        """A copy with the same listener: the listener belongs to the run, not to the metrics."""
        copied = copy.copy(self)
        memo[id(self)] = copied
        copied.cache = {}
        copied.store = copy.deepcopy(self.store, memo)
        copied.request_ids = copy.copy(self.request_ids)
        for kind, known in self.cache.items():
            for name, metric in known.items():
                copied.add_metric_to_cache(name, metric.unit, metric.dimension_names, kind)
        return copied


def _check(value: object, kind: type | tuple[type, ...], name: str, expected: str) -> None:
    if not isinstance(value, kind):
        raise MetricsCacheTypeError(f"`{name}` must be {expected}")
