"""From the walk over a pickle to what is told of its file: faults, and a list of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.allowed import ELEMENT_BYTES
from mar_core.weights.tensors import find_tensors
from mar_core.weights.weights_format import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_core.weights.pickles import PickleReport
    from mar_core.weights.tensors import FoundTensor
    from mar_core.weights.weights_format import WeightsReport

__all__ = ["list_tensors", "note_pickle", "sentence"]


def note_pickle(report: WeightsReport, walked: PickleReport, what: str, *, strict: bool) -> None:
    """Turn the walk over a pickle into faults.

    Args:
        report: Where they go.
        walked: The walk.
        what: What the sentence calls the pickle.
        strict: Whether torch's own unpickler will read it, which takes little.
    """
    if walked.forbidden:
        report.pickled_code.extend(walked.forbidden)
        names = ", ".join(walked.forbidden)
        report.fault("MAR-W003", f"Loading {what} imports or calls {names}.")
    elif walked.unchecked:
        report.fault("MAR-W005", sentence(f"{what} is too long to be checked"))
    elif strict and walked.refused:
        names = ", ".join(walked.refused)
        report.fault("MAR-W004", f"A weights_only load of {what} does not take {names}.")
    if walked.fault and (strict or not walked.forbidden):
        report.fault("MAR-W006", sentence(f"{what} cannot be read: {walked.fault}"))


def list_tensors(
    walked: PickleReport, starts: Mapping[str, int | None], report: WeightsReport
) -> None:
    """Put the tensors of a walked pickle into the report.

    Args:
        walked: The walk.
        starts: Where each storage begins in the file, by key.
        report: Where they go; a tensor that reaches beyond its storage is a fault.
    """
    try:
        for found in find_tensors(walked.value):
            info = _info(found, starts.get(found.storage.key))
            if info.overruns:
                report.fault("MAR-W007", f"Its tensor {found.name!r} reaches beyond its storage.")
            report.tensors.append(info)
    except ValueError as error:
        report.fault("MAR-W007", sentence(error))
    else:
        report.listed = not walked.fault and not walked.unchecked


def sentence(words: object) -> str:
    """The words as a sentence."""
    text = str(words)
    return f"{text[:1].upper()}{text[1:]}."


def _info(found: FoundTensor, start: int | None) -> TensorInfo:
    return TensorInfo(
        name=found.name,
        dtype=found.dtype,
        shape=found.shape,
        strides=found.strides,
        start=start,
        storage_bytes=found.storage.numel * ELEMENT_BYTES[found.storage.dtype],
        offset=found.offset,
        storage=found.storage.key,
    )
