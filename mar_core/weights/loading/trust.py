"""The pickles inside exported programs: ``torch.export.load`` would run whatever is in them.

Where the safe loader refuses one, torch.export falls back to the other, which runs any code. So
each is tried with the safe loader first, and the file is refused where that fails.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mar_core.weights.loading.source import ModelSource

__all__ = ["check_pickles"]

_PICKLED = (".pt", ".pkl")
_FOLDERS = ("data/weights/", "data/constants/")


def check_pickles(source: ModelSource) -> None:
    """Refuse an exported program that holds a pickle which can run code.

    Raises:
        ModelError: It does, and the user has not said that pickles are trusted; or the file is
            damaged.
    """
    if source.allow_pickle or source.path is None:
        return
    try:
        for name, content in _pickles(source.path):
            _check(source, name, content)
    except (RuntimeError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ModelError(
            f"{source.name} cannot be read: {reason}.", hint="Save or download it again."
        ) from error


def _check(source: ModelSource, name: str, content: bytes) -> None:
    import torch

    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{source.name} holds a pickle, {name}, that is more than tensors; loading it could "
            "run any code.",
            hint="Export the model without example inputs of your own classes, or pass "
            "--allow-pickle if you trust whoever made the file.",
        ) from error


def _pickles(path: Path) -> Iterator[tuple[str, bytes]]:
    """The name and bytes of every record that torch.export unpickles."""
    names, read = _records(path)
    wanted = {name for name in names if name.endswith(_PICKLED)}
    for folder in _FOLDERS:
        for name in names:
            if name.startswith(folder) and name.endswith("_config.json"):
                wanted |= {folder + file for file in _pickled_files(json.loads(read(name)))}
    for name in sorted(wanted & set(names)):
        content = read(name)
        if content:
            yield name, content


def _pickled_files(config: dict[str, Any]) -> Iterator[str]:
    for payload in config["config"].values():
        if payload["use_pickle"]:
            yield payload["path_name"]


def _records(path: Path) -> tuple[list[str], Callable[[str], bytes]]:
    """The names of a file's records and what reads one, with the reader that the loader uses."""
    import torch

    try:
        reader = torch._C.PyTorchFileReader(str(path))  # noqa: SLF001 - the only name it has
    except RuntimeError:  # torch.export before 2.8 wrote a plain zip
        archive = zipfile.ZipFile(path)
        return archive.namelist(), archive.read
    return reader.get_all_records(), reader.get_record
