"""``ts.model_service.model_service``: Multi Model Server's classes, for old handlers."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

__all__ = ["ModelService", "SingleNodeService"]


class ModelService:
    """A service with a signature file; inherit and write ``inference``.

    Args:
        model_name: The model's name.
        model_dir: The folder that holds the unpacked archive.
        manifest: The manifest as parsed.
        gpu: The number of the accelerator, or None.
    """

    def __init__(self, model_name: str, model_dir: str, manifest: Any, gpu: Any = None) -> None:
        del model_name, model_dir, manifest, gpu  # part of the signature; initialize reads them
        self.ctx: Any = None
        self._context: Any = None
        self._signature: Any = None

    def initialize(self, context: Any) -> None:
        """Read the signature that the manifest names under ``Model`` and ``Signature``.

        Raises:
            ValueError: There is no such file.
        """
        self._context = context
        name = context.manifest["Model"]["Signature"]
        path = Path(context.system_properties.get("model_dir"), name)
        if not path.is_file():
            raise ValueError(f"The archive has no signature file {name!r}.")
        self._signature = json.loads(path.read_text(encoding="utf-8"))

    def inference(self, data: list[Any]) -> Any:
        """Answer the request; subclasses write it."""
        raise NotImplementedError(f"{type(self).__name__} has no inference(data)")

    def ping(self) -> Any:
        """Say how the service is."""
        return None

    def signature(self) -> Any:
        """The signature."""
        return self._signature

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[Any]:
        """Answer the first request of a batch, from the input that the signature names."""
        del context
        row = data[0]
        wanted = self._signature["inputs"][0]["data_name"]
        value = next(
            (row[key] for key in (wanted, "body", "data") if row.get(key) is not None), None
        )
        is_json = self._signature["input_type"] == "application/json"
        if is_json and isinstance(value, (bytes, bytearray)):
            value = ast.literal_eval(value.decode())
        result = self.inference([value])
        return result if isinstance(result, list) else [result]


class SingleNodeService(ModelService):
    """A service in three steps; inherit and write ``_inference``."""

    def inference(self, data: list[Any]) -> Any:
        """Preprocess, run and postprocess."""
        return self._postprocess(self._inference(self._preprocess(data)))

    def _preprocess(self, data: Any) -> Any:
        return data

    def _inference(self, data: Any) -> Any:
        return data

    def _postprocess(self, data: Any) -> Any:
        return data
