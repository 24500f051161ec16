"""Which metrics there are: TorchServe's ``metrics_config``, read from YAML, and its default one.

``ts.metrics.metric_cache_yaml_impl``, too: the cache that knows the metrics of such a file.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core.errors import UsageError
from mar_core.ts.metrics.cache import MetricsCache
from mar_core.ts.metrics.metric import (
    UNITS,
    GeneralMetricsCacheError,
    MetricsCacheIOError,
    MetricsCacheKeyError,
    MetricsCachePyYamlError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self


__all__ = [
    "CONFIG_ERRORS", "CONFIG_KEY", "GeneralMetricsCacheError", "MetricCacheAbstract",
    "MetricDefinition", "MetricsCacheIOError", "MetricsCacheKeyError",
    "MetricsCachePyYamlError", "MetricsCacheTypeError", "MetricsCacheValueError",
    "MetricsCacheYamlImpl", "MetricsConfig", "metrics_for",
]  # fmt: skip

MetricCacheAbstract = MetricsCache

# The key of model-config.yaml that names the archive's own file, and the name that needs no key.
CONFIG_KEY = "metrics_config"
USUAL_NAME = "metrics.yaml"
VARIABLE = "TS_METRICS_CONFIG"
_HINT = (
    "It lists metrics under model_metrics, by counter, gauge and histogram, each with name, unit "
    "and dimensions."
)

logger = logging.getLogger(__name__)

CONFIG_ERRORS = (
    GeneralMetricsCacheError,
    MetricsCacheIOError,
    MetricsCacheKeyError,
    MetricsCachePyYamlError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
)


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric that a configuration names.

    Attributes:
        name: Its name.
        type: How its values add up.
        unit: Its unit in words, such as ``Milliseconds``.
        dimensions: The names of its dimensions. A server adds ``Hostname`` to a model's.
    """

    name: str
    type: MetricTypes
    unit: str
    dimensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The metrics that a server and its models have.

    Attributes:
        ts_metrics: What the server records itself.
        model_metrics: What handlers record.
    """

    ts_metrics: tuple[MetricDefinition, ...] = ()
    model_metrics: tuple[MetricDefinition, ...] = ()

    @classmethod
    def default(cls) -> Self:
        """TorchServe's, and ``RequestBatchSize``, which its example of custom metrics asks for."""
        return cls(ts_metrics=_DEFAULT_TS_METRICS, model_metrics=_DEFAULT_MODEL_METRICS)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a ``metrics_config``.

        Args:
            path: A YAML file with ``ts_metrics`` and ``model_metrics``: by type (``counter``,
                ``gauge``, ``histogram``) lists of ``name``, ``unit`` and ``dimensions``.

        Raises:
            UsageError: It cannot be read, or is not such a file.
        """
        try:
            return cls.of(parse(path))
        except CONFIG_ERRORS as error:
            raise UsageError(
                f"The metrics configuration {Path(path).name} cannot be used: {error.args[0]}.",
                hint=_HINT,
            ) from error

    @classmethod
    def of(cls, parsed: Any) -> Self:
        """The same of what such a file holds.

        Raises:
            MetricsCacheKeyError: A type is unknown, or a metric lacks a key.
            MetricsCacheTypeError: A part of it is not what it must be.
        """
        ts_metrics, model_metrics = (
            tuple(definitions(section(parsed, key) or {}))
            if isinstance(parsed, dict) and key in parsed
            else ()
            for key in ("ts_metrics", "model_metrics")
        )
        return cls(ts_metrics=ts_metrics, model_metrics=model_metrics)

    def joined(self, other: MetricsConfig) -> MetricsConfig:
        """Both; where both name a metric of one type, the other's definition counts."""
        return MetricsConfig(
            ts_metrics=_joined(self.ts_metrics, other.ts_metrics),
            model_metrics=_joined(self.model_metrics, other.model_metrics),
        )

    def fill(self, cache: MetricsCache) -> None:
        """Make the models' metrics known to a cache."""
        for one in self.model_metrics:
            cache.add_metric_to_cache(one.name, one.unit, list(one.dimensions), one.type)


def metrics_for(
    model_name: str | None,
    model_dir: str | Path,
    config: dict[str, Any],
    path: str | Path | None = None,
) -> MetricsCache:
    """The metrics of one archive, with those known that are configured.

    Known are TorchServe's default ones; then those of the archive's own file, which
    ``metrics_config`` in its model-config.yaml names, or which is called ``metrics.yaml`` and has
    ``model_metrics``; then those of the file that the server or the user names.

    Args:
        model_name: The model's name.
        model_dir: The folder that holds the archive's members.
        config: The archive's model-config.yaml.
        path: The user's file; None takes what ``TS_METRICS_CONFIG`` names, if anything.

    Raises:
        UsageError: A file that is named cannot be used.
    """
    known = MetricsConfig.default().joined(_own(Path(model_dir), config))
    path = path or os.environ.get(VARIABLE)
    if path:
        known = known.joined(MetricsConfig.read(path))
    cache = MetricsCache(model_name)
    # What is recorded while the model is loaded belongs to a request, too, as in TorchServe.
    cache.set_request_ids(str(uuid.uuid4()))
    known.fill(cache)
    return cache


def _own(model_dir: Path, config: dict[str, Any]) -> MetricsConfig:
    """The metrics that an archive brings."""
    named = config.get(CONFIG_KEY)
    if isinstance(named, str):
        path = model_dir / named
        if not path.resolve().is_relative_to(model_dir.resolve()):
            raise UsageError(
                f"{CONFIG_KEY} in model-config.yaml names {named!r}, outside the archive."
            )
        return MetricsConfig.read(path)
    return _by_its_name(model_dir / USUAL_NAME)


def _by_its_name(path: Path) -> MetricsConfig:
    """A file that no key names: other programs write a metrics.yaml, and TorchServe reads none."""
    try:
        found = section(parse(path), "model_metrics") if path.is_file() else None
        meant = isinstance(found, dict) and any(kind.value in found for kind in MetricTypes)
    except CONFIG_ERRORS:
        meant = False
    try:
        return MetricsConfig.read(path) if meant else MetricsConfig()
    except UsageError as error:
        logger.warning("%s Until then it counts as none.", error)
        return MetricsConfig()


class MetricsCacheYamlImpl(MetricsCache):
    """A metrics cache that knows the metrics of a file once ``initialize_cache`` has been called.

    Args:
        config_file_path: The file. Under ``model_metrics`` it lists by type, with ``name``,
            ``unit`` and ``dimensions``.

    Raises:
        MetricsCacheTypeError: There is no file name.
        MetricsCacheIOError: The file cannot be read.
        MetricsCachePyYamlError: The file is not YAML.
    """

    def __init__(self, config_file_path: Any) -> None:
        super().__init__()
        self.config_file_path = config_file_path
        self._parsed_file = parse(config_file_path)

    def initialize_cache(self) -> None:
        """Make the metrics of the file known.

        Raises:
            MetricsCacheKeyError: A key or a type is missing or unknown.
            MetricsCacheValueError: There are no metrics.
        """
        found = self._parse_metrics_section()
        if not found:
            raise MetricsCacheValueError(f"{self.config_file_path}: model_metrics is empty")
        MetricsConfig(model_metrics=tuple(definitions(found))).fill(self)

    def _parse_metrics_section(self, key: str = "model_metrics") -> Any:
        """One section of the file.

        Raises:
            MetricsCacheKeyError: It has none of that name.
        """
        return section(self._parsed_file, key)


def parse(path: Any) -> Any:
    """A metrics configuration as parsed.

    Raises:
        MetricsCacheTypeError: The path is no path.
        MetricsCacheIOError: The file cannot be read.
        MetricsCachePyYamlError: The file is not YAML.
        GeneralMetricsCacheError: It is not text.
    """
    import yaml

    if not isinstance(path, (str, Path)) or not str(path):
        raise MetricsCacheTypeError(
            f"the path of a metrics configuration is a string, not a {type(path).__name__}"
        )
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MetricsCacheIOError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise MetricsCachePyYamlError(f"{path} is not YAML: {text}") from error
    except ValueError as error:
        raise GeneralMetricsCacheError(f"{path} is not text: {error}") from error


def section(parsed: Any, key: str) -> Any:
    """One section of a metrics configuration.

    Raises:
        MetricsCacheKeyError: There is none of that name.
    """
    try:
        return parsed[key]
    except (KeyError, TypeError):
        raise MetricsCacheKeyError(f"there is no {key!r} in the file") from None


def definitions(found: Any) -> Iterator[MetricDefinition]:
    """The metrics of one section.

    Raises:
        MetricsCacheKeyError: A type is unknown, or a metric lacks a key.
        MetricsCacheTypeError: A part of it is not what it must be.
    """
    _check(found, dict, "the metrics", "a mapping from types to lists")
    for kind, metrics in found.items():
        try:
            metric_type = MetricTypes(kind)
        except ValueError:
            known = ", ".join(member.value for member in MetricTypes)
            raise MetricsCacheKeyError(f"{kind!r} is no type of metric ({known})") from None
        _check(metrics or [], list, f"the metrics under {kind!r}", "a list")
        for metric in metrics or []:
            yield _definition(metric, metric_type)


def _definition(metric: Any, metric_type: MetricTypes) -> MetricDefinition:
    kind = metric_type.value
    _check(metric, dict, f"a metric under {kind!r}", "a mapping with name, unit and dimensions")
    for key in ("name", "unit", "dimensions"):
        if key not in metric:
            named = metric.get("name", "without a name")
            raise MetricsCacheKeyError(f"the {kind} {named} has no {key!r}")
    name, unit = metric["name"], metric["unit"]
    dimensions = metric["dimensions"] or []  # an empty `dimensions:` means none
    _check(name, str, f"the name of a {kind}", "a string")
    _check(unit, str, f"the unit of {name}", "a string")
    _check(dimensions, list, f"dimensions of {name}", "a list of names")
    for dimension in dimensions:
        _check(dimension, str, f"a dimension of {name}", "a string")
    return MetricDefinition(name, metric_type, UNITS.get(unit, unit), tuple(dimensions))


def _check(value: object, kind: type, what: str, expected: str) -> None:
    if not isinstance(value, kind):
        raise MetricsCacheTypeError(f"{what} must be {expected}, not a {type(value).__name__}")


def _joined(
    first: Iterable[MetricDefinition], second: Iterable[MetricDefinition]
) -> tuple[MetricDefinition, ...]:
    return tuple({(one.type, one.name): one for one in (*first, *second)}.values())


def _of(kind: MetricTypes, unit: str, dimensions: str, names: str) -> list[MetricDefinition]:
    return [MetricDefinition(name, kind, unit, tuple(dimensions.split())) for name in names.split()]


_COUNTER, _GAUGE = MetricTypes.COUNTER, MetricTypes.GAUGE
_MODEL_AND_HOST = "model_name model_version hostname"
_DEFAULT_TS_METRICS = (
    *_of(_COUNTER, "Count", "Level Hostname", "Requests2XX Requests4XX Requests5XX"),
    *_of(_COUNTER, "Count", _MODEL_AND_HOST, "ts_inference_requests_total"),
    *_of(
        _COUNTER,
        "Microseconds",
        _MODEL_AND_HOST,
        "ts_inference_latency_microseconds ts_queue_latency_microseconds",
    ),
    *_of(_GAUGE, "Milliseconds", "Level Hostname", "QueueTime WorkerThreadTime"),
    *_of(_GAUGE, "Milliseconds", "WorkerName Level Hostname", "WorkerLoadTime"),
    *_of(_GAUGE, "Percent", "Level Hostname", "CPUUtilization MemoryUtilization DiskUtilization"),
    *_of(_GAUGE, "Megabytes", "Level Hostname", "MemoryUsed MemoryAvailable"),
    *_of(_GAUGE, "Gigabytes", "Level Hostname", "DiskUsage DiskAvailable"),
    *_of(_GAUGE, "Percent", "Level DeviceId Hostname", "GPUMemoryUtilization GPUUtilization"),
    *_of(_GAUGE, "Megabytes", "Level DeviceId Hostname", "GPUMemoryUsed"),
)
_DEFAULT_MODEL_METRICS = (
    *_of(_GAUGE, "Milliseconds", "ModelName Level", "HandlerTime PredictionTime"),
    *_of(_GAUGE, "Count", "ModelName", "RequestBatchSize"),
)
