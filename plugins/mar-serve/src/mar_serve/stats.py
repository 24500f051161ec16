"""What is counted about one version of a model: plain numbers, read when somebody asks."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any

from mar_core import MetricTypes
from mar_serve.log import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core import Metric

__all__ = ["Buckets", "ModelStats", "Recorded", "class_of"]

logger = logging.getLogger(__name__)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# Percentiles are those of the last answers: of what the model does now, not of its first minute.
RECENT = 1000
# A handler that puts an id into a dimension would otherwise fill the memory.
MAX_SERIES = 1000
ERROR, SERVER_ERROR = 400, 500


def class_of(status: int) -> int:
    """The class of a status, 2 for 200; what HTTP has no class for is an error of the server."""
    return status // 100 if 100 <= status < 600 else 5  # noqa: PLR2004 - HTTP's classes


class Buckets:
    """A histogram.

    Attributes:
        bounds: The upper bounds, each belonging to its bucket.
        counts: Values in each bucket; the last one takes what is above all bounds.
        total: The sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Bounds as Prometheus writes them, and how many values are no larger."""
        result, count = [], 0
        for bound, more in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            count += more
            result.append((str(bound), float(count)))
        return result


class Recorded:
    """The values of one metric that a handler records, by its dimensions.

    Attributes:
        name: Its name.
        kind: How its values add up.
        unit: Its unit in words.
        series: A number, or a histogram, for each combination of dimensions.
    """

    __slots__ = ("_is_full", "kind", "name", "series", "unit")

    def __init__(self, metric: Metric) -> None:
        self.name = metric.name
        self.kind = metric.type
        self.unit = metric.unit
        self._is_full = False
        self.series: dict[tuple[tuple[str, str], ...], float | Buckets] = {}

    def add(self, metric: Metric) -> None:
        """Take one value."""
        dimensions = tuple(sorted((str(n), str(v)) for n, v in metric.dimensions.items()))
        before = self.series.get(dimensions)
        if before is None and len(self.series) >= MAX_SERIES:
            self._leave_out()
            return
        if self.kind is MetricTypes.HISTOGRAM:
            if not isinstance(before, Buckets):
                before = self.series[dimensions] = Buckets(SECONDS)
            before.add(metric.value)
        elif self.kind is MetricTypes.COUNTER:
            self.series[dimensions] = (before or 0.0) + metric.value  # type: ignore[operator]
        else:
            self.series[dimensions] = metric.value

    def _leave_out(self) -> None:
        if not self._is_full:
            self._is_full = True
            logger.warning(
                "%s has %d combinations of dimensions; new ones are left out.",
                escaped(self.name),
                MAX_SERIES,
            )


class ModelStats:
    """What is counted about one version of a model.

    Only the event loop counts, so there is no lock: a count is one addition.

    Args:
        name: The model's name.
        version: Its version.

    Attributes:
        requests: Inference requests that were answered, in whatever way.
        failed: Those that were answered with a status of 400 and up.
        statuses: How many answers there were of 2xx, 3xx, 4xx and 5xx.
        asked: Requests that named no version, and those that named it.
        latency: Microseconds from request to answer, added up likewise, of answers that succeeded.
        waited: Microseconds in the queue, likewise.
    """

    __slots__ = (
        "asked",
        "batches",
        "failed",
        "last_handler",
        "last_prediction",
        "last_queue",
        "last_worker",
        "latency",
        "load_seconds",
        "name",
        "queue_seconds",
        "recent",
        "recorded_metrics",
        "request_seconds",
        "requests",
        "sizes",
        "stages",
        "statuses",
        "version",
        "waited",
    )

    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version
        self.requests = self.failed = self.batches = 0
        self.statuses = [0] * 6
        self.asked, self.latency, self.waited = [0, 0], [0.0, 0.0], [0.0, 0.0]
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.request_seconds, self.queue_seconds = Buckets(SECONDS), Buckets(SECONDS)
        self.sizes = Buckets(SIZES)
        self.stages: dict[str, Buckets] = {}
        self.last_queue = self.last_worker = 0.0
        self.last_handler = self.last_prediction = 0.0
        self.load_seconds: dict[str, float] = {}
        self.recorded_metrics: dict[tuple[str, Any], Recorded] = {}

    def answered(
        self,
        status: int,
        seconds: float,
        queue_seconds: float | None = None,
        *,
        named: bool = False,
    ) -> None:
        """Count one inference request.

        Args:
            status: The status of its answer.
            seconds: From the request's head to the answer's end.
            queue_seconds: How long it waited for a worker; None where it never got to one.
            named: Whether its path named the version.
        """
        self.requests += 1
        self.statuses[class_of(status)] += 1
        self.asked[named] += 1
        self.recent.append(seconds)
        self.request_seconds.add(seconds)
        if queue_seconds is not None:
            self.last_queue = queue_seconds
            self.queue_seconds.add(queue_seconds)
        if status >= ERROR:
            self.failed += 1
        else:
            self.latency[named] += seconds * 1e6
            self.waited[named] += (queue_seconds or 0.0) * 1e6

    def batch(self, size: int, seconds: float, stages: Mapping[str, float] | None = None) -> None:
        """Count one batch.

        Args:
            size: Its requests.
            seconds: From handing it to the worker to its answer.
            stages: How long each stage took in the worker.
        """
        self.batches += 1
        self.sizes.add(size)
        handler = 0.0
        for stage, took in (stages or {}).items():
            handler += took
            buckets = self.stages.get(stage)
            if buckets is None:
                buckets = self.stages[stage] = Buckets(SECONDS)
            buckets.add(took)
        if stages:
            self.last_handler = handler
            self.last_prediction = stages.get("inference", stages.get("explain", 0.0))
        # Stages of two batches overlap, so that their sum may exceed what one of them took.
        self.last_worker = max(0.0, seconds - handler)

    def worker_loaded(self, worker: str, seconds: float) -> None:
        """Know how long a worker took until it was ready."""
        self.load_seconds[worker] = seconds

    def worker_gone(self, worker: str) -> None:
        """Forget a worker."""
        self.load_seconds.pop(worker, None)

    def recorded(self, metric: Metric) -> None:
        """Take a value that the handler recorded."""
        key = metric.name, metric.type
        found = self.recorded_metrics.get(key)
        if found is None:
            if len(self.recorded_metrics) >= MAX_SERIES:
                return
            found = self.recorded_metrics[key] = Recorded(metric)
        found.add(metric)

    @property
    def p50(self) -> float | None:
        """Half of the last answers took no more seconds; None where there are none."""
        return self.percentile(0.5)

    @property
    def p99(self) -> float | None:
        """99 of 100 of the last answers took no more seconds."""
        return self.percentile(0.99)

    def percentile(self, share: float) -> float | None:
        """Seconds that this share of the last answers did not exceed."""
        if not self.recent:
            return None
        ordered = sorted(self.recent)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
