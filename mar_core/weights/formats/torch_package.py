"""``torch.package``: code and pickles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]


def _identify(file: WeightsFile) -> bool:
    return ".data/extern_modules" in file.records


def _examine(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W003", "Loading a torch.package runs the code and the pickles in it.")


FORMAT = WeightsFormat(
    name="torch-package",
    title="a torch.package, which is code and pickles",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    carries_structure=True,
    hint="Save the model's state dict, or export it with torch.export.",
    rank=3,
)
