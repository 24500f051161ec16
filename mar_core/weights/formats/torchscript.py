"""TorchScript: a zip with a program and its tensors, which carries its own structure."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mar_core.errors import ModelError
from mar_core.format.file import CHUNK
from mar_core.text import first_line
from mar_core.weights.allowed import ALLOWED
from mar_core.weights.formats.torch_zip import check_records, check_storages, walk_record
from mar_core.weights.listing import list_tensors
from mar_core.weights.weights_format import Trust, WeightsFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from mar_core.weights.weights_format import ModelSource, WeightsFile, WeightsReport

__all__ = ["FORMAT", "file_of"]

# More than this is unpacked: for as long as a model is loaded, it would be in memory twice.
_MOST = 1 << 30
# Where the storages of a pickle lie; TorchScript's other pickles may promise some that it drops.
_FOLDERS = {"data.pkl": "data/", "constants.pkl": "constants/"}


@contextlib.contextmanager
def file_of(source: ModelSource, method: str) -> Iterator[Path]:
    """A file that holds the weights, for a method of the handler that opens it once.

    Args:
        source: The weights.
        method: The method's name. One that the handler overrides gets the real file.

    Yields:
        Its path, which is there as long as the ``with`` statement lasts.
    """
    place = source.place_for(method)
    assert place is not None  # noqa: S101 - there is a format only where there is a file
    if not source.in_place:
        yield place
        return
    with source.open() as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size > _MOST or not hasattr(os, "memfd_create"):
            yield source.files.path(source.name)
            return
        with os.fdopen(os.memfd_create("weights"), "wb") as copy:
            while chunk := stream.read(CHUNK):
                copy.write(chunk)
            copy.flush()
            yield Path(f"/proc/self/fd/{copy.fileno()}")


def _identify(file: WeightsFile) -> bool:
    return "constants.pkl" in file.records


def _examine(file: WeightsFile, report: WeightsReport) -> None:
    """TorchScript's own reader unpickles these; what is more than it writes, Python would run."""
    if not check_records(file, report):
        return
    for name in [name for name in file.records if name.endswith(".pkl")]:
        walked = walk_record(file, name, report, strict=False, also=_of_script)
        if walked is not None and name in _FOLDERS:
            starts = check_storages(file, walked, _FOLDERS[name], report)
            if name == "data.pkl":
                list_tensors(walked, starts, report)


def _of_script(name: str) -> bool:
    """Names that TorchScript's own reader resolves, in the file itself."""
    return name.startswith(("__torch__.", "torch.jit._pickle.")) or name in ALLOWED


def _load(source: ModelSource) -> torch.nn.Module:
    """Load it through ``handler._load_torchscript_model``, which a handler may override.

    Raises:
        ModelError: The file is damaged, or made by another version of PyTorch.
    """
    with warnings.catch_warnings():
        # That PyTorch would like people to move on is nothing that a user of an archive can mend.
        warnings.filterwarnings("ignore", r".*torch\.jit\.load.* is deprecated")
        try:
            with file_of(source, "_load_torchscript_model") as path:
                model = source.handler._load_torchscript_model(  # noqa: SLF001 - TorchServe's name
                    str(path)
                )
        except (RuntimeError, ValueError) as error:
            reason = first_line(error)
            raise ModelError(
                f"{source.name} is TorchScript that cannot be loaded: {reason}.",
                hint="Save it again with the PyTorch that is installed here, or export the model "
                "with torch.export.",
            ) from error
    ready: torch.nn.Module = model.to(source.device).eval()
    return ready


FORMAT = WeightsFormat(
    name="torchscript",
    title="TorchScript",
    trust=Trust.PROGRAM,
    identify=_identify,
    examine=_examine,
    load=_load,
    in_place=True,
    carries_structure=True,
    written_by="`torch.jit.save`",
    loaded_by="`torch.jit.load`",
    rank=2,
)
