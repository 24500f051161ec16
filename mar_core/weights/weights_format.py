"""A format of weights as one row of the registry, and what loading a file of it may do."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mar_core.weights.file import WeightsFile
    from mar_core.weights.report import WeightsReport
    from mar_core.weights.source import ModelSource

__all__ = ["Trust", "WeightsFormat"]


class Trust(enum.StrEnum):
    """What loading a file of a format may do.

    Attributes:
        DATA: Nothing but make tensors.
        PROGRAM: Run a program that the framework keeps away from Python.
        PYTHON: Run any code, with the user's rights.
    """

    DATA = "data"
    PROGRAM = "program"
    PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFormat:
    """A format of weights: how a file of it is known, looked at, and loaded.

    Attributes:
        name: What it is called in output, such as ``safetensors``; no two formats share one.
        title: What a file of it is, for sentences: ``a safetensors file``.
        trust: What loading a file of it may do. ``PYTHON`` is loaded on the user's word alone.
        identify: Says of a file whether it is of this format, from a few kilobytes. It must not
            load, import or unpickle anything.
        examine: Looks for faults and lists the tensors, under the same condition; None where there
            is nothing to see.
        load: Loads a file; None where the handler or a plugin's ``mar_load_model`` has to.
        in_place: Whether ``load`` takes the weights from where they lie in the archive, by the
            source's ``open`` or ``view``. Else the file is unpacked, which ``path`` does.
        carries_structure: Whether a file holds the network itself and needs no model file.
        endings: Endings that say that a file is of this format, such as ``.safetensors``.
        written_by: What writes such files, for the reference.
        loaded_by: How it is loaded, for the reference.
        hint: What to do where nothing loads it.
        rank: Where several formats know a file, the one of the lowest rank is asked first.
    """

    name: str
    title: str
    trust: Trust
    identify: Callable[[WeightsFile], bool]
    examine: Callable[[WeightsFile, WeightsReport], None] | None = None
    load: Callable[[ModelSource], object] | None = None
    in_place: bool = False
    carries_structure: bool = False
    endings: tuple[str, ...] = ()
    written_by: str = ""
    loaded_by: str = ""
    hint: str = ""
    rank: int = 10
