"""The handler: lists of numbers in, lists of numbers out."""

from __future__ import annotations

from typing import Any

import torch
from mar_core import BaseHandler, PredictionException


class {{ cookiecutter.__class_name }}(BaseHandler):
    """{{ cookiecutter.description }}"""

    def preprocess(self, data: list[dict[str, Any]]) -> torch.Tensor:
        """Put the rows into one tensor of shape ``(batch, features)``."""
        rows = [row.get("data", row.get("body")) for row in data]
        try:
            return torch.tensor(rows, dtype=torch.float32, device=self.device)
        except (TypeError, ValueError) as error:
            raise PredictionException("The request holds no list of numbers.", 400) from error

    def postprocess(self, data: torch.Tensor) -> list[dict[str, Any]]:
        """The model's values for each row."""
        return [{"values": values} for values in data.tolist()]
