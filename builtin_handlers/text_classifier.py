"""``text_classifier``: texts in, the probability of every class out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from builtin_handlers.labels import labelled
from builtin_handlers.text_handler import TextHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TextClassifier"]


class TextClassifier(TextHandler):
    """Says which class a text belongs to.

    Attributes:
        ngrams: Words and pairs of neighbouring words are looked up in the vocabulary.
    """

    signature: ClassVar[Mapping[str, Any] | str | None] = {
        "outputs": [
            {
                "name": "classes",
                "type": "object",
                "values": {"type": "float32"},
                "description": "Every class and its probability.",
                "example": {"bad": 0.05, "good": 0.95},
            }
        ],
    }
    stages_independent = True
    reads_by_context = True
    ngrams = 2

    def postprocess(self, data: torch.Tensor) -> list[dict[str, float]]:
        """Name the classes.

        Args:
            data: Scores before softmax, of shape ``[batch, classes]``.

        Returns:
            For each item every class and its probability, in the order of the classes.
        """
        return [
            labelled(self.mapping, range(len(row)), row)
            for row in torch.softmax(data, dim=1).tolist()
        ]
