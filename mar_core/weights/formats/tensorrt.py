"""TensorRT engines: native code and plugins, which only a handler loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_MARKS = (b"ftrt", b"ptrt")


def _identify(file: WeightsFile) -> bool:
    return file.head.startswith(_MARKS)


def _examine(_: WeightsFile, report: WeightsReport) -> None:
    report.fault("MAR-W013", "The file is a TensorRT engine, native code that runs when loaded.")


FORMAT = WeightsFormat(
    name="tensorrt",
    title="a TensorRT engine",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    carries_structure=True,
    endings=(".engine", ".plan"),
    written_by="TensorRT",
    loaded_by="by the handler, not by mar",
    hint="Load it in the handler's own initialize.",
    rank=0,
)
