"""safetensors: tensors behind a header of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.weights.safetensors import LENGTH_BYTES, MAX_HEADER, TooLargeError, read_header
from mar_core.weights.state_dict import load_eager
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from mar_core.weights.weights_format import WeightsFile, WeightsReport

__all__ = ["FORMAT"]


def _identify(file: WeightsFile) -> bool:
    """Also where the file is cut off: what its header promises is not there."""
    length = int.from_bytes(file.head[:LENGTH_BYTES], "little")
    return file.head[8:9] == b"{" and length <= MAX_HEADER


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    try:
        infos = read_header(file)
    except TooLargeError:
        report.fault("MAR-W005", "The header is too long to be checked.")
    except (ValueError, RecursionError) as error:
        report.fault("MAR-W010", f"The safetensors header is not right: {error}.")
    else:
        report.tensors = infos
        report.listed = True


FORMAT = WeightsFormat(
    name="safetensors",
    title="a safetensors file",
    trust=Trust.DATA,
    identify=_identify,
    examine=_examine,
    load=load_eager,
    in_place=True,
    endings=(".safetensors",),
    written_by="`safetensors.torch.save_file`",
    loaded_by="mapped where it lies in the archive",
    rank=0,
)
