"""The manifest of an archive."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from model_archiver.version import __version__

if TYPE_CHECKING:
    from model_archiver.manifest_components.model import Model

__all__ = ["Manifest", "RuntimeType", "moment"]


class RuntimeType(Enum):
    """The languages that handlers are written in."""

    PYTHON = "python"
    PYTHON3 = "python3"
    LSP = "LSP"


class Manifest:
    """Everything that ``MANIFEST.json`` holds.

    Args:
        runtime: The handler's runtime, by its value.
        model: What it says of the model.

    Raises:
        ValueError: There is no such runtime.
    """

    def __init__(self, runtime: str, model: Model) -> None:
        self.creation_time = moment().strftime("%d/%m/%Y %H:%M:%S")
        self.runtime = RuntimeType(runtime)
        self.model = model
        self.archiver_version = __version__
        self.manifest_dict = self.__to_dict__()

    def __to_dict__(self) -> dict[str, Any]:
        """The manifest as JSON has it, in torch-model-archiver's order."""
        return {
            "createdOn": self.creation_time,
            "runtime": self.runtime.value,
            "model": self.model.__to_dict__(),
            "archiverVersion": self.archiver_version,
        }

    def __str__(self) -> str:
        return json.dumps(self.manifest_dict, indent=2)

    __repr__ = __str__


def moment() -> datetime:
    """Now, in local time; or ``SOURCE_DATE_EPOCH``, for archives that can be made again."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        return datetime.fromtimestamp(int(epoch), UTC)
    return datetime.now().astimezone()
