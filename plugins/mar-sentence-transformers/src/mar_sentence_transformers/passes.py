"""A batch of texts, or pairs of them, as passes through a model: alike in length.

The steps are those of the library's own ``encode`` and ``predict``, one for each of a handler's
stages.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from mar_core import to_device

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Asked", "Batch", "Passes", "Prompted"]

Item = TypeVar("Item", str, "tuple[str, str]")


@dataclass(frozen=True, slots=True)
class Asked(Generic[Item]):
    """One request.

    Attributes:
        items: Its texts or pairs.
        parameters: What it says beside them, over what the config says.
        many: Whether it is answered by a list.
        documents: What is ranked, where something is.
    """

    items: list[Item]
    parameters: dict[str, Any]
    many: bool = False
    documents: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Prompted:
    """What goes before each text, and the task that the model is asked for."""

    prompt: str | None = None
    task: str | None = None

    @property
    def extra(self) -> dict[str, Any]:
        """Arguments of ``preprocess`` and of the model."""
        return {} if self.task is None else {"task": self.task}


@dataclass(slots=True)
class Pass:
    """Texts that go through the model together.

    Attributes:
        places: Where they stand among all of the batch.
        features: What the tokenizer made of them.
        prompted: What they have in common.
    """

    places: list[int]
    features: dict[str, Any]
    prompted: Prompted


@dataclass(slots=True)
class Batch(Generic[Item]):
    """What goes from stage to stage.

    Attributes:
        asked: The requests.
        passes: Their texts.
        outputs: What the model said of each text, a row for each, in the requests' order.
        tokens: How many tokens each text has; None where the model does not say.
    """

    asked: list[Asked[Item]]
    passes: list[Pass] = field(default_factory=list)
    outputs: torch.Tensor | None = None
    tokens: list[int | None] = field(default_factory=list)


class Passes:
    """Tokenizes and runs a model.

    Args:
        model: The model.
        size: The most texts of one pass.
        output: What is taken of what the model says.
    """

    def __init__(self, model: Any, *, size: int, output: str) -> None:
        self._model = model
        self._size = size
        self._output = output
        # Stages work on several batches at once, and a tokenizer is no place for two threads.
        self._lock = threading.Lock()

    def tokenize(self, asked: list[Asked[Any]], prompted: Sequence[Prompted]) -> Batch[Any]:
        """Make passes of requests: of one prompt each, and of about one length.

        Args:
            asked: The requests.
            prompted: What each of them wants said before its texts.
        """
        items = [item for one in asked for item in one.items]
        wants = [want for one, want in zip(asked, prompted, strict=True) for _ in one.items]
        batch: Batch[Any] = Batch(asked, tokens=[None] * len(items))
        groups: dict[Prompted, list[int]] = {}
        for place in sorted(range(len(items)), key=lambda place: -_length(items[place])):
            groups.setdefault(wants[place], []).append(place)
        for want, places in groups.items():
            for start in range(0, len(places), self._size):
                part = places[start : start + self._size]
                with self._lock:
                    features = self._model.preprocess(
                        [items[place] for place in part], prompt=want.prompt, **want.extra
                    )
                batch.passes.append(Pass(part, features, want))
                for place, count in zip(part, _tokens(features, len(part)), strict=True):
                    batch.tokens[place] = count
        return batch

    def run(self, batch: Batch[Any], device: Any) -> Batch[Any]:
        """Run the passes; their outputs take the requests' order again."""
        parts, order = [], []
        with torch.inference_mode():
            for one in batch.passes:
                features = {
                    name: to_device(value, device) if isinstance(value, torch.Tensor) else value
                    for name, value in one.features.items()
                }
                parts.append(self._model(features, **one.prompted.extra)[self._output])
                order += one.places
            if parts:
                back = torch.tensor(order).argsort()
                batch.outputs = torch.cat(parts)[back.to(parts[0].device)]
        return batch


def _length(item: str | tuple[str, str]) -> int:
    return len(item) if isinstance(item, str) else sum(map(len, item))


def _tokens(features: dict[str, Any], count: int) -> list[int | None]:
    """How many tokens each text has, by what the kinds of models say of it."""
    if "attention_mask" in features:
        return list(features["attention_mask"].sum(dim=1).tolist())
    for key, total in (("cu_seq_lens_q", None), ("offsets", "input_ids")):
        if key in features:
            starts = features[key].flatten().tolist()
            ends = starts[1:] if total is None else [*starts[1:], features[total].numel()]
            return [end - start for start, end in zip(starts, ends, strict=False)]
    return [None] * count
