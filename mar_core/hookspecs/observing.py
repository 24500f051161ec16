"""Hooks that look on while a model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from mar_core.records import RunSummary
    from mar_core.ts.metrics import Metric

__all__ = [
    "mar_metric_recorded",
    "mar_run_finished",
    "mar_run_started",
    "mar_stage_finished",
]


@hookspec
def mar_run_started(summary: RunSummary) -> None:
    """Know that a run begins.

    Called once by ``mar run``, in the process that the user started, before the first input is read
    and before worker processes are made: what is set in ``os.environ`` here, they inherit.
    Observing.

    Args:
        summary: What the run will come to; its numbers grow while it goes on.

    Example:
        >>> @hookimpl
        ... def mar_run_started(summary):
        ...     print(f"running {summary.model}")
    """


@hookspec
def mar_stage_finished(
    model: str, stage: str, seconds: float, size: int, error: BaseException | None
) -> None:
    """Know that a stage has ended.

    Called after each stage of each batch, in the process that ran it. Observing.

    Args:
        model: The model's name.
        stage: ``initialize``, ``preprocess``, ``inference``, ``postprocess``, ``explain`` or
            ``teardown``.
        seconds: How long it took, wall-clock.
        size: How many requests the batch held; 0 for ``initialize`` and ``teardown``.
        error: What it raised, or None.

    Example:
        >>> @hookimpl
        ... def mar_stage_finished(stage, seconds, size):
        ...     print(f"{stage}: {size} in {seconds:.3f} s")
    """


@hookspec
def mar_metric_recorded(model: str, metric: Metric) -> None:
    """Know that a handler recorded a metric with ``context.metrics``.

    Called for each value, in the process of the handler. Observing.

    Args:
        model: The model's name.
        metric: Its name, value, unit, dimensions, type and request id.

    Example:
        >>> @hookimpl
        ... def mar_metric_recorded(model, metric):
        ...     print(model, metric.name, metric.value, metric.unit)
    """


@hookspec
def mar_run_finished(summary: RunSummary) -> None:
    """Know that a run has ended, well or not.

    Called once by ``mar run``, in the process that the user started. Observing.

    Args:
        summary: Inputs, errors by kind, and seconds by stage.

    Example:
        >>> @hookimpl
        ... def mar_run_finished(summary):
        ...     print(f"{summary.succeeded} of {summary.total}")
    """
