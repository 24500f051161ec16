"""The ``model`` object of a manifest."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

__all__ = ["Model"]


class Model:
    """What a manifest says of the model.

    Args:
        model_name: The model's name.
        serialized_file: The path of the weights; the manifest has its last part.
        handler: The handler; the manifest has the last part of its path.
        model_file: The path of the file that defines the network; the last part again.
        model_version: The model's version; an empty one is left out.
        extensions: Anything else, kept as it is.
        requirements_file: The path of the requirements; the last part again.
        config_file: The path of the configuration; the last part again.
    """

    def __init__(  # noqa: PLR0917 - torch-model-archiver's own signature
        self,
        model_name: str,
        serialized_file: str | None,
        handler: str,
        model_file: str | None = None,
        model_version: str | None = None,
        extensions: Any = None,
        requirements_file: str | None = None,
        config_file: str | None = None,
    ) -> None:
        self.model_name = model_name
        self.serialized_file = _last(serialized_file)
        self.handler = PurePath(handler).name
        self.model_file = model_file
        self.model_version = model_version
        self.extensions = extensions
        self.requirements_file = requirements_file
        self.config_file = _last(config_file)
        self.model_dict = self.__to_dict__()

    def __to_dict__(self) -> dict[str, Any]:
        """The object as JSON has it, in torch-model-archiver's order."""
        values = {
            "modelName": self.model_name,
            "serializedFile": self.serialized_file,
            "handler": self.handler,
            "modelFile": _behind_slash(self.model_file),
            "modelVersion": self.model_version,
            "extensions": self.extensions,
            "requirementsFile": _behind_slash(self.requirements_file),
            "configFile": self.config_file,
        }
        always = {"modelName", "handler"}
        return {key: value for key, value in values.items() if value or key in always}

    def __str__(self) -> str:
        return json.dumps(self.model_dict)

    __repr__ = __str__


def _last(path: str | None) -> str | None:
    return PurePath(path).name if path else None


def _behind_slash(path: str | None) -> str | None:
    """On Windows too only ``/`` divides these two."""
    return path.rpartition("/")[2] if path else None
