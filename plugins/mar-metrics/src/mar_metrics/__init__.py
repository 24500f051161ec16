"""What mar does, as metrics: how long stages take, how large batches are, what fails.

Nothing is measured until the environment says where to: see ``mar_metrics.settings``. Until then
importing this costs nothing, and each call returns at once. The environment is looked at when a
run begins, and where nothing begins one, as with ``load``, when the first stage has ended.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mar_core import hookimpl

if TYPE_CHECKING:
    from mar_core import Metric, RunSummary
    from mar_metrics.instruments import Instruments

__all__ = ["mar_metric_recorded", "mar_run_finished", "mar_run_started", "mar_stage_finished"]


@hookimpl
def mar_run_started() -> None:
    """Open the port, and make the place where worker processes leave their numbers."""
    _is_wanted.cache_clear()
    _instruments()


@hookimpl
def mar_stage_finished(
    model: str, stage: str, seconds: float, size: int, error: BaseException | None
) -> None:
    """Count one stage of one batch."""
    found = _instruments()
    if found is not None:
        found.stage(model=model, stage=stage, seconds=seconds, size=size, error=error)


@hookimpl
def mar_metric_recorded(model: str, metric: Metric) -> None:
    """Count a value that a handler recorded."""
    found = _instruments()
    if found is not None:
        found.recorded(model=model, metric=metric)


@hookimpl
def mar_run_finished(summary: RunSummary) -> None:
    """Count the run, write everything a last time, and close the port."""
    found = _instruments()
    if found is not None:
        from mar_metrics.session import finish

        found.run(summary)
        finish()
    _is_wanted.cache_clear()


def _instruments() -> Instruments | None:
    if not _is_wanted():
        return None
    from mar_metrics.session import instruments

    return instruments()


@functools.cache
def _is_wanted() -> bool:
    """Whether metrics go anywhere: every stage of every batch asks, and one answer holds a run."""
    from mar_metrics.settings import is_wanted

    return is_wanted()
