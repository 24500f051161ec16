"""A zip that is none of PyTorch's, or too damaged to tell: what is inside is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.errors import ModelError
from mar_core.weights.registry import look_inside
from mar_core.weights.weights_format import Trust, WeightsFormat
from mar_core.weights.zipindex import check_layout

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]


def _identify(file: WeightsFile) -> bool:
    """By its first bytes, or by its last: Python's zipfile goes by these alone."""
    return file.head.startswith(b"PK\x03\x04") or file.hidden_zip is not None


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    if file.hidden_zip is not None:
        report.fault("MAR-W008", "The file is no exact zip: it ends as one and begins otherwise.")
        return
    entries = file.entries
    if file.zip_fault:
        report.fault("MAR-W008", f"The file is no exact zip: {file.zip_fault}.")
        return
    try:
        check_layout(file.stream, entries)
        for entry in entries:
            with file.record(entry) as stream:
                look_inside(file, stream, f"its {entry.name}", report)
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error.message}.")


FORMAT = WeightsFormat(
    name="zip",
    title="a zip that PyTorch did not write, or a damaged one",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    hint="Save it again, or download it again.",
    rank=40,
)
