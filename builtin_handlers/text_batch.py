"""A batch of texts as numbers, and the ways in which models take them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

from mar_core import bad_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["TextBatch", "input_names", "model_arguments", "run_model", "scores_of"]

_LENGTHS = "lengths"
_TOLD = ("attention_mask", "mask", _LENGTHS)


@dataclass(frozen=True, slots=True)
class TextBatch:
    """A batch of texts; it unpacks as the pair ``(ids, tokens)`` that TorchServe hands on.

    Attributes:
        rows: For each text its ids and its words.
        device: Where the ids go.
    """

    rows: Sequence[tuple[list[int], list[str]]]
    device: torch.device | str | None = None

    @property
    def ids(self) -> torch.Tensor:
        """The texts' ids one behind the other: int64 of shape ``[total]``."""
        ids = [number for numbers, _ in self.rows for number in numbers]
        return torch.tensor(ids, dtype=torch.long, device=self.device)

    @property
    def tokens(self) -> list[str]:
        """The texts' words one behind the other."""
        return [token for _, words in self.rows for token in words]

    @property
    def offsets(self) -> torch.Tensor:
        """Where each text begins in ``ids``: int64 of shape ``[batch]``."""
        starts = [0, *accumulate(len(numbers) for numbers, _ in self.rows[:-1])]
        return torch.tensor(starts, dtype=torch.long, device=self.device)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.ids, self.tokens))


def run_model(
    model: Any, infer: Callable[..., Any], batch: TextBatch, *, padding: int
) -> torch.Tensor:
    """Run a model on a batch of texts in the way that it takes them.

    Args:
        model: The model; the names of its ``forward``'s parameters say how it takes texts.
        infer: Runs it.
        batch: The texts.
        padding: The id that fills short texts up.

    Returns:
        Its output for each text, in order.

    Raises:
        PredictionException: A text has no token, and the model cannot take that.
    """
    names = input_names(model)
    if _takes_offsets(names):
        return scores_of(infer(*model_arguments(names, batch, padding=padding)))
    order: list[int] = []
    outputs = []
    for places in _buckets(batch, told=len(names) > 1):
        part = TextBatch([batch.rows[place] for place in places], batch.device)
        outputs.append(scores_of(infer(*model_arguments(names, part, padding=padding))))
        order += places
    back = torch.tensor(order).argsort()
    return torch.cat(outputs)[back.to(outputs[0].device)]


def input_names(model: Any) -> list[str]:
    """The names of what a model takes; empty where it takes anything."""
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    names = getattr(model, "input_names", None)
    if names is not None:
        return list(names)
    if isinstance(model, torch.jit.ScriptModule):
        return [argument.name for argument in model.forward.schema.arguments[1:]]  # type: ignore[attr-defined]
    parameters = inspect.signature(getattr(model, "forward", model)).parameters.values()
    variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [parameter.name for parameter in parameters if parameter.kind not in variable]


def model_arguments(names: list[str], batch: TextBatch, *, padding: int) -> list[torch.Tensor]:
    """A batch of texts as the arguments of a model.

    Args:
        names: What the model takes.
        batch: The texts.
        padding: The id that fills short texts up.

    Returns:
        Ids of shape ``[total]`` and offsets of shape ``[batch]``; or ids of shape
        ``[batch, longest]`` with, where the model takes it, a mask of the same shape or the
        lengths.
    """
    if _takes_offsets(names):
        return [batch.ids, batch.offsets]
    rows = [numbers for numbers, _ in batch.rows]
    lengths = torch.tensor([len(row) for row in rows])
    longest = int(lengths.max())
    ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
    mask = (torch.arange(longest) < lengths[:, None]).long()
    arguments = [ids]
    if len(names) > 1:
        arguments.append(lengths if names[1] == _LENGTHS else mask)
    return [argument.to(batch.device) for argument in arguments]


def scores_of(output: Any) -> torch.Tensor:
    """The scores in what a model returns: itself, its ``logits``, or its first part."""
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    tensor: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


def _takes_offsets(names: list[str]) -> bool:
    """Where nothing says otherwise, a model is taken for TorchServe's: ``(text, offsets)``."""
    return len(names) != 1 and not any(name in _TOLD for name in names[1:2])


def _buckets(batch: TextBatch, *, told: bool) -> list[list[int]]:
    """Which texts go through the model together.

    A model that is told where a text ends gets texts of like lengths, filled up. Any other gets
    texts of one length: filling up would change what it answers.
    """
    buckets: dict[int, list[int]] = {}
    for place, (numbers, _) in enumerate(batch.rows):
        if not numbers:
            raise bad_item("the text has no word that the vocabulary knows")
        key = len(numbers).bit_length() if told else len(numbers)
        buckets.setdefault(key, []).append(place)
    return list(buckets.values())
