"""What a run would do, without loading anything."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from mar_core.checks.subject import Subject
from mar_core.checks.validation import check
from mar_core.plugins import get_plugins
from mar_core.run.engines import find_engine
from mar_core.run.session import check_reading, inputs_of
from mar_core.runtime.environment import described
from mar_core.runtime.machine import count_gpus, gpus_for
from mar_core.text import printable
from mar_core.ts.device import choose_gpu_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.run.session import Job

__all__ = ["describe_run", "description_lines"]

SHOWN = 5


def describe_run(job: Job) -> dict[str, Any]:
    """What ``mar run --dry-run`` says, as JSON values.

    The archive is opened and validated; nothing of it is imported and no input is read.

    Raises:
        ArchiveError: The archive cannot be read, or a rule refuses it.
        UsageError: There is no such device or engine.
    """
    find_engine(job.engine, get_plugins(), job.running.engine_options)
    check_reading(job, get_plugins())
    with job.recipe.open() as archive:
        check(archive, plugins=get_plugins(), allow_pickle=job.recipe.allow_pickle)
        subject = Subject(archive)
        manifest, found = archive.manifest, subject.handler
        config = subject.config or {}
        environment = described(subject, job.recipe.env)
    gpu = choose_gpu_id(job.recipe.device, config)
    first, number = _count(job)
    options = job.running
    return {
        "model": manifest.model_name,
        "version": manifest.model_version,
        "handler": manifest.handler,
        "handler_from": found.origin if found else "not found",
        "environment": environment,
        "device": "cpu" if gpu is None else job.recipe.device or f"accelerator {gpu}",
        "engine": job.engine,
        "batch_size": options.batch_size or job.recipe.batch_size or config.get("batchSize") or 1,
        "workers": _workers(job, config) if options.workers is None else options.workers,
        "inputs": number,
        "first_inputs": first,
    }


def description_lines(found: Mapping[str, Any]) -> list[str]:
    """The same in words, one fact a line."""
    workers = found["workers"]
    place = f"{workers} worker process{'es' if workers > 1 else ''}" if workers else "this process"
    version = f" {found['version']}" if found["version"] else ""
    names = ", ".join(found["first_inputs"])
    more = ", …" if found["inputs"] > len(found["first_inputs"]) else ""
    facts = {
        "model": f"{found['model']}{version}",
        "handler": f"{found['handler']} ({found['handler_from']})",
        "environment": found["environment"],
        "device": found["device"],
        "engine": f"{found['engine']}, in {place}",
        "batch size": found["batch_size"],
        "inputs": f"{found['inputs']:,}" + (f": {names}{more}" if names else ""),
    }
    return [f"{name:<11} {printable(str(value))}" for name, value in facts.items()]


def _workers(job: Job, config: Mapping[str, Any]) -> int:
    """One on each GPU that the archive may use, as ``WorkerPool`` has them."""
    gpus = 0 if job.recipe.device is not None else count_gpus()
    return max(1, len(gpus_for(config, count=gpus)))


def _count(job: Job) -> tuple[list[str], int]:
    inputs = inputs_of(job)
    first = [source.id for source in itertools.islice(inputs, SHOWN)]
    return first, len(first) + sum(1 for _ in inputs)
