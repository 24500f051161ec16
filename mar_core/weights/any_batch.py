"""Models that were exported for batches of one size, called with batches of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["AnyBatch"]


class AnyBatch:
    """Calls a model as often as its batch size asks for, and puts the outputs together.

    A last batch that is short is filled up with copies of its last item, whose outputs are
    dropped.

    Args:
        model: The model.
        size: The batch size that it takes; None until it is known.
        complaint: Finds that size in what the model raises at another.
    """

    def __init__(
        self, model: Any, *, size: int | None = None, complaint: re.Pattern[str] | None = None
    ) -> None:
        self._model = model
        self._size = size
        self._complaint = complaint

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        Args:
            *args: Tensors of shape ``[batch, …]``; anything else is handed on as it is.
            **kwargs: The same, by name.

        Returns:
            What the model returns, for the whole batch.
        """
        if self._size is None:
            try:
                return self._model(*args, **kwargs)
            except RuntimeError as error:
                self._size = self._expected(error)
                if self._size is None:
                    raise
        return _in_batches(self._model, self._size, args, kwargs)

    def _expected(self, error: RuntimeError) -> int | None:
        found = self._complaint.search(str(error)) if self._complaint else None
        return int(found[1]) if found else None

    def eval(self) -> AnyBatch:
        """Itself: what is exported has no training mode."""
        return self

    def train(self, mode: bool = True) -> AnyBatch:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        """Itself: what is exported has no training mode."""
        return self

    def to(self, *_: Any, **__: Any) -> AnyBatch:
        """Itself: what is exported is on its device already."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "_model":  # asked for before __init__ has run, as copy does
            raise AttributeError(name)
        return getattr(self._model, name)


def _in_batches(
    model: Callable[..., Any], size: int, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    total = next((len(value) for value in [*args, *kwargs.values()] if _is_batch(value)), size)
    if total == size:
        return model(*args, **kwargs)
    outputs = []
    for start in range(0, total, size):
        part = [_part(value, start, size, total) for value in args]
        named = {name: _part(value, start, size, total) for name, value in kwargs.items()}
        outputs.append(model(*part, **named))
    return _join(outputs, total)


def _is_batch(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.ndim > 0


def _part(value: Any, start: int, size: int, total: int) -> Any:
    if not _is_batch(value) or len(value) != total:
        return value
    part = value[start : start + size]
    missing = size - len(part)
    return part if not missing else _concatenate([part, *[part[-1:]] * missing])


def _join(outputs: list[Any], total: int) -> Any:
    first = outputs[0]
    if isinstance(first, dict):
        return {key: _join([output[key] for output in outputs], total) for key in first}
    if isinstance(first, (list, tuple)):
        return type(first)(_join(list(parts), total) for parts in zip(*outputs, strict=True))
    return _concatenate(outputs)[:total] if _is_batch(first) else first


def _concatenate(parts: list[Any]) -> Any:
    import torch

    return torch.cat(parts)
