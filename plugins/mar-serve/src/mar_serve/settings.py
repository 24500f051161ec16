"""The numbers of one model version: its model-config.yaml, under what the user said of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core import count_gpus, gpus_for
from mar_serve.config import RESPONSE_SECONDS, STARTUP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_serve.config import Overrides, ServerConfig

__all__ = ["ModelSettings", "settings_of"]

BATCH_DELAY_MS = 100
RETRY_SECONDS = 300

logger = logging.getLogger("mar_serve.models")


@dataclass(slots=True, kw_only=True)
class ModelSettings:
    """How one version is served. Times are in the unit that TorchServe gives them in.

    Attributes:
        min_workers: Workers that are kept running.
        max_workers: Workers that load may bring it to.
        batch_size: Requests in a batch.
        max_batch_delay: Milliseconds that a request may wait for others.
        response_timeout: Seconds that a batch may take.
        startup_timeout: Seconds that a worker may take to load the model.
        max_retry_timeout: Seconds for which a worker that dies is started again.
        client_timeout: Milliseconds after which an answer is of no use; 0 for never.
        queue_size: Requests that may wait.
        use_job_ticket: Take a request only while a worker is idle.
        device_type: ``cpu`` or ``gpu``, or None.
        device_ids: The GPUs to use.
        parallel_type: As given.
        parallel_level: GPUs of one worker.
        sequence_batching: Whether requests of one sequence belong to one worker.
        continuous_batching: As given.
        sequence_max_idle: Milliseconds after which a silent sequence ends; 0 for never.
        sequence_timeout: Milliseconds that a request of a sequence may wait; 0 for ever.
        max_sequences: Sequences at a time, for each worker.
        sequence_queue_size: Requests that may wait in one sequence.
        use_venv: As given.
        from_archive: Whether the archive itself asked for workers.
    """

    min_workers: int
    max_workers: int
    batch_size: int = 1
    max_batch_delay: int = BATCH_DELAY_MS
    response_timeout: int = RESPONSE_SECONDS
    startup_timeout: int = STARTUP_SECONDS
    max_retry_timeout: int = RETRY_SECONDS
    client_timeout: int = 0
    queue_size: int = 100
    use_job_ticket: bool = False
    device_type: str | None = None
    device_ids: list[int] = field(default_factory=list)
    parallel_type: str = ""
    parallel_level: int = 0
    sequence_batching: bool = False
    continuous_batching: bool = False
    sequence_max_idle: int = 0
    sequence_timeout: int = 0
    max_sequences: int = 1
    sequence_queue_size: int = 1
    use_venv: bool = False
    from_archive: bool = False


# Where model-config.yaml says it, and what it must be: (key, attribute, type, least).
_KEYS: tuple[tuple[str, str, type, int], ...] = (
    ("batchSize", "batch_size", int, 1),
    ("maxBatchDelay", "max_batch_delay", int, 0),
    ("responseTimeout", "response_timeout", int, 1),
    ("startupTimeout", "startup_timeout", int, 1),
    ("maxRetryTimeoutInSec", "max_retry_timeout", int, 0),
    ("clientTimeoutInMills", "client_timeout", int, 0),
    ("jobQueueSize", "queue_size", int, 1),
    ("useJobTicket", "use_job_ticket", bool, 0),
    ("deviceType", "device_type", str, 0),
    ("parallelType", "parallel_type", str, 0),
    ("parallelLevel", "parallel_level", int, 0),
    ("sequenceBatching", "sequence_batching", bool, 0),
    ("continuousBatching", "continuous_batching", bool, 0),
    ("sequenceMaxIdleMSec", "sequence_max_idle", int, 0),
    ("sequenceTimeoutMSec", "sequence_timeout", int, 0),
    ("maxNumSequence", "max_sequences", int, 1),
    ("maxSequenceJobQueueSize", "sequence_queue_size", int, 1),
    ("useVenv", "use_venv", bool, 0),
)


def settings_of(
    name: str, given: Mapping[str, Any], config: ServerConfig, *wins: Overrides
) -> ModelSettings:
    """The settings of a model.

    Args:
        name: The model's name, for warnings.
        given: Its model-config.yaml as parsed; what is of the wrong type is warned of and left out.
        config: What holds for every model.
        *wins: What wins over all of it, the last over the first.
    """
    least, most, own = _workers(name, given, _default_workers(given, config))
    settings = ModelSettings(
        min_workers=least,
        max_workers=most,
        queue_size=config.queue_size,
        from_archive=own,
    )
    _apply(settings, config.defaults)
    for key, attribute, kind, lowest in _KEYS:
        value = _checked(name, given, key, kind, lowest)
        if value is not None:
            setattr(settings, attribute, value)
    settings.device_ids = _device_ids(name, given)
    for overrides in wins:
        _apply(settings, overrides)
    return settings


def _workers(name: str, given: Mapping[str, Any], default: int) -> tuple[int, int, bool]:
    least = _checked(name, given, "minWorkers", int, 0)
    most = _checked(name, given, "maxWorkers", int, 1)
    if least is None and most is None:
        return default, default, False
    if least is None:
        least = min(default, most or default)
    if most is None or most < least:
        most = max(least, 1)
    return least, most, True


def _default_workers(given: Mapping[str, Any], config: ServerConfig) -> int:
    """What is said for every model, else one on each GPU that the model may use."""
    if config.default_workers is not None:
        return config.default_workers
    if config.device is not None:
        return 1
    count = count_gpus() if config.gpus is None else config.gpus
    return max(1, len(gpus_for(given, count=count)))


def _apply(settings: ModelSettings, overrides: Overrides) -> None:
    for attribute in (
        *("batch_size", "max_batch_delay", "response_timeout"),
        *("startup_timeout", "queue_size"),
    ):
        value = getattr(overrides, attribute)
        if value is not None:
            setattr(settings, attribute, value)
    least, most = overrides.min_workers, overrides.max_workers
    if least is None and most is None:
        return
    if least is None:
        least = min(settings.min_workers, most or 0)
    settings.min_workers = least
    settings.max_workers = max(least, most if most is not None else settings.max_workers)


def _checked(name: str, given: Mapping[str, Any], key: str, kind: type, lowest: int) -> Any:
    value = given.get(key)
    if value is None:
        return None
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind is int and value < lowest):
        logger.warning("%s: %s in the model's configuration is no use: %r", name, key, value)
        return None
    return value


def _device_ids(name: str, given: Mapping[str, Any]) -> list[int]:
    ids = given.get("deviceIds")
    if ids is None:
        return []
    fits = isinstance(ids, list) and all(type(one) is int and one >= 0 for one in ids)
    if not fits:
        logger.warning("%s: deviceIds in the model's configuration is no use: %r", name, ids)
        return []
    return list(ids)
