"""Files in files: whatever a container holds is looked at as if it stood in the archive itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mar_core.weights.registry import examine_file

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["look_inside"]

# What loading the inner file could do, or whether that could be told.
_TOLD = {"MAR-W003", "MAR-W004", "MAR-W005", "MAR-W008", "MAR-W011", "MAR-W013", "MAR-W016"}


def look_inside(outer: WeightsFile, stream: BinaryIO, name: str, report: WeightsReport) -> None:
    """Look at a file inside another, and tell of the whole what loading the part could do.

    Args:
        outer: The file that holds it.
        stream: The part, seekable.
        name: What to call it.
        report: What is told of the whole.

    Raises:
        TooCostlyError: The budget is used up.
    """
    found = examine_file(outer.inner(stream))
    report.pickled_code.extend(found.pickled_code)
    for fault in found.faults:
        if fault.code in _TOLD:
            code = "MAR-W005" if fault.code == "MAR-W008" else fault.code
            report.fault(code, f"In {name}: {fault.message}")
