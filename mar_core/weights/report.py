"""What was found out about a weights file."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mar_core.weights.allowed import ELEMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mar_core.weights.weights_format import WeightsFormat

__all__ = ["Fault", "TensorInfo", "WeightsReport", "contiguous"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a weights file.

    Attributes:
        code: The rule that it breaks, such as ``MAR-W003``.
        message: One sentence.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor of a weights file, not read.

    Attributes:
        name: Its name, as in the state dict where there is one.
        dtype: The type of its elements by PyTorch's name, such as ``float32``.
        shape: Its sizes.
        strides: The elements between neighbours along each dimension; by default those of a tensor
            that lies there row by row.
        start: The file offset in bytes of its storage, or None when it does not lie there as it is.
        storage_bytes: The length of its storage.
        offset: The elements of the storage before its first.
        storage: What tells its storage from others; tensors that share one have the same.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] = ()
    start: int | None
    storage_bytes: int
    offset: int = 0
    storage: str = ""

    def __post_init__(self) -> None:
        if not self.strides:
            object.__setattr__(self, "strides", contiguous(self.shape))

    @property
    def numel(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def overruns(self) -> bool:
        """Whether it reaches beyond its storage."""
        if self.numel == 0:
            return False
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        needed = (self.offset + reach + 1) * ELEMENT_BYTES.get(self.dtype, 1)
        return needed > self.storage_bytes


@dataclass(slots=True, kw_only=True)
class WeightsReport:
    """What a weights file is and holds.

    Attributes:
        format: What it is.
        faults: What is wrong with it.
        tensors: Its tensors where the format has a list of them, else empty.
        listed: Whether ``tensors`` is complete.
        pickled_code: Names outside torch's list that loading it would import.
        external: Files beside it that hold some of its data.
    """

    format: WeightsFormat
    faults: list[Fault] = field(default_factory=list)
    tensors: list[TensorInfo] = field(default_factory=list)
    listed: bool = False
    pickled_code: list[str] = field(default_factory=list)
    external: list[str] = field(default_factory=list)

    def fault(self, code: str, message: str) -> None:
        """Note something wrong."""
        found = Fault(code, message)
        if found not in self.faults:
            self.faults.append(found)

    @property
    def dtypes(self) -> dict[str, int]:
        """Elements by dtype, the most frequent first; what is shared is counted once."""
        distinct = {(t.storage or t.name, t.offset, t.shape): t for t in self.tensors}
        counts: Counter[str] = Counter()
        for tensor in distinct.values():
            counts[tensor.dtype] += tensor.numel
        return dict(counts.most_common())

    @property
    def parameters(self) -> int:
        """Elements of all tensors, buffers included; what is shared is counted once."""
        return sum(self.dtypes.values())


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor of that shape that lies in memory row by row."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
