"""Names for class numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["label", "labelled"]


def label(mapping: Mapping[str, str] | None, index: int) -> str:
    """The name of a class: from ``index_to_name.json``, else its number."""
    return str(index) if mapping is None else mapping.get(str(index), str(index))


def labelled(
    mapping: Mapping[str, str] | None, indices: Iterable[int], values: Iterable[float]
) -> dict[str, float]:
    """One value for each class, by name, in the order given."""
    return {label(mapping, index): value for index, value in zip(indices, values, strict=True)}
