"""How much each word of a text counted, by integrated gradients at the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from builtin_handlers.explain import STEPS, layer_gradients
from builtin_handlers.text_batch import input_names, model_arguments, scores_of
from mar_core import PredictionException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builtin_handlers.text_batch import TextBatch

__all__ = ["attributions", "embedding_of", "layer_gradients_of", "spread"]

_NOT_IMPLEMENTED = 501


def embedding_of(model: Any) -> torch.nn.Embedding | torch.nn.EmbeddingBag:
    """The layer that turns numbers into vectors: ``model.embedding``, else the first of its kind.

    Raises:
        PredictionException: The model has none that can be looked into.
    """
    if isinstance(model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        found = [module for module in model.modules() if isinstance(module, kinds)]
        layer = getattr(model, "embedding", found[0] if found else None)
        if isinstance(layer, kinds):
            return layer
    raise PredictionException(
        "This model's words cannot be explained: it has no torch.nn.Embedding or EmbeddingBag that "
        "can be looked into. Archive it as a model file and a state dict.",
        _NOT_IMPLEMENTED,
    )


def layer_gradients_of(model: Any) -> Any:
    """Captum's mean gradients at the embedding of a model."""

    def score(*args: Any) -> torch.Tensor:
        return scores_of(model(*args))

    return layer_gradients(score, embedding_of(model))


def attributions(
    model: Any, gradients: Any, batch: TextBatch, *, target: int, padding: int
) -> torch.Tensor:
    """What each token of one text did for the score of a class, compared to padding.

    Args:
        model: The model.
        gradients: What ``layer_gradients_of`` returned for it.
        batch: One text.
        target: The class.
        padding: The id of a token that says nothing.

    Returns:
        float32 of shape ``[tokens, embedding]``; all of it adds up to the difference of the score
        to that of a text of padding.
    """
    layer = embedding_of(model)
    ids, *others = model_arguments(input_names(model), batch, padding=padding)
    slopes = gradients.attribute(
        ids,
        torch.full_like(ids, padding),
        target=target,
        additional_forward_args=tuple(others) or None,
        n_steps=STEPS,
    )
    weight = layer.weight.detach()
    difference = weight[ids.flatten()] - weight[padding]
    if isinstance(layer, torch.nn.EmbeddingBag):
        return _through_bag(layer, difference, slopes)
    parts: torch.Tensor = difference * slopes.flatten(0, 1)
    return parts


def spread(values: torch.Tensor, spans: Sequence[tuple[int, int]], words: int) -> list[float]:
    """Give each word its part of what the runs of words that it is in counted.

    Args:
        values: One number for each run, of shape ``[runs]``.
        spans: Where each run begins, and how many words long it is.
        words: How many words there are.

    Returns:
        One number for each word; they add up to what ``values`` does.
    """
    result = [0.0] * words
    for value, (start, length) in zip(values.tolist(), spans, strict=True):
        for place in range(start, start + length):
            result[place] += value / length
    return result


def _through_bag(
    layer: torch.nn.EmbeddingBag, difference: torch.Tensor, slopes: torch.Tensor
) -> torch.Tensor:
    """A bag's output is the sum or the mean of its tokens: each has its share of it."""
    if layer.mode == "max":
        raise PredictionException(
            "An EmbeddingBag of mode 'max' cannot be explained word by word.", _NOT_IMPLEMENTED
        )
    share = 1.0 if layer.mode == "sum" else 1.0 / max(len(difference), 1)
    return difference * share * slopes
