"""Python pickles that torch did not write, joblib's among them; there may be several in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.listing import note_pickle
from mar_core.weights.pickles import walk_pickle
from mar_core.weights.registry import format_of, look_inside
from mar_core.weights.weights_format import PICKLE_RANK, Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]

_MARK = 0x80  # the opcode that opens every pickle since protocol 2
_NEWEST = 5


def _identify(file: WeightsFile) -> bool:
    """A file with the mark; without it, one that would do something, or is a pickle to its end.

    The older protocols have no mark and may begin with anything, so that a list of labels may read
    as one that imports ``at.dog``. What calls nothing before it stops is no pickle, then.
    """
    if len(file.head) > 1 and file.head[0] == _MARK and file.head[1] <= _NEWEST:
        return True
    found = file.first_pickle
    return found.acts or found.unchecked or (found.fault is None and not found.forbidden)


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    found, what = file.first_pickle, "the pickle"
    while True:
        if found.fault is None or what == "the pickle" or found.forbidden:
            note_pickle(report, found, what, strict=False)
        if found.fault or found.unchecked or found.end >= file.size:
            break
        start, what = found.end, "one of its pickles"
        rest = file.inner(file.rest(start))
        if format_of(rest).rank < PICKLE_RANK:  # an array, or a zip: it is none for pickle.load
            look_inside(file, rest.stream, "what follows its pickle", report)
            break
        found = walk_pickle(file.stream, start=start, budget=file.budget, plain=True)


FORMAT = WeightsFormat(
    name="pickle",
    title="a Python pickle that torch.save did not write",
    trust=Trust.PYTHON,
    identify=_identify,
    examine=_examine,
    endings=(".pkl", ".pickle", ".joblib"),
    written_by="`pickle.dump`, `joblib.dump`",
    loaded_by="by the handler, not by mar",
    hint="Save the model's state dict with torch.save or safetensors.",
    rank=PICKLE_RANK,
)
