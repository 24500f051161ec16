"""What mar does, as metrics: how long stages take, how large batches are, what fails.

Nothing is measured until the environment says where to: see ``mar_metrics.settings``. Until then
importing this costs nothing, and each call returns at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import hookimpl
from mar_metrics.settings import is_wanted

if TYPE_CHECKING:
    from mar_core import Metric, RunSummary
    from mar_metrics.instruments import Instruments

__all__ = ["mar_metric_recorded", "mar_run_finished", "mar_run_started", "mar_stage_finished"]


@hookimpl
def mar_run_started() -> None:
    """Open the port, and make the place where worker processes leave their numbers."""
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


def _instruments() -> Instruments | None:
    if not is_wanted():
        return None
    from mar_metrics.session import instruments

    return instruments()
