"""Metrics under TorchServe's names, and histograms, for Prometheus or for the log.

While requests are answered there are additions to plain numbers, nothing more: families and samples
are made when somebody scrapes.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mar_core import MetricTypes
from mar_serve.exposition import (
    chosen,
    family,
    histogram,
    line,
    plain,
    text_of,
)
from mar_serve.host import gpus, system
from mar_serve.stats import ModelStats, class_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client import Metric as Family

    from mar_core import Metric, MetricsConfig
    from mar_serve.stats import Recorded

__all__ = ["CONTENT_TYPE", "Telemetry"]

logger = logging.getLogger("mar_serve.metrics")
model_logger = logging.getLogger("mar_serve.model_metrics")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HOST = "Host"
CLASSES = (("Requests2XX", 2), ("Requests4XX", 4), ("Requests5XX", 5))
DOCUMENTED = {
    "ts_inference_requests_total": "Inference requests",
    "ts_inference_latency_microseconds": "Time from request to answer, added up, in microseconds",
    "ts_queue_latency_microseconds": "Time in the queue, added up, in microseconds",
}
# Handlers record these, too; the server's own numbers are of all handlers, in the same way.
MEASURED = {"HandlerTime", "PredictionTime"}
# What is measured in ``legacy`` mode; everything else goes to the log there.
LEGACY = tuple(DOCUMENTED)


class Telemetry:
    """All that is counted in one server.

    Args:
        hostname: The label ``Hostname`` of every metric.
        shown: What handlers record and who scrapes is shown; None shows all of it.
        system: Whether the machine is looked at.
        mode: ``prometheus`` shows everything to who scrapes; ``log`` writes everything to the
            log; ``legacy`` shows the three ``ts_`` metrics and writes the others.

    Attributes:
        models: The numbers of each version that was ever served, by name and version.
        loads: Gives the name, version, queue length and number of live workers of each version
            that is served now; the server sets it.
    """

    def __init__(
        self,
        *,
        hostname: str,
        mode: str = "prometheus",
        shown: MetricsConfig | None = None,
        system: bool = True,
    ) -> None:
        self.hostname = hostname
        self.mode = mode
        self._shown = shown
        self._system = system
        self.models: dict[tuple[str, str], ModelStats] = {}
        self.loads: Callable[[], Iterable[tuple[str, str, int, int]]] = tuple
        self._others = [0] * 6
        self._host = {"Level": HOST, "Hostname": hostname}

    def model(self, name: str, version: str) -> ModelStats:
        """The numbers of one version; they go on where it is registered again."""
        found = self.models.get((name, version))
        if found is None:
            found = self.models[name, version] = ModelStats(name, version)
        return found

    def counted(self, status: int) -> None:
        """Count an answer that belongs to no model: a ping, a path that is not there."""
        self._others[class_of(status)] += 1

    def text(self, names: Sequence[str] = ()) -> bytes:
        """What ``GET /metrics`` answers, in Prometheus' text format 0.0.4.

        Args:
            names: The names of the metrics that are asked for; all of them where empty.
        """
        if self.mode == "log":
            return b""
        families = list(chosen(self.families(), frozenset(names)))
        if self.mode == "legacy":
            families = [one for one in families if one.name in LEGACY]
        return text_of(families)

    def lines(self) -> list[str]:
        """Every sample as a line of TorchServe's metrics log; empty in ``prometheus`` mode."""
        if self.mode == "prometheus":
            return []
        now = int(time.time())
        return [
            line(sample.name, sample.labels, sample.value, self.hostname, now)
            for one in self.families()
            if not (self.mode == "legacy" and one.name in LEGACY)
            for sample in one.samples
        ]

    def log(self) -> None:
        """Write the lines to the log; called again and again by the server."""
        for one in self.lines():
            logger.info("%s", one)

    def recorded(self, metric: Metric) -> None:
        """Write what a handler has recorded to the log, where that is where metrics go."""
        if self.mode == "prometheus" or not model_logger.isEnabledFor(logging.INFO):
            return
        labels = {str(name): str(value) for name, value in metric.dimensions.items()}
        name = f"{metric.name}.{metric.unit}"
        text = line(name, labels, metric.value, self.hostname, int(time.time()))
        model_logger.info("%s,%s", text, metric.request_id or "null")

    def families(self) -> Iterator[Family]:
        """All metrics and their samples now."""
        own = [
            *self._requests(),
            *self._host_metrics(),
            *self._times(),
            *self._histograms(),
            *self._loads(),
        ]
        yield from own
        yield from self._handlers({one.name for one in own})

    def _requests(self) -> Iterator[Family]:
        models = list(self.models.values())
        for name, group in CLASSES:
            count = self._others[group] + sum(stats.statuses[group] for stats in models)
            yield family(name, "counter", f"Answers of {group}xx", [(self._host, count)])
        for (name, text), values in zip(
            DOCUMENTED.items(), ("asked", "latency", "waited"), strict=True
        ):
            samples = [
                (self._labels(stats, version), getattr(stats, values)[named])
                for stats in models
                for named, version in enumerate(("default", stats.version))
                if stats.asked[named]
            ]
            yield family(name, "counter", text, samples)

    def _labels(self, stats: ModelStats, version: str) -> dict[str, str]:
        return {
            "model_name": stats.name,
            "model_version": version,
            "hostname": self.hostname,
        }

    def _host_metrics(self) -> Iterator[Family]:
        if not self._system:
            return
        for name, unit, value in system():
            yield family(name, "gauge", f"{name} in {unit.lower()}", [(self._host, value)])
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for device, name, _, value in gpus():
            labels = {"Level": HOST, "DeviceId": str(device), "Hostname": self.hostname}
            found.setdefault(name, []).append((labels, value))
        for name, samples in found.items():
            yield family(name, "gauge", f"{name} of each GPU", samples)

    def _times(self) -> Iterator[Family]:
        busy = [stats for stats in self.models.values() if stats.batches]
        if busy:
            last = busy[-1]
            for name, seconds in (
                ("QueueTime", last.last_queue),
                ("WorkerThreadTime", last.last_worker),
            ):
                value = seconds * 1000
                yield family(name, "gauge", f"{name} of the last batch, ms", [(self._host, value)])
        loads = [
            ({"WorkerName": worker, **self._host}, seconds * 1000)
            for stats in self.models.values()
            for worker, seconds in stats.load_seconds.items()
        ]
        yield family("WorkerLoadTime", "gauge", "Until a worker was ready, ms", loads)
        for name, last_of in (
            ("HandlerTime", "last_handler"),
            ("PredictionTime", "last_prediction"),
        ):
            samples = [
                (
                    {"ModelName": stats.name, "Level": "Model", "Hostname": self.hostname},
                    getattr(stats, last_of) * 1000,
                )
                for stats in {stats.name: stats for stats in busy}.values()
            ]
            yield family(name, "gauge", f"{name} of the last batch, ms", samples)

    def _histograms(self) -> Iterator[Family]:
        for name, text, attribute in (
            ("mar_serve_request_seconds", "From request to answer", "request_seconds"),
            ("mar_serve_queue_seconds", "Waiting for a worker", "queue_seconds"),
            ("mar_serve_batch_size", "Requests in a batch", "sizes"),
        ):
            series = [(_of(stats), getattr(stats, attribute)) for stats in self.models.values()]
            yield histogram(name, text, series)
        stages = [
            ({**_of(stats), "stage": stage}, buckets)
            for stats in self.models.values()
            for stage, buckets in stats.stages.items()
        ]
        yield histogram("mar_serve_stage_seconds", "A stage of a batch, in the worker", stages)

    def _is_shown(self, recorded: Recorded) -> bool:
        return self._shown is None or any(
            one.name == recorded.name and one.type is recorded.kind
            for one in self._shown.model_metrics
        )

    def _loads(self) -> Iterator[Family]:
        loads = list(self.loads())
        for name, text, place in (
            ("mar_serve_queue_waiting", "Requests that wait for a worker", 2),
            ("mar_serve_workers", "Workers that are alive", 3),
        ):
            samples = [
                ({"model_name": load[0], "model_version": load[1]}, float(load[place]))
                for load in loads
            ]
            yield family(name, "gauge", text, samples)

    def _handlers(self, taken: set[str]) -> Iterator[Family]:
        """What handlers record; one family for each name, whichever models record it.

        A name of the server's own gets ``_2`` at its end: no family may be there twice.
        """
        groups: dict[str, list[Recorded]] = {}
        for stats in self.models.values():
            for recorded in stats.recorded_metrics.values():
                if recorded.name in MEASURED or not self._is_shown(recorded):
                    continue
                name = plain(recorded.name)
                name = f"{name}_2" if name in taken else name
                groups.setdefault(name, []).append(recorded)
        for name, group in groups.items():
            kind = group[0].kind
            same = [one for one in group if one.kind is kind]
            text = f"{name} as handlers record it, in {group[0].unit}"
            series = [
                ({plain(label): value for label, value in labels}, values)
                for one in same
                for labels, values in one.series.items()
            ]
            labelled = [
                ({**labels, "Hostname": self.hostname}, values) for labels, values in series
            ]
            if kind is MetricTypes.HISTOGRAM:
                yield histogram(name, text, labelled)
            else:
                yield family(name, kind.value, text, labelled)


def _of(stats: ModelStats) -> dict[str, str]:
    return {"model_name": stats.name, "model_version": stats.version}
