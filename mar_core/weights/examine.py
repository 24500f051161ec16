"""One look at a weights file, whatever its format."""

from __future__ import annotations

from typing import BinaryIO

from mar_core.errors import ModelError
from mar_core.weights.exported import examine_exported
from mar_core.weights.kinds import WeightsKind, identify
from mar_core.weights.legacy import examine_legacy
from mar_core.weights.numpyfile import examine_numpy
from mar_core.weights.onnx import examine_onnx
from mar_core.weights.pickles import MAX_PICKLE, walk_pickle
from mar_core.weights.report import WeightsReport
from mar_core.weights.safe import examine_safetensors
from mar_core.weights.torchzip import examine_torch_zip, note_pickle
from mar_core.weights.zipindex import check_layout, read_directory

__all__ = ["examine"]


def examine(stream: BinaryIO) -> WeightsReport:
    """Look at a weights file without loading, importing or unpickling anything of it.

    Args:
        stream: The file, seekable; left anywhere.

    Returns:
        Its kind, what is wrong with it, and its tensors where the format lists them.
    """
    kind = identify(stream)
    if kind in {WeightsKind.TORCH, WeightsKind.TORCHSCRIPT}:
        return examine_torch_zip(stream, kind)
    if kind in {WeightsKind.EXPORTED, WeightsKind.AOTINDUCTOR}:
        return examine_exported(stream, kind)
    look = _LOOKS.get(kind)
    return look(stream) if look else WeightsReport(kind=kind)


def _examine_pickle(stream: BinaryIO) -> WeightsReport:
    report = WeightsReport(kind=WeightsKind.PICKLE)
    stream.seek(0)
    data = stream.read(MAX_PICKLE + 1)
    if len(data) > MAX_PICKLE:
        report.fault("MAR-W005", f"The pickle is longer than {MAX_PICKLE:,} bytes.")
    note_pickle(report, walk_pickle(data), "the pickle", strict=False)
    return report


def _examine_package(_: BinaryIO) -> WeightsReport:
    report = WeightsReport(kind=WeightsKind.TORCH_PACKAGE)
    report.fault("MAR-W003", "Loading a torch.package runs the code and the pickles in it.")
    return report


def _examine_tar(_: BinaryIO) -> WeightsReport:
    report = WeightsReport(kind=WeightsKind.TORCH_TAR)
    report.fault("MAR-W009", "The file is in torch's tar format, which no safe loader reads.")
    return report


def _examine_zip(stream: BinaryIO) -> WeightsReport:
    """A zip that is none of PyTorch's, or too damaged to tell."""
    report = WeightsReport(kind=WeightsKind.ZIP)
    try:
        check_layout(stream, read_directory(stream))
    except ModelError as error:
        report.fault("MAR-W008", f"The file is no exact zip: {error}.")
    return report


_LOOKS = {
    WeightsKind.ZIP: _examine_zip,
    WeightsKind.TORCH_LEGACY: examine_legacy,
    WeightsKind.TORCH_TAR: _examine_tar,
    WeightsKind.TORCH_PACKAGE: _examine_package,
    WeightsKind.SAFETENSORS: examine_safetensors,
    WeightsKind.ONNX: examine_onnx,
    WeightsKind.PICKLE: _examine_pickle,
    WeightsKind.NUMPY: examine_numpy,
}
