"""A batch of texts as numbers, and the ways in which models take them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import torch

from builtin_handlers.requests import bad_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["TextBatch", "run_model"]

_MASKS = ("attention_mask", "mask", "lengths")


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
    """
    names = input_names(model)
    extra = next((name for name in _MASKS if name in names[1:]), None)
    if len(names) != 1 and extra is None:
        return _tensor(infer(batch.ids, batch.offsets))
    return _by_length(infer, batch, extra=extra, padding=padding)


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


def _by_length(
    infer: Callable[..., Any], batch: TextBatch, *, extra: str | None, padding: int
) -> torch.Tensor:
    lengths = [len(ids) for ids, _ in batch.rows]
    if not all(lengths):
        raise bad_item("the text has no word that the vocabulary knows")

    def bucket(index: int) -> int:
        # Filling up changes nothing for a model that is told of it; any other gets none.
        return lengths[index].bit_length() if extra else lengths[index]

    order = sorted(range(len(lengths)), key=lambda index: (bucket(index), index))
    outputs = []
    for _, group in groupby(order, key=bucket):
        rows = [batch.rows[index][0] for index in group]
        ids, arguments = _padded(rows, extra=extra, padding=padding)
        outputs.append(_tensor(infer(ids.to(batch.device), **_on(arguments, batch.device))))
    place = torch.tensor(order).argsort()
    return torch.cat(outputs)[place.to(outputs[0].device)]


def _padded(
    rows: Sequence[list[int]], *, extra: str | None, padding: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    lengths = torch.tensor([len(row) for row in rows])
    longest = int(lengths.max())
    ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
    if extra is None:
        return ids, {}
    mask = (torch.arange(longest) < lengths[:, None]).long()
    return ids, {extra: lengths if extra == "lengths" else mask}


def _on(
    arguments: dict[str, torch.Tensor], device: torch.device | str | None
) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in arguments.items()}


def _tensor(output: Any) -> torch.Tensor:
    """The scores in what a model returns: itself, its ``logits``, or its first part."""
    for name in ("logits", "out"):
        if isinstance(output, dict) and name in output:
            output = output[name]
    tensor: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return tensor
