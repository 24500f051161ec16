"""What ``GET /models/{model}`` says of a version, under TorchServe's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_serve.scaling import memory_of

if TYPE_CHECKING:
    from mar_serve.slots import Slot
    from mar_serve.version import ModelVersion

__all__ = ["described"]


def described(version: ModelVersion) -> dict[str, Any]:
    """One version, as a client sees it."""
    settings = version.settings
    waiting = version.dispatch.waiting
    return {
        "modelName": version.name,
        "modelVersion": version.version,
        "modelUrl": version.url,
        "runtime": version.prepared.manifest.runtime or "python",
        "minWorkers": settings.min_workers,
        "maxWorkers": settings.max_workers,
        "batchSize": settings.batch_size,
        "maxBatchDelay": settings.max_batch_delay,
        "responseTimeout": settings.response_timeout,
        "startupTimeout": settings.startup_timeout,
        "maxRetryTimeoutInSec": settings.max_retry_timeout,
        "clientTimeoutInMills": settings.client_timeout,
        "parallelType": settings.parallel_type,
        "parallelLevel": settings.parallel_level,
        "deviceType": settings.device_type or ("gpu" if version.server.gpus else "cpu"),
        "deviceIds": settings.device_ids,
        "continuousBatching": settings.continuous_batching,
        "useJobTicket": settings.use_job_ticket,
        "useVenv": settings.use_venv,
        "stateful": settings.sequence_batching,
        "sequenceMaxIdleMSec": settings.sequence_max_idle,
        "sequenceTimeoutMSec": settings.sequence_timeout,
        "maxNumSequence": settings.max_sequences,
        "maxSequenceJobQueueSize": settings.sequence_queue_size,
        "loadedAtStartup": version.from_start,
        "workers": [_worker(slot) for slot in version.slots],
        "jobQueueStatus": {
            "remainingCapacity": max(0, settings.queue_size - waiting),
            "pendingRequests": waiting,
        },
    }


def _worker(slot: Slot) -> dict[str, Any]:
    pid = slot.worker.pid if slot.worker is not None else -1
    device = slot.worker.ready.device if slot.worker is not None else "cpu"
    kind, _, gpu = device.partition(" ")
    on_gpu = kind == "accelerator"
    return {
        "id": str(slot.number),
        "startTime": slot.started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": "READY" if slot.state == "ready" else "UNLOADING",
        "memoryUsage": memory_of(pid) if pid > 0 else 0,
        "pid": pid,
        "gpu": on_gpu,
        "gpuUsage": f"gpuId::{gpu}" if on_gpu else "N/A",
    }
