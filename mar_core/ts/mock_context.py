"""``MockContext``: a small context for the tests of handlers."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from mar_core.ts.metrics.legacy import MetricsStore
from mar_core.ts.util import get_yaml_config

__all__ = ["MockContext"]


class MockContext:
    """What ``initialize`` needs of a context, without an archive.

    Args:
        model_pt_file: The serialized file, or None.
        model_dir: The folder that holds it.
        model_file: The file that defines the network, or None.
        gpu_id: The accelerator, where CUDA is there.
        model_name: The model's name.
        model_yaml_config_file: The config file in the folder, or None.

    Attributes:
        explain: Whether ``get_request_header`` says that an explanation is asked for.
    """

    def __init__(  # noqa: PLR0917 - TorchServe's signature
        self,
        model_pt_file: str | None = "model.pt",
        model_dir: str = "ts/torch_handler/unit_tests/models/tmp",
        model_file: str | None = "model.py",
        gpu_id: str | None = "0",
        model_name: str = "mnist",
        model_yaml_config_file: str | None = None,
    ) -> None:
        import torch

        files = {"serializedFile": model_pt_file, "modelFile": model_file}
        self.manifest: dict[str, Any] = {"model": {k: v for k, v in files.items() if v}}
        self.system_properties: dict[str, Any] = {"model_dir": model_dir}
        if torch.cuda.is_available() and gpu_id:
            self.system_properties["gpu_id"] = gpu_id
        self.explain = False
        self.metrics = MetricsStore(str(uuid.uuid4()), model_name)
        self.model_yaml_config: dict[str, Any] = {}
        if model_yaml_config_file:
            self.model_yaml_config = get_yaml_config(Path(model_dir, model_yaml_config_file))

    def get_request_header(self, idx: int, exp: str) -> bool:
        """True where an explanation is asked for, of any request but the first."""
        return bool(idx and exp and self.explain)
